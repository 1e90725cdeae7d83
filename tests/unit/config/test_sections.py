from pathlib import Path

import pytest

from firstseen.config import Config, Http, Input, Output, User
from firstseen.config.secret import Secret
from firstseen.config.sections import SECTIONS


def test_nothing_is_secret_by_default():
    config = Config(path=Path("firstseen.toml"))
    assert (config.input.key, dict(config.input.passwords)) == (None, {})
    assert (config.output.key, config.output.secret) == (None, b"")
    assert config.http.secret is None


def test_secrets_wherever_they_are():
    alice = User(name="alice", password=Secret("pw"))
    assert alice.secret == b"pw"
    assert Input(shared_key=Secret("k"), users=(alice,)).passwords == {"alice": b"pw"}
    assert Input(shared_key=Secret("k")).key == b"k"
    assert (Output(shared_key=Secret("k")).key, Output(password=Secret("p")).secret) == (b"k", b"p")
    assert Http(token=Secret("t")).secret == b"t"


def test_an_agent_that_is_given_no_name_has_one_that_others_have_not(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("socket.gethostname", lambda: "collector-1")
    assert Input().own_name == "firstseen@collector-1"
    assert Input(self_hostname="agent 1").own_name == "agent 1"


def test_every_section_says_what_it_is():
    assert all(section.__doc__ and section.__doc__.endswith(".") for section in SECTIONS.values())
