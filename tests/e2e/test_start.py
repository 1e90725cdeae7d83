"""A start goes on from what the last one has read of the rules."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import msgpack
import pytest

from firstseen.shelf import NAME
from support.agent import TIMEOUT_S, AgentProcess, write_config
from support.peers import Sink, Source
from support.rulebook import GET_CALLER_IDENTITY, call, rule_text

pytestmark = pytest.mark.e2e

ADA = "arn:aws:iam::111122223333:user/ada"


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "a.toml").write_text(rule_text(rule_id="a"))
    (folder / "b.toml").write_text(rule_text("event.action: AssumeRole", rule_id="b"))
    return folder


@pytest.fixture
def config(tmp_path: Path, sink: Sink, rules: Path) -> Path:
    return write_config(tmp_path / "firstseen.toml", downstream=sink.address, state=tmp_path / "state", rules=rules)


def alerts(agent: AgentProcess, sink: Sink, event_id: str, *actions: str) -> list[str]:
    """The rules that alert on these calls, sent in one chunk."""
    before = len(sink.entries)
    events = [[0, call(ADA, f"{event_id}-{action}", action)] for action in actions]
    with Source(agent.port) as client:
        client.send(msgpack.packb(["aws", events, {"chunk": event_id}]))
        assert client.ack() == event_id
    return [label["rule"]["id"] for entry in sink.entries[before:] for label in entry.record.get("alerts", [])]


def wait_for(file: Path, *, but: int | None = None) -> int:
    """Until the file is there, and is not the one with this inode; its inode."""
    until = time.monotonic() + TIMEOUT_S
    while not file.exists() or file.stat().st_ino == but:
        assert time.monotonic() < until
        time.sleep(0.01)
    return file.stat().st_ino


def test_what_was_read_is_kept_and_means_the_same(config: Path, sink: Sink, rules: Path, tmp_path: Path) -> None:
    file = tmp_path / "state" / NAME
    with AgentProcess(config) as agent:
        assert agent.wait_for("ready")["parsed"] == 2
        assert alerts(agent, sink, "e-1", "GetCallerIdentity", "AssumeRole") == ["a", "b"]
        kept = wait_for(file)
        agent.kill()
    (rules / "b.toml").write_text(rule_text("event.action: GetSessionToken", rule_id="b"))
    with AgentProcess(config) as agent:
        assert agent.wait_for("ready")["parsed"] == 1
        assert alerts(agent, sink, "e-2", "GetCallerIdentity", "AssumeRole", "GetSessionToken") == ["b"]
        kept = wait_for(file, but=kept)
        agent.stop()
    with AgentProcess(config) as agent:
        assert agent.wait_for("ready")["parsed"] == 0
        assert alerts(agent, sink, "e-3", "GetCallerIdentity", "GetSessionToken") == []
        (rules / "c.toml").write_text(rule_text(GET_CALLER_IDENTITY, ["user.id"], rule_id="c"))
        agent.signal(signal.SIGHUP)
        agent.wait_for("reloaded")
        wait_for(file, but=kept)
        agent.stop()


def test_a_broken_rule_is_told_of_whatever_is_kept(config: Path, sink: Sink, rules: Path, tmp_path: Path) -> None:
    with AgentProcess(config) as agent:
        wait_for(tmp_path / "state" / NAME)
        agent.stop()
    (rules / "a.toml").write_text(rule_text("event.action: (", rule_id="a"))
    with AgentProcess(config) as agent:
        assert agent.wait() == 78
        assert "a.toml" in str(agent.events)


@pytest.mark.parametrize("content", [b"", b"\0" * 100, None], ids=["empty", "zeros", "cut"])
def test_a_file_that_is_none_of_ours_costs_nothing(
    config: Path, sink: Sink, tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "state" / NAME
    with AgentProcess(config) as agent:
        kept = wait_for(file)
        whole = file.read_bytes()
        agent.stop()
    file.write_bytes(whole[:-7] if content is None else content)
    with AgentProcess(config) as agent:
        assert alerts(agent, sink, "e-1", "GetCallerIdentity") == ["a"]
        wait_for(file, but=kept)
        agent.stop()
    assert file.read_bytes() == whole


def test_where_it_cannot_be_kept_all_else_works(config: Path, sink: Sink, tmp_path: Path) -> None:
    (tmp_path / "state" / f"{NAME}.new").mkdir(parents=True)
    with AgentProcess(config) as agent:
        assert "Is a directory" in agent.wait_for("rules_not_kept")["reason"]
        assert alerts(agent, sink, "e-1", "GetCallerIdentity") == ["a"]
        agent.stop()
    assert not (tmp_path / "state" / NAME).exists()
