import pytest

from firstseen.net.doubt import doubt


@pytest.mark.parametrize(
    ("tls", "greeted", "sent", "setting"),
    [
        (True, False, False, "output.tls.cert"),
        (True, True, True, "output.tls.cert"),
        (False, True, False, "tls:// in output.servers"),
        (False, False, True, "output.shared_key"),
    ],
)
def test_what_a_silent_server_may_want(tls: bool, greeted: bool, sent: bool, setting: str) -> None:
    told = doubt(tls=tls, greeted=greeted, sent=sent)
    assert told.startswith(", which said nothing: it may want ")
    assert setting in told


def test_one_that_was_sent_nothing_may_just_have_ended() -> None:
    assert doubt(tls=False, greeted=False, sent=False) == ""
