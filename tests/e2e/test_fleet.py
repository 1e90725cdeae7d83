"""Several installed agents on one Redis server: together they are one agent that saw everything."""

from __future__ import annotations

import json
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from firstseen.stopping import LEAVE_S
from support.agent import AgentProcess, write_config
from support.peers import Sink, Source, held
from support.redis import RedisServer, new_prefix
from support.rulebook import ARN, call, rule_id, rule_text
from support.weather import Pusher, frame

pytestmark = [pytest.mark.e2e, pytest.mark.redis]

AGENTS = 4
CALLERS = 400
CHUNK = 50
ACTIONS = ("GetCallerIdentity", "AssumeRole", "GetSessionToken")
DAYS = (2, 27)
"""Of September: the second is so much later that everybody is news again."""

# By the time of the events: what arrives at once would not be so long apart.
FIRST = rule_text(rule_id=rule_id(1)).replace('timestamp_override = "event.ingested"\n', "")
HEAD = """
[rule]
type = "{type}"
rule_id = "{id}"
name = "Rule {number}"
severity = "low"
risk_score = 21
from = "now-60m"
interval = "60m"
query = "event.action: {action}"
"""
OFTEN = (
    HEAD.format(type="threshold", id=rule_id(2), number=2, action="AssumeRole")
    + f'threshold = {{field = ["{ARN}"], value = 3}}\n'
)
ONCE = HEAD.format(type="query", id=rule_id(3), number=3, action="GetSessionToken") + (
    f'alert_suppression = {{group_by = ["{ARN}"], duration = {{value = 1, unit = "h"}}}}\n'
)


def events(day: int, count: int, chance: random.Random) -> list[dict[str, Any]]:
    """Calls within half an hour, some callers much more often than others."""
    made = []
    for number in range(count):
        caller = min(int(chance.expovariate(6 / CALLERS)), CALLERS)
        arn = f"arn:aws:iam::111122223333:user/u{caller}"
        time = f"2026-09-{day:02}T08:{30 * number // count:02}:{chance.randrange(60):02}Z"
        action = chance.choices(ACTIONS, (8, 1, 1))[0]
        made.append(call(arn, f"{day}-{number}", action) | {"eventTime": time})
    return made


def spread(records: Sequence[dict[str, Any]], chance: random.Random) -> list[list[dict[str, Any]]]:
    """To each agent what it gets: most events one copy, some go to several."""
    shares: list[list[dict[str, Any]]] = [[] for _ in range(AGENTS)]
    for record in records:
        for agent in chance.sample(range(AGENTS), chance.choices((1, 2, 4), (8, 2, 1))[0]):
            shares[agent].append(record)
    return shares


def frames(name: str, records: Sequence[dict[str, Any]]) -> list[bytes]:
    return [frame(f"{name}-{start}", *records[start : start + CHUNK]) for start in range(0, len(records), CHUNK)]


def alerts(sinks: Sequence[Sink]) -> Counter[tuple[str, str, str]]:
    """How many different alerts there are of each rule and caller on each day."""
    found = {
        (label["id"], label["rule"]["id"], entry.record["userIdentity"]["arn"], entry.record["eventTime"][:10])
        for sink in sinks
        for entry in sink.entries
        for label in entry.record.get("alerts", [])
    }
    return Counter(each[1:] for each in found)


class Site:
    """A folder with the rules, and the agents in it."""

    def __init__(self, folder: Path, stack: ExitStack, rules: Sequence[str]) -> None:
        self._folder = folder
        self._stack = stack
        (folder / "rules").mkdir()
        for number, text in enumerate(rules):
            (folder / "rules" / f"{number}.toml").write_text(text)
        self.sinks: list[Sink] = []

    def agent(self, name: str, *settings: str, sink: Sink | None = None, **more: str) -> AgentProcess:
        """One that runs to the end of the test, with a sink of its own unless one is given.

        ``settings`` are those of its state, ``more`` as in `write_config`.
        """
        extra = more.pop("extra", "")
        if sink is None:
            sink = self._stack.enter_context(Sink())
            self.sinks.append(sink)
        config = write_config(
            self._folder / f"{name}.toml",
            downstream=sink.address,
            state=self._folder / name,
            rules=self._folder / "rules",
            extra="\n".join([*(f"state: {setting}" for setting in settings), extra]),
            **more,
        )
        return self._stack.enter_context(AgentProcess(config))


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


def shared(server: RedisServer, prefix: bytes, *more: str) -> list[str]:
    return [f"url = {json.dumps(str(server.url))}", f"prefix = {json.dumps(prefix.decode())}", *more]


@pytest.mark.parametrize("count", [2_000, pytest.param(20_000, marks=pytest.mark.slow)])
def test_four_agents_alert_as_one(redis_server: RedisServer, tmp_path: Path, stack: ExitStack, count: int) -> None:
    chance = random.Random(7)
    rules = (FIRST, OFTEN, ONCE)
    (tmp_path / "fleet").mkdir()
    fleet = Site(tmp_path / "fleet", stack, rules)
    settings = shared(redis_server, new_prefix())
    agents = [fleet.agent(f"agent{number}", *settings) for number in range(AGENTS)]
    (tmp_path / "one").mkdir()
    alone = Site(tmp_path / "one", stack, rules)
    one = alone.agent("one")
    for day in DAYS:
        records = events(day, count // len(DAYS), chance)
        shares = spread(records, chance)
        pushers = [
            Pusher(agent.port, frames(f"{day}-{number}", share))
            for number, (agent, share) in enumerate(zip(agents, shares, strict=True))
        ]
        sent = frames(str(day), records)
        assert len(Pusher(one.port, sent).join()) == len(sent)
        for pusher, share in zip(pushers, shares, strict=True):
            assert len(pusher.join()) == len(frames("", share))
    expected = alerts(alone.sinks)
    assert {rule for rule, _, _ in expected} == {rule_id(1), rule_id(2), rule_id(3)}
    assert alerts(fleet.sinks) == expected
    assert set(expected.values()) == {1}


def in_fleet(folder: Path, stack: ExitStack) -> Site:
    (folder / "fleet").mkdir()
    return Site(folder / "fleet", stack, (FIRST,))


def test_the_same_new_caller_at_two_agents_at_once(redis_server: RedisServer, tmp_path: Path, stack: ExitStack) -> None:
    fleet = in_fleet(tmp_path, stack)
    settings = shared(redis_server, new_prefix())
    agents = [fleet.agent(name, *settings) for name in "ab"]
    sources = [stack.enter_context(Source(agent.port)) for agent in agents]
    for round_number in range(20):
        arn = f"arn:aws:iam::111122223333:user/u{round_number}"
        for number, source in enumerate(sources):
            source.send(frame(f"c{round_number}", call(arn, f"e{round_number}-{number}")))
        for source in sources:
            assert source.ack() == f"c{round_number}"
    assert set(alerts(fleet.sinks).values()) == {1}
    assert len(alerts(fleet.sinks)) == 20


def test_an_agent_that_dies_with_an_alert_on_its_way(
    redis_server: RedisServer, tmp_path: Path, stack: ExitStack
) -> None:
    """Another that comes upon the caller waits for as long as a lease lasts; the first comes back, and knows."""
    fleet = in_fleet(tmp_path, stack)
    settings = shared(redis_server, new_prefix(), 'lease = "1s"')
    deaf = stack.enter_context(Sink(held))
    dying, other = fleet.agent("a", *settings, sink=deaf), fleet.agent("b", *settings)
    arn = "arn:aws:iam::111122223333:user/ada"
    stack.enter_context(Source(dying.port)).send(frame("c1", call(arn, "e1")))
    deaf.wait_for(1)
    with Source(other.port) as source:
        source.send(frame("c2", call(arn, "e2")))
        assert source.is_silent()
        dying.kill()
        assert source.ack() == "c2"
    back = fleet.agent("a", *settings)
    with Source(back.port) as source:
        source.send(frame("c1", call(arn, "e1")))
        assert source.ack() == "c1"
    assert len(alerts(fleet.sinks)) == 1
    assert sum(alerts(fleet.sinks).values()) == 1


def test_the_server_dies_and_comes_back(tmp_path: Path, stack: ExitStack) -> None:
    (tmp_path / "redis").mkdir()
    server = stack.enter_context(RedisServer(tmp_path / "redis"))
    fleet = in_fleet(tmp_path, stack)
    settings = shared(server, new_prefix())
    agents = [fleet.agent(name, *settings) for name in "ab"]
    chance = random.Random(11)
    records = events(2, 2_000, chance)
    shares = spread(records, chance)[:2]
    parts = [
        [frames(agent.config.stem, share)[part::6] for part in range(6)]
        for agent, share in zip(agents, shares, strict=True)
    ]
    for kill in range(3):
        pushers = [Pusher(agent.port, own[2 * kill]) for agent, own in zip(agents, parts, strict=True)]
        told = [len(agent.events) for agent in agents]
        server.kill()
        pushers += [Pusher(agent.port, own[2 * kill + 1]) for agent, own in zip(agents, parts, strict=True)]
        for agent, before in zip(agents, told, strict=True):
            agent.wait_for("state_not_written", since=before)
        server.start()
        acks = [len(pusher.join()) for pusher in pushers]
        assert acks == [len(own[2 * kill + half]) for half in range(2) for own in parts]
    expected = {record["eventID"] for share in shares for record in share}
    assert {entry.record["eventID"] for sink in fleet.sinks for entry in sink.entries} == expected
    callers = {
        record["userIdentity"]["arn"] for share in shares for record in share if record["eventName"] == ACTIONS[0]
    }
    assert alerts(fleet.sinks) == {(rule_id(1), arn, "2026-09-02"): 1 for arn in callers}
    for agent in agents:
        assert agent.stop()["records_rejected"] == 0


def test_alone_while_the_server_is_away(tmp_path: Path, stack: ExitStack) -> None:
    (tmp_path / "redis").mkdir()
    server = stack.enter_context(RedisServer(tmp_path / "redis"))
    fleet = in_fleet(tmp_path, stack)
    agent = fleet.agent("a", *shared(server, new_prefix(), 'when_away = "local"'))
    ada, bob, eve = (f"arn:aws:iam::111122223333:user/{name}" for name in ("ada", "bob", "eve"))
    with Source(agent.port) as source:
        source.send(frame("c1", call(ada, "e1")))
        assert source.ack() == "c1"
        server.kill()
        source.send(frame("c2", call(bob, "e2"), call(ada, "e3")))
        assert source.ack() == "c2"
        agent.wait_for("state_away")
        server.start()
        agent.wait_for("state_shared_again")
        source.send(frame("c3", call(bob, "e4"), call(eve, "e5")))
        assert source.ack() == "c3"
    labels = {
        entry.record["eventID"]: label.get("alone", False)
        for entry in fleet.sinks[0].entries
        for label in entry.record.get("alerts", [])
    }
    assert labels == {"e1": False, "e2": True, "e5": False}
    assert agent.stop()["records_rejected"] == 0


@pytest.mark.parametrize("silent", [False, True], ids=["killed", "hanging"])
def test_what_was_on_its_way_when_the_server_went_away(tmp_path: Path, stack: ExitStack, *, silent: bool) -> None:
    """Known callers and new ones are acknowledged within seconds, in order, and nobody is news again afterwards."""
    (tmp_path / "redis").mkdir()
    server = stack.enter_context(RedisServer(tmp_path / "redis"))
    fleet = in_fleet(tmp_path, stack)
    prefix = new_prefix()
    agent = fleet.agent("a", *shared(server, prefix, 'when_away = "local"'))
    ada, bob = (f"arn:aws:iam::111122223333:user/{name}" for name in ("ada", "bob"))
    with Source(agent.port) as source, Source(agent.port) as again:
        source.send(frame("c1", call(ada, "e1")))
        assert source.ack() == "c1"
        server.signal(signal.SIGSTOP) if silent else server.kill()
        source.send(frame("c2", call(ada, "e2")))
        source.send(frame("c3", call(bob, "e3")))
        again.send(frame("c2", call(ada, "e2")))
        assert (source.ack(), source.ack(), again.ack()) == ("c2", "c3", "c2")
        agent.wait_for("state_away")
        server.signal(signal.SIGCONT) if silent else server.start()
        agent.wait_for("state_shared_again")
        source.send(frame("c4", call(ada, "e4"), call(bob, "e5")))
        assert source.ack() == "c4"
    found = {label["id"]: entry.record["eventID"] for entry in fleet.sinks[0].entries for label in labels_of(entry)}
    assert sorted(found.values()) == ["e1", "e3"]
    counts = {key: server.call("HGET", key, "c") for key in keys(server, prefix)}
    assert sorted(counts.values()) == [b"2", b"3"]
    assert agent.stop()["records_rejected"] == 0


@pytest.mark.parametrize("more", [(), ('when_away = "local"',)], ids=["waiting", "alone"])
def test_an_end_while_the_server_hangs(tmp_path: Path, stack: ExitStack, more: Sequence[str]) -> None:
    """It comes soon after what the drain may take; what was not acknowledged comes again, and is news once."""
    (tmp_path / "redis").mkdir()
    server = stack.enter_context(RedisServer(tmp_path / "redis"))
    fleet = in_fleet(tmp_path, stack)
    settings = shared(server, new_prefix(), *more)
    agent = fleet.agent("a", *settings, extra='input: drain_timeout = "1s"', http="127.0.0.1:0")
    ada, bob = (f"arn:aws:iam::111122223333:user/{name}" for name in ("ada", "bob"))
    with Source(agent.port) as source:
        source.send(frame("c1", call(ada, "e1")))
        assert source.ack() == "c1"
        server.signal(signal.SIGSTOP)
        source.send(frame("c2", call(bob, "e2")))
        time.sleep(0.3)
        begun_s = time.monotonic()
        assert agent.stop()["records_rejected"] == 0
        assert time.monotonic() - begun_s < 1 + LEAVE_S + 1.5
    server.signal(signal.SIGCONT)
    back = fleet.agent("a", *settings)
    with Source(back.port) as source:
        source.send(frame("c3", call(ada, "e3")))
        source.send(frame("c2", call(bob, "e2")))
        assert (source.ack(), source.ack()) == ("c3", "c2")
    found = {label["id"]: entry.record["eventID"] for entry in held_in(fleet) for label in labels_of(entry)}
    assert sorted(found.values()) == ["e1", "e2"]


def held_in(fleet: Site) -> list[Any]:
    return [entry for sink in fleet.sinks for entry in sink.entries]


def labels_of(entry: Any) -> list[dict[str, Any]]:
    return entry.record.get("alerts", [])  # type: ignore[no-any-return]


def keys(server: RedisServer, prefix: bytes) -> list[bytes]:
    """Those of its terms."""
    link = server.link()
    try:
        return sorted(set(link.keys(prefix + b"t:*")))
    finally:
        link.close()
