"""Every single check is a case in tests/spec/config."""

from pathlib import Path

import pytest

from firstseen.config import Config, Input, Log, Output, Server
from firstseen.config.checks import faults
from firstseen.notation import Duration, Endpoint, Size

FILE = Path("firstseen.toml")


def test_the_defaults_go_together():
    assert list(faults(Config(path=FILE))) == []


def test_faults_name_the_setting_to_be_changed_first():
    config = Config(path=FILE, input=Input(max_in_flight=Size("1MiB")))
    assert list(faults(config)) == [
        (
            ["input.max_frame", "input.max_in_flight"],
            "must not be larger than input.max_in_flight, which is 1MiB",
        )
    ]


def test_several_at_once():
    own = Endpoint("127.0.0.1:24225")
    config = Config(
        path=FILE,
        input=Input(listen=(own,), frame_timeout=Duration("0s")),
        output=Output(servers=(Server(address=own),), standby=(Server(address=own),)),
    )
    assert [names[0] for names, _ in faults(config)] == [
        "input.frame_timeout",
        "output.standby",
        "output.servers",
        "output.standby",
    ]


def test_silence_is_for_ever_or_longer_than_fluent_bit_s():
    def named(text: str) -> list[str]:
        return [names[0] for names, _ in faults(Config(path=FILE, input=Input(idle_timeout=Duration(text))))]

    assert [named(text) for text in ("0s", "30s", "30001ms")] == [[], ["input.idle_timeout"], []]


@pytest.mark.parametrize(
    ("listen", "forward", "itself"),
    [
        ("127.0.0.1:7", "127.0.0.1:7", True),
        ("127.0.0.1:7", "127.0.0.1:8", False),
        ("127.0.0.1:7", "localhost:7", True),
        ("localhost:7", "LOCALHOST:7", True),
        ("localhost:7", "127.0.0.1:7", True),
        ("tls://127.0.0.1:7", "127.1:7", True),
        ("127.0.0.1:7", "0.0.0.0:7", True),
        ("127.0.0.1:7", "127.0.0.2:7", False),
        ("0.0.0.0:7", "127.0.0.2:7", True),
        ("0.0.0.0:7", "localhost:7", True),
        ("0.0.0.0:7", "0.0.0.0:7", True),
        ("0.0.0.0:7", "192.0.2.1:7", False),
        ("0.0.0.0:7", "logs.example.com:7", False),
        ("[::1]:7", "localhost:7", True),
        ("[::]:7", "localhost:7", True),
        ("[::]:7", "127.0.0.1:7", False),
        ("unix:/run/a", "unix:/run/a", True),
        ("unix:/run/a", "unix:/run/b", False),
        ("unix:/run/a", "127.0.0.1:7", False),
        ("127.0.0.1:7", "unix:/run/a", False),
    ],
)
def test_the_log_is_not_sent_to_this_agent_however_that_is_written(listen: str, forward: str, itself: bool):
    config = Config(path=FILE, input=Input(listen=(Endpoint(listen),)), log=Log(forward=Endpoint(forward)))
    assert (["log.forward", "input.listen"] in [names for names, _ in faults(config)]) is itself
