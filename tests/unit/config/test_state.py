from __future__ import annotations

from pathlib import Path

import pytest

from firstseen.config.checks import faults
from firstseen.config.secret import Secret, SecretFile
from firstseen.config.sections import Config
from firstseen.config.state import State, StateSentinel, StateTls
from firstseen.notation import Duration, Size
from firstseen.stateurl import StateUrl

PLAIN, TLS = StateUrl("redis://h"), StateUrl("rediss://h")
SENTINELS = StateUrl("redis+sentinel://h/main")


def test_by_default_the_state_is_on_disk_and_nothing_is_secret() -> None:
    assert (State().url, State().secret, State().sentinel.secret) == (None, None, None)


def test_secrets_wherever_they_are(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("of a file\n")
    assert State(url=PLAIN, password=Secret("pw")).secret == b"pw"
    assert State(url=PLAIN, password_file=SecretFile(file)).secret == b"of a file"
    assert StateSentinel(password=Secret("pw")).secret == b"pw"
    assert StateSentinel(password_file=SecretFile(file)).secret == b"of a file"


@pytest.mark.parametrize("half", ["cert", "key"])
def test_a_certificate_has_its_key(half: str) -> None:
    with pytest.raises(ValueError, match="cert and key come together"):
        StateTls(**{half: Path("a.pem")})


@pytest.mark.parametrize(
    ("state", "name", "what"),
    [
        (State(username="ada"), "username", "has no use without state.url"),
        (State(prefix="x:"), "prefix", "has no use without state.url"),
        (State(lease=Duration("1m")), "lease", "has no use without state.url"),
        (State(sentinel=StateSentinel(username="ada")), "sentinel", "has no use without state.url"),
        (State(url=PLAIN, tls=StateTls(verify=False)), "tls", "has no use: state.url does not begin with rediss"),
        (
            State(url=PLAIN, sentinel=StateSentinel(password=Secret("pw"))),
            "sentinel",
            "has no use: state.url does not name Sentinels",
        ),
        (State(url=PLAIN, lease=Duration("999ms")), "lease", "must be at least 1s"),
        (State(map_size=Size("255KiB")), "map_size", "must be at least 256KiB"),
        (State(map_size=Size("16385GiB")), "map_size", "must be at most 16384GiB"),
        (State(map_size=Size("999999999GiB")), "map_size", "must be at most 16384GiB"),
    ],
)
def test_what_does_not_go_together(state: State, name: str, what: str) -> None:
    ((names, said),) = faults(Config(path=Path("firstseen.toml"), state=state))
    assert (names[0], said) == (f"state.{name}", what)


def test_a_password_is_given_once(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("pw")
    twice = {"password": Secret("pw"), "password_file": SecretFile(file)}
    for state, name in (
        (State(url=PLAIN, **twice), "state.password"),
        (State(url=SENTINELS, sentinel=StateSentinel(**twice)), "state.sentinel.password"),
    ):
        ((names, said),) = faults(Config(path=Path("firstseen.toml"), state=state))
        assert (names[0], said) == (f"{name}_file", f"{name} is given as well")


def test_what_goes_together() -> None:
    for state in (
        State(url=TLS, tls=StateTls(verify=False)),
        State(url=SENTINELS, username="ada", sentinel=StateSentinel(username="eve", password=Secret("pw"))),
    ):
        assert list(faults(Config(path=Path("firstseen.toml"), state=state))) == []
