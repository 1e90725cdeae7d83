"""Every single check is a case in tests/spec/config."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from firstseen.config import Config, Http, Input, Log, Output, Server
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


ITSELF = pytest.mark.parametrize(
    ("listen", "server", "itself"),
    [
        ("127.0.0.1:7", "127.0.0.1:7", True),
        ("127.0.0.1:7", "127.0.0.1:8", False),
        ("127.0.0.1:7", "localhost:7", True),
        ("localhost:7", "LOCALHOST:7", True),
        ("localhost:7", "127.0.0.1:7", True),
        ("tls://127.0.0.1:7", "127.1:7", True),
        ("127.0.0.1:7", "0.0.0.0:7", True),
        ("127.0.0.1:7", "127.0.0.2:7", False),
        ("0.0.0.0:7", "127.0.0.1:7", True),
        ("0.0.0.0:7", "127.0.0.2:7", True),
        ("0.0.0.0:7", "localhost:7", True),
        ("0.0.0.0:7", "0.0.0.0:7", True),
        ("0.0.0.0:7", "192.0.2.1:7", False),
        ("0.0.0.0:7", "logs.example.com:7", False),
        ("logs.example.com:7", "Logs.Example.com:7", True),
        ("[::1]:7", "localhost:7", True),
        ("[::]:7", "localhost:7", True),
        ("[::]:7", "127.0.0.1:7", False),
        ("unix:/run/a", "unix:/run/a", True),
        ("unix:/run/a", "unix:/run/../run/a", True),
        ("unix:/run/a", "unix:/run/b", False),
        ("unix:/run/a", "127.0.0.1:7", False),
        ("127.0.0.1:7", "unix:/run/a", False),
    ],
)


def names_of(config: Config) -> list[Sequence[str]]:
    return [names for names, _ in faults(config)]


@ITSELF
def test_the_log_is_not_sent_to_this_agent_however_that_is_written(listen: str, server: str, itself: bool):
    config = Config(path=FILE, input=Input(listen=(Endpoint(listen),)), log=Log(forward=Endpoint(server)))
    assert (["log.forward", "input.listen"] in names_of(config)) is itself


@ITSELF
def test_the_agent_is_not_its_own_server_however_that_is_written(listen: str, server: str, itself: bool):
    given = Input(listen=(Endpoint("127.0.0.1:0"), Endpoint(listen)))
    for name in ("servers", "standby"):
        config = Config(path=FILE, input=given, output=Output(**{name: (Server(address=Endpoint(server)),)}))
        assert ([f"output.{name}", "input.listen"] in names_of(config)) is itself


@ITSELF
def test_nothing_is_delivered_to_where_the_agent_shows_itself(listen: str, server: str, itself: bool):
    output = Output(servers=(Server(address=Endpoint(server)),))
    config = Config(path=FILE, http=Http(listen=Endpoint(listen)), output=output)
    assert (["output.servers", "http.listen"] in names_of(config)) is itself


def test_an_ipv4_address_in_the_clothes_of_ipv6_is_seen_through():
    output = Output(servers=(Server(address=Endpoint("[::ffff:127.0.0.1]:24225")),))
    assert names_of(Config(path=FILE, output=output)) == [["output.servers", "input.listen"]]


def test_a_socket_is_one_by_whatever_links_it_is_named(tmp_path: Path):
    (tmp_path / "run").mkdir()
    (tmp_path / "var").symlink_to(tmp_path / "run")
    given = Input(listen=(Endpoint(f"unix:{tmp_path}/run/a"),))
    output = Output(servers=(Server(address=Endpoint(f"unix:{tmp_path}/var/a")),))
    assert names_of(Config(path=FILE, input=given, output=output)) == [["output.servers", "input.listen"]]


ONE_PLACE = pytest.mark.parametrize(
    ("one", "other", "collide"),
    [
        ("127.0.0.1:7", "localhost:7", True),
        ("127.0.0.1:7", "127.1:7", True),
        ("127.0.0.1:7", "0.0.0.0:7", True),
        ("192.0.2.1:7", "0.0.0.0:7", True),
        ("[::]:7", "[::1]:7", True),
        ("[::1]:7", "[0::1]:7", True),
        ("Logs.Example.com:7", "logs.example.com:7", True),
        ("unix:/run/a", "unix:/run/./a", False),  # read as one path: said to be listed twice
        ("unix:/run/a", "unix:/run/../run/a", True),
        ("127.0.0.1:7", "127.0.0.2:7", False),
        ("127.0.0.1:7", "127.0.0.1:8", False),
        ("127.0.0.1:0", "localhost:0", False),
        ("127.0.0.1:7", "[::1]:7", False),
        ("0.0.0.0:7", "[::]:7", False),
        ("localhost:7", "[::1]:7", False),  # which it is on some machines
        ("127.0.0.1:7", "logs.example.com:7", False),
        ("unix:/run/a", "127.0.0.1:7", False),
    ],
)


@ONE_PLACE
def test_one_place_is_not_listened_on_twice_however_it_is_written(one: str, other: str, collide: bool):
    what = f"of {one} and {other} only one can be listened on"
    config = Config(path=FILE, input=Input(listen=(Endpoint(one), Endpoint(other))))
    assert ((["input.listen"], what) in list(faults(config))) is collide


@ONE_PLACE
def test_http_is_not_spoken_where_records_come_in(one: str, other: str, collide: bool):
    config = Config(path=FILE, input=Input(listen=(Endpoint(one),)), http=Http(listen=Endpoint(other)))
    same = Endpoint(one).place == Endpoint(other).place and not other.endswith(":0")
    assert (["http.listen", "input.listen"] in names_of(config)) is (collide or same)
