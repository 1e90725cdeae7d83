"""The running agent learns, keeps rules in shadow, marks what is too much, and says so: tags, labels, log, totals."""

import time
from datetime import datetime
from pathlib import Path
from typing import Any

import msgpack
import pytest

from support.agent import AgentProcess, write_config
from support.peers import Sink, Source
from support.rulebook import call, rule_text

pytestmark = pytest.mark.e2e

TAG = 'alerts: tag_prefix = "alert."'


def arn(name: str) -> str:
    return f"arn:aws:iam::111122223333:user/{name}"


class Agents:
    """Agents that follow each other on one state, with one rule."""

    def __init__(self, folder: Path, sink: Sink) -> None:
        self.folder = folder
        self.sink = sink
        self.rule = folder / "rule.toml"
        self.sent = 0

    def configure(self, settings: str = "", lines: str = "", query: str | None = None) -> Path:
        self.rule.write_text((rule_text() if query is None else rule_text(query)) + lines)
        path = write_config(
            self.folder / "firstseen.toml",
            downstream=self.sink.address,
            state=self.folder / "state",
            rules=self.rule,
            extra=TAG,
        )
        section, _, line = settings.partition(": ")
        path.write_text(path.read_text().replace(f"[{section}]\n", f"[{section}]\n{line}\n"))
        return path

    def send(self, agent: AgentProcess, *names: str) -> list[tuple[str, str]]:
        """A chunk with a call by each of them; the tag under which each arrived, and the status of its label."""
        before = len(self.sink.entries)
        self.sent += 1
        events = [call(arn(name), f"e-{self.sent}-{number}") for number, name in enumerate(names)]
        with Source(agent.port) as client:
            client.send(msgpack.packb(["aws", [[1_790_000_000, each] for each in events], {"chunk": f"{self.sent}"}]))
            assert client.ack() == f"{self.sent}"
        arrived = {entry.record["eventID"]: entry for entry in self.sink.entries[before:]}
        assert len(arrived) == len(events)
        return [(arrived[each["eventID"]].tag, _status(arrived[each["eventID"]].record)) for each in events]


def _status(record: dict[str, Any]) -> str:
    (status,) = [label["status"] for label in record.get("alerts", ())] or ["-"]
    return str(status)


@pytest.fixture
def agents(tmp_path: Path, sink: Sink) -> Agents:
    return Agents(tmp_path, sink)


def seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


@pytest.mark.slow
def test_learning_ends_by_itself_when_it_would_have_without_a_restart(agents: Agents) -> None:
    config = agents.configure('state: learning_period = "8s"')
    with AgentProcess(config) as agent:
        first = agent.wait_for("rule_learning")
        assert agents.send(agent, "ada", "ada") == [("aws", "learning"), ("aws", "-")]
        totals = agent.stop()
    assert (totals["matches"], totals["alerts"], totals["suppressed"], totals["learning"]) == (2, 0, 1, 1)

    with AgentProcess(config) as agent:
        second = agent.wait_for("rule_learning")
        assert agents.send(agent, "ada") == [("aws", "-")]
        ended = agent.wait_for("rule_learning_ended")
        assert agents.send(agent, "ada", "bob") == [("aws", "-"), ("alert.aws", "open")]
        totals = agent.stop()
    assert first["until"] == second["until"]
    assert 0 <= seconds(ended["time"]) - seconds(first["until"]) < 2
    assert totals["matches"] == totals["alerts"] + totals["suppressed"] + totals["learning"] == 3


def test_a_restart_after_learning_does_not_begin_it_anew(agents: Agents) -> None:
    config = agents.configure('state: learning_period = "1ms"')
    with AgentProcess(config) as agent:
        agent.wait_for("ready")
        agent.stop()
    with AgentProcess(config) as agent:
        assert agents.send(agent, "ada") == [("alert.aws", "open")]
        assert not [each for each in agent.events if each["event"] == "rule_learning"]


def test_a_rule_in_shadow_remembers_and_keeps_tags(agents: Agents) -> None:
    with AgentProcess(agents.configure('rules: shadow = {"A rule for*" = true, gone = 2027-01-31}')) as agent:
        agent.wait_for("rule_shadow")
        assert agent.wait_for("setting_unused")["reason"] == "there is no rule gone"
        assert agents.send(agent, "ada") == [("aws", "shadow")]
        totals = agent.stop()
    assert (totals["alerts"], totals["alerts_in_shadow"]) == (1, 1)

    with AgentProcess(agents.configure()) as agent:
        assert agents.send(agent, "ada", "bob") == [("aws", "-"), ("alert.aws", "open")]


def test_a_flood_trips_the_breaker_which_recovers(agents: Agents) -> None:
    config = agents.configure(lines='max_signals = 3\ninterval = "1s"\n')
    names = [f"u{number}" for number in range(50)]
    with AgentProcess(config) as agent:
        flood = agents.send(agent, *names)
        tripped = agent.wait_for("breaker_tripped")
        recovered = agent.wait_for("breaker_recovered")
        assert agents.send(agent, *names, "new") == [("aws", "-")] * 50 + [("alert.aws", "open")]
        totals = agent.stop()

    assert flood == [("alert.aws", "open")] * 3 + [("aws", "degraded")] * 47
    assert (tripped["max_signals"], tripped["interval"], recovered["degraded"]) == (3, "1s", 47)
    assert (totals["matches"], totals["alerts"], totals["alerts_degraded"]) == (101, 51, 47)
    assert [each["event"] for each in agent.events].count("breaker_tripped") == 1


def test_what_was_one_too_many_is_remembered_over_a_restart(agents: Agents) -> None:
    config = agents.configure(lines='max_signals = 1\ninterval = "1h"\n')
    with AgentProcess(config) as agent:
        assert agents.send(agent, "ada", "bob") == [("alert.aws", "open"), ("aws", "degraded")]
        agent.stop()
    with AgentProcess(config) as agent:
        assert agents.send(agent, "ada", "bob", "carol") == [("aws", "-"), ("aws", "-"), ("alert.aws", "open")]


def test_a_changed_rule_says_so_and_learns(agents: Agents) -> None:
    with AgentProcess(agents.configure('state: learning_period = "1ms"')) as agent:
        agent.wait_for("ready")
        began = time.time()
        agent.stop()
    config = agents.configure('state: learning_period = "1h"', query="event.action: GetCallerIdentity")
    with AgentProcess(config) as agent:
        changed = agent.wait_for("rule_changed")
        agent.wait_for("rule_learning")
        assert agents.send(agent, "ada") == [("aws", "learning")]

    (before,) = changed["histories_before"]
    assert changed["level"] == "warning"
    assert seconds(before) <= began < seconds(changed["since"])
