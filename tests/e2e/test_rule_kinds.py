"""Rules of every kind in the installed agent, over real sockets: what they count and hold back outlives its death."""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path
from typing import Any

import msgpack
import pytest

from firstseen.detect.law import Occurrence
from firstseen.detect.threshold import Bucket, ThresholdLaw
from firstseen.model import Verdict
from support.agent import FIRSTSEEN, AgentProcess, write_config
from support.peers import Sink, Source, acked, held
from support.rulebook import ARN, call, rule_id

pytestmark = pytest.mark.e2e

ADA, BOB = "arn:aws:iam::111122223333:user/ada", "arn:aws:iam::111122223333:user/bob"
MINUTE_MS = 60_000

HEAD = """
[rule]
type = "{type}"
rule_id = "{id}"
name = "{name}"
severity = "low"
risk_score = 21
from = "now-60m"
interval = "30m"
query = "{query}"
"""
ASKS = "event.action: GetCallerIdentity"


def head(rule_type: str, number: int, query: str = ASKS) -> str:
    return HEAD.format(type=rule_type, id=rule_id(number), name=f"Rule {number}", query=query)


THRESHOLD = head("threshold", 1) + f'threshold = {{field = ["{ARN}"], value = 3}}\n'
SUPPRESSED = head("query", 2) + (
    f'alert_suppression = {{group_by = ["{ARN}"], duration = {{value = 1, unit = "h"}}}}\n'
)
BUILDING_BLOCK = head("query", 3) + 'building_block_type = "default"\n'
PLAIN = head("query", 4, "event.action: AssumeRole")


def at(arn: str, event: str, minute: int, action: str = "GetCallerIdentity") -> dict[str, Any]:
    """A call so many minutes after eight, which is when a run would be."""
    return call(arn, event, action) | {"eventTime": f"2026-09-21T{8 + minute // 60:02}:{minute % 60:02}:00Z"}


def forward(chunk: str, *records: dict[str, Any]) -> bytes:
    return msgpack.packb(["aws", [[1_790_000_000, record] for record in records], {"chunk": chunk}])


def deliver(agent: AgentProcess, *records: dict[str, Any]) -> None:
    """Send the records in a chunk, until it is acked."""
    chunk = f"c-{records[0]['eventID']}"
    with Source(agent.port) as client:
        client.send(forward(chunk, *records))
        assert client.ack() == chunk


def alerts(sink: Sink) -> list[tuple[str, dict[str, Any]]]:
    """(event, label), as they came downstream."""
    return [(entry.record["eventID"], label) for entry in sink.entries for label in entry.record.get("alerts", [])]


def configured(folder: Path, sink: Sink, *rules: str, extra: str = "") -> Path:
    (folder / "rules").mkdir()
    for number, text in enumerate(rules):
        (folder / f"rules/{number}.toml").write_text(text)
    return write_config(
        folder / "firstseen.toml", downstream=sink.address, state=folder / "state", rules=folder / "rules", extra=extra
    )


def test_a_count_survives_a_crash_and_the_alert_that_is_repeated_keeps_its_id(tmp_path: Path, sink: Sink) -> None:
    config = configured(tmp_path, sink, THRESHOLD)
    with AgentProcess(config) as agent:
        deliver(agent, at(ADA, "e-1", 1), at(BOB, "e-2", 1))
        deliver(agent, at(ADA, "e-3", 2))
        agent.kill()
    sink.use(held)
    with AgentProcess(config) as agent, Source(agent.port) as client:
        client.send(forward("third", at(ADA, "e-4", 3)))
        sink.wait_until(lambda: sink.chunks == 3)
        agent.kill()
    sink.use(acked)
    sink.release()
    with AgentProcess(config) as agent:
        with Source(agent.port) as client:
            client.send(forward("third", at(ADA, "e-4", 3)))
            assert client.ack() == "third"
        deliver(agent, at(ADA, "e-5", 4), at(BOB, "e-6", 4))
        totals = agent.stop()

    assert totals["matches"] == totals["alerts"] + totals["suppressed"] == 3
    (event, label), (event_again, repeated) = alerts(sink)
    assert (event, event_again) == ("e-4", "e-4")
    assert label == repeated
    assert label["threshold"] == {
        "fields": [ARN],
        "values": [ADA],
        "count": 3,
        "from": "2026-09-21T08:01:00.000Z",
    }


@pytest.mark.slow
def test_counts_are_exact_whenever_the_agent_is_killed(tmp_path: Path, sink: Sink) -> None:
    """What alerts is what the law says of the events in their order, each counted once however often it comes."""
    seed = random.SystemRandom().randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    pending = [at((ADA, BOB)[number % 3 == 2], f"e-{number}", 4 * number) for number in range(24)]
    expected = alerting(pending)
    config = configured(tmp_path, sink, THRESHOLD)
    while pending:
        with AgentProcess(config) as agent, Source(agent.port) as client:
            for _ in range(rng.randint(1, 12)):
                if not pending:
                    break
                client.send(forward(pending[0]["eventID"], pending[0]))
                if rng.random() < 0.3:
                    break  # killed with this chunk anywhere on its way
                assert client.ack() == pending.pop(0)["eventID"]
            agent.kill()

    ids: dict[str, set[str]] = {}
    for event, label in alerts(sink):
        ids.setdefault(event, set()).add(label["id"])
    assert len(expected) > 2
    assert set(ids) == expected
    assert all(len(each) == 1 for each in ids.values()), "an alert was repeated with another id"


def alerting(events: list[dict[str, Any]]) -> set[str]:
    law = ThresholdLaw(3, 0, 60 * MINUTE_MS, 30 * MINUTE_MS)
    buckets: dict[str, Bucket] = {}
    found = set()
    for number, event in enumerate(events):
        arn = event["userIdentity"]["arn"]
        occurrence = Occurrence(8 * 60 * MINUTE_MS + 4 * number * MINUTE_MS, event["eventID"])
        verdict = law.judge(buckets.get(arn), occurrence)
        buckets[arn] = law.remember(buckets.get(arn), occurrence, verdict)
        if verdict is Verdict.NEW:
            found.add(event["eventID"])
    return found


def test_a_suppression_holds_back_what_comes_in_its_window_also_after_a_crash(tmp_path: Path, sink: Sink) -> None:
    config = configured(tmp_path, sink, SUPPRESSED)
    with AgentProcess(config) as agent:
        deliver(agent, at(ADA, "e-1", 0), at(ADA, "e-2", 10))
        agent.kill()
    with AgentProcess(config) as agent:
        deliver(agent, at(ADA, "e-3", 30), at(BOB, "e-4", 30))
        deliver(agent, at(ADA, "e-5", 61))
        totals = agent.stop()

    assert [event for event, _ in alerts(sink)] == ["e-1", "e-4", "e-5"]
    assert [label["suppression"]["values"] for _, label in alerts(sink)] == [[ADA], [BOB], [ADA]]
    assert (totals["alerts"], totals["suppressed"]) == (2, 1)


def test_what_only_other_rules_look_at_keeps_its_tag(tmp_path: Path, sink: Sink) -> None:
    config = configured(tmp_path, sink, BUILDING_BLOCK, PLAIN, extra='alerts: tag_prefix = "alert."')
    with AgentProcess(config) as agent:
        deliver(agent, at(ADA, "block", 0), at(ADA, "plain", 0, "AssumeRole"), at(ADA, "none", 0, "Other"))
        agent.stop()

    tags = {entry.record["eventID"]: frame.tag for frame in sink.frames for entry in frame.entries}
    labels = dict(alerts(sink))
    assert tags == {"block": "aws", "plain": "alert.aws", "none": "aws"}
    assert labels["block"]["building_block"] is True
    assert "building_block" not in labels["plain"]


def test_a_running_agent_s_state_can_be_asked_for_an_explanation(tmp_path: Path, sink: Sink) -> None:
    config = configured(tmp_path, sink, THRESHOLD)
    next_one = tmp_path / "next.json"
    next_one.write_text(json.dumps(at(ADA, "e-3", 3)))
    with AgentProcess(config) as agent:
        deliver(agent, at(ADA, "e-1", 1), at(ADA, "e-2", 2))
        arguments = ["explain", "-c", config, "--state", tmp_path / "state", "--output", "json", next_one]
        for _ in range(2):
            done = subprocess.run([FIRSTSEEN, *arguments], capture_output=True, check=True, timeout=60)
            (rule,) = json.loads(done.stdout)["rules"]
            assert rule["outcome"] == "alert"
            assert rule["answers"][0]["reason"].startswith("with this event 3 of 3 needed")
        deliver(agent, at(ADA, "e-3", 3))

    assert [event for event, _ in alerts(sink)] == ["e-3"]
