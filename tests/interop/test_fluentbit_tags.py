"""What a real Fluent Bit makes of alerts under a tag of their own, and of log groups."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from support import fluentbit
from support.agent import AgentProcess, write_config
from support.calls import FIRST, TIME_NS, events, frames, without_alerts
from support.fluentbit import FluentBit, forward, free_port
from support.peer_frames import Entry, entry_v2
from support.peer_frames import forward as forward_frame
from support.peers import Sink, Source

pytestmark = fluentbit.marks

COUNT = 12
GROUP_START_NS = 0xFFFFFFFF * 10**9
GROUP_END_NS = 0xFFFFFFFE * 10**9
GROUP = {"schema": "otlp", "resource_id": 0, "scope_id": 0}
BODY = {"resource": {"attributes": {"service.name": "trail"}}, "scope": {"name": "one"}}


def grouped() -> bytes:
    """Records, all of them in one group."""
    entries = [
        entry_v2(BODY, GROUP_START_NS, GROUP),
        *(entry_v2(event, TIME_NS + number, {"n": number}) for number, event in enumerate(events(COUNT))),
        entry_v2({}, GROUP_END_NS),
    ]
    return forward_frame("aws", entries, chunk="a group", size=len(entries))


def records_in_groups(entries: Iterable[Entry]) -> list[tuple[Entry, Any]]:
    """The records, each with the body of the group that it is in, None where it is in none."""
    found, group = [], None
    for entry in entries:
        if entry.time_ns == GROUP_START_NS:
            assert entry.metadata == GROUP
            group = entry.record
        elif entry.time_ns == GROUP_END_NS:
            group = None
        else:
            found.append((entry, group))
    return found


@pytest.mark.parametrize("prefix", ["", "alert."])
def test_groups_stay_together_on_the_way_to_fluent_bit(prefix: str, tmp_path: Path, sink: Sink) -> None:
    port = free_port()
    config = write_config(
        tmp_path / "c.toml",
        downstream=f"127.0.0.1:{port}",
        state=tmp_path / "state",
        extra=f'alerts: tag_prefix = "{prefix}"',
    )

    with (
        FluentBit.between(tmp_path, "downstream", forward(port), forward(sink.port)),
        AgentProcess(config) as agent,
        Source(agent.port) as source,
    ):
        source.deliver([grouped()])
        sink.wait_until(lambda: len(records_in_groups(sink.entries)) >= COUNT)
        totals = agent.stop()

    found = sorted(records_in_groups(sink.entries), key=lambda pair: pair[0].time_ns)
    assert [without_alerts(entry.record) for entry, _ in found] == events(COUNT)
    assert [entry.metadata for entry, _ in found] == [{"n": number} for number in range(COUNT)]
    assert all(group == BODY for _, group in found)
    alerts = {entry.record["eventID"]: entry.tag for entry, _ in found if "alerts" in entry.record}
    assert alerts == dict.fromkeys(FIRST, f"{prefix}aws")
    assert {entry.tag for entry, _ in found if "alerts" not in entry.record} == {"aws"}
    assert (totals["records_in"], totals["records_out"]) == (COUNT, COUNT)


def test_groups_come_from_fluent_bit(tmp_path: Path, sink: Sink) -> None:
    port = free_port()
    config = write_config(tmp_path / "c.toml", downstream=sink.address, state=tmp_path / "state")

    with AgentProcess(config) as agent:
        output = forward(agent.port, require_ack_response=True)
        with FluentBit.between(tmp_path, "upstream", forward(port), output), Source(port) as source:
            source.deliver([grouped()])
            sink.wait_until(lambda: len(records_in_groups(sink.entries)) >= COUNT)
        totals = agent.stop()

    assert [group for _, group in records_in_groups(sink.entries)] == [BODY] * COUNT
    assert [entry.record["eventID"] for entry in sink.entries if "alerts" in entry.record] == FIRST
    assert (totals["records_in"], totals["records_out"]) == (COUNT, COUNT)


def test_alerts_are_routed_by_their_tag(tmp_path: Path, sink: Sink) -> None:
    port = free_port()
    config = write_config(
        tmp_path / "c.toml",
        downstream=f"127.0.0.1:{port}",
        state=tmp_path / "state",
        extra='alerts: tag_prefix = "alert."',
    )

    with (
        FluentBit.between(tmp_path, "downstream", forward(port), forward(sink.port, match="alert.*")),
        AgentProcess(config) as agent,
        Source(agent.port) as source,
    ):
        for mode in ("message", "forward", "packed", "compressed"):
            source.deliver(frames(mode, events(COUNT), tag=f"aws.{mode}"))
        sink.wait_for(len(FIRST))

    assert [(entry.tag, entry.record["eventID"]) for entry in sink.entries] == [
        ("alert.aws.message", each) for each in FIRST
    ]
