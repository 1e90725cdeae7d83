"""The agent is killed at the moments that matter: nothing is lost, nobody is remembered unalerted, repeats keep their
ids.

A chunk's way has four moments: it came (1), downstream has it and has not acked (2), downstream acked and the commit
may or may not be done (3), the sender was acked (4).
"""

from __future__ import annotations

import random
import resource
from pathlib import Path
from typing import Any

import msgpack
import pytest

from support.agent import AgentProcess, write_config
from support.peers import Sink, Source, acked, held

pytestmark = pytest.mark.crash


def call(number: int, event: str) -> dict[str, Any]:
    return {
        "eventVersion": "1.08",
        "userIdentity": {"type": "IAMUser", "arn": f"arn:aws:iam::111122223333:user/u{number}"},
        "eventTime": "2026-09-21T08:00:00Z",
        "eventSource": "sts.amazonaws.com",
        "eventName": "GetCallerIdentity",
        "eventID": event,
    }


def frame(chunk: str, *records: dict[str, Any]) -> bytes:
    return msgpack.packb(["aws", [[1, record] for record in records], {"chunk": chunk}])


def records(sink: Sink) -> list[Any]:
    return [entry.record for entry in sink.entries]


def let_go(sink: Sink) -> None:
    """Ack what was held, and everything from now on."""
    sink.use(acked)
    sink.release()


def labels(records: list[Any]) -> list[tuple[str, str]]:
    """(event, alert id) of each label."""
    return [(record["eventID"], label["id"]) for record in records for label in record.get("alerts", [])]


def test_killed_while_downstream_withholds_its_ack(tmp_path: Path) -> None:
    with Sink(held) as sink:
        config = write_config(tmp_path / "c.toml", downstream=sink.address, state=tmp_path / "state")
        with AgentProcess(config) as agent, Source(agent.port) as client:
            client.send(frame("c", call(1, "e-1"), call(2, "e-2")))
            sink.wait_until(lambda: sink.chunks >= 1)
            assert client.is_silent()
            agent.kill()
            assert client.closes()
        let_go(sink)
        with AgentProcess(config) as agent, Source(agent.port) as client:
            client.send(frame("c", call(1, "e-1"), call(2, "e-2")))
            assert client.ack() == "c"
        first, second = sink.frames

    assert first.raw == second.raw
    assert [event for event, _ in labels(records(sink))] == ["e-1", "e-2"] * 2


def test_killed_before_downstream_was_there(tmp_path: Path) -> None:
    with Sink() as sink:
        address = sink.address
    config = write_config(tmp_path / "c.toml", downstream=address, state=tmp_path / "state")
    with AgentProcess(config) as agent, Source(agent.port) as client:
        client.send(frame("c", call(1, "e-1")))
        agent.wait_for("downstream_unreachable")
        agent.kill()
    with Sink(port=int(address.rpartition(":")[2])) as sink, AgentProcess(config) as agent:
        with Source(agent.port) as client:
            client.send(frame("c", call(1, "e-1")))
            assert client.ack() == "c"
        assert [event for event, _ in labels(records(sink))] == ["e-1"]


def test_a_later_sighting_does_not_outlive_the_alert_before_it(tmp_path: Path) -> None:
    """The first sighting's frame is never acked, a later one's is: after a crash the first one must alert."""
    with Sink(lambda frame: acked(frame) if frame.chunk == "later" else held(frame)) as sink:
        config = write_config(tmp_path / "c.toml", downstream=sink.address, state=tmp_path / "state")
        with AgentProcess(config) as agent, Source(agent.port) as first, Source(agent.port) as second:
            first.send(frame("first", call(1, "e-1")))
            sink.wait_until(lambda: sink.chunks >= 1)
            second.send(frame("later", call(1, "e-2")))
            sink.wait_until(lambda: sink.chunks >= 2)
            assert second.is_silent()
            agent.kill()
        let_go(sink)
        with AgentProcess(config) as agent, Source(agent.port) as client:
            client.send(frame("first", call(1, "e-1")))
            assert client.ack() == "first"
        assert [event for event, _ in labels(records(sink))] == ["e-1", "e-1"]


def test_a_full_disk_delays_acks_and_refuses_nothing(tmp_path: Path) -> None:
    """Refused, the chunk would come again, its alerts with it, and another event might alert in their place."""
    with Sink() as sink:
        config = write_config(tmp_path / "c.toml", downstream=sink.address, state=tmp_path / "state")
        with AgentProcess(config) as agent, Source(agent.port) as client:
            client.send(frame("small", call(0, "e-0")))
            assert client.ack() == "small"
            room = (tmp_path / "state/lmdb/data.mdb").stat().st_size
            limits = resource.prlimit(agent.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(agent.pid, resource.RLIMIT_FSIZE, (room, limits[1]))
            client.send(frame("large", *(call(number, f"e-{number}") for number in range(1, 1000))))
            assert "File too large" in agent.wait_for("state_not_written")["reason"]
            assert client.is_silent()
            with Source(agent.port) as other:
                other.send(frame("other", {"log": "nothing that a rule would match"}))
                assert other.ack() == "other"
            resource.prlimit(agent.pid, resource.RLIMIT_FSIZE, limits)
            assert client.ack() == "large"
            agent.wait_for("state_written_again")
            assert agent.stop()["records_rejected"] == 0
        assert [received.chunk for received in sink.frames] == ["small", "large", "other"]


@pytest.mark.slow
def test_killed_at_random_moments_with_redelivery(tmp_path: Path) -> None:
    """Chunks are sent until they are acked, while the agent is killed again and again."""
    seed = random.SystemRandom().randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    identities, chunks = 40, 60
    pending = [
        [call(rng.randrange(identities), f"e-{chunk}-{number}") for number in range(rng.randint(1, 5))]
        for chunk in range(chunks)
    ]
    acked: list[dict[str, Any]] = []
    with Sink() as sink:
        config = write_config(tmp_path / "c.toml", downstream=sink.address, state=tmp_path / "state")
        sent = 0
        while pending:
            with AgentProcess(config) as agent, Source(agent.port) as client:
                for _ in range(rng.randint(1, 12)):
                    if not pending:
                        break
                    client.send(frame(f"c-{sent}", *pending[0]))
                    if rng.random() < 0.3:
                        break  # killed with this chunk anywhere on its way
                    assert client.ack() == f"c-{sent}"
                    acked += pending.pop(0)
                    sent += 1
                agent.kill()
        _check(records(sink), acked)


def _check(delivered: list[Any], acked: list[dict[str, Any]]) -> None:
    events = {record["eventID"] for record in delivered}
    assert {record["eventID"] for record in acked} <= events, "an acked record is not downstream"

    by_event: dict[str, set[str]] = {}
    for event, alert in labels(delivered):
        by_event.setdefault(event, set()).add(alert)
    assert all(len(ids) == 1 for ids in by_event.values()), "an alert was repeated with another id"

    identities = {record["eventID"]: record["userIdentity"]["arn"] for record in delivered}
    alerted = [identities[event] for event in by_event]
    assert set(alerted) == {record["userIdentity"]["arn"] for record in acked}, "an identity was never alerted"
    first: dict[str, str] = {}
    for record in acked:
        first.setdefault(record["userIdentity"]["arn"], record["eventID"])
    assert set(first.values()) <= set(by_event), "the first sighting of an identity is not the one that alerted"
    assert len(alerted) == len(set(alerted)), "an identity alerted for two different events"
