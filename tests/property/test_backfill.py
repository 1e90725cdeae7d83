"""A state filled from past logs is the one that a replay in the order of time leaves, however the logs lie."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Any

import pytest

from firstseen.backfill import blocks, filling, reading, tasks
from firstseen.backfill.filling import Filling, position_in
from firstseen.backfill.gathering import Gatherer, Span
from firstseen.backfill.reading import Reader
from firstseen.backfill.tasks import plan
from firstseen.detect.law import Occurrence
from firstseen.detect.matches import Moment
from firstseen.detect.new_terms import NewTermsLaw, Sighting
from firstseen.engine import Engine
from firstseen.metrics import Counts
from firstseen.record.instant import iso
from firstseen.rules.ruleset import RuleSet
from firstseen.store.base import Entry, RuleState
from firstseen.store.lmdb import LmdbStore
from firstseen.store.merge import together
from support.rulebook import ARN, rule_id, rule_set, rule_text

START_MS = 1_790_000_000_000
HOUR_MS = 3_600_000
MAP_SIZE = 1 << 24
EVER = Span(0, 1 << 62)

State = dict[tuple[bytes, tuple[Any, ...]], Any]


@pytest.fixture(scope="module")
def rules() -> RuleSet:
    return rule_set(
        rule_text(),
        rule_text('event.outcome: "failure"', (ARN, "cloud.region"), rule_id=rule_id(2), window="now-3h"),
        rule_text("user.name: ada* and event.action: *", ("source.ip",), rule_id=rule_id(3)).replace(
            'timestamp_override = "event.ingested"\n', ""
        ),
    )


def event(chance: random.Random, number: int) -> dict[str, Any]:
    """CloudTrail, or a document of it, some with a time of arrival, each with an id of its own."""
    who = chance.choice(("ada", "ada-2", "bob"))
    arn = f"arn:aws:iam::111122223333:user/{who}"
    time = START_MS + chance.randrange(0, 40) * HOUR_MS // 2
    action = chance.choice(("GetCallerIdentity", "AssumeRole"))
    failed = chance.random() < 0.3
    if chance.random() < 0.3:
        ingested = {"ingested": iso(time + HOUR_MS)} if chance.random() < 0.5 else {}
        return {
            "@timestamp": iso(time),
            "event": {
                "provider": "sts.amazonaws.com",
                "action": action,
                "outcome": "failure" if failed else "success",
                "id": f"e-{number}",
                **ingested,
            },
            "cloud": {"region": "eu-central-1"},
            "user": {"name": who},
            "source": {"ip": chance.choice(["192.0.2.1", ["192.0.2.1", "192.0.2.2"]])},
            "aws": {"cloudtrail": {"user_identity": {"arn": arn}}},
        }
    return {
        "userIdentity": {"type": "IAMUser", "arn": arn, "userName": who},
        "eventTime": iso(time),
        "eventSource": "sts.amazonaws.com",
        "eventName": action,
        "awsRegion": chance.choice(("us-east-1", "eu-central-1")),
        "sourceIPAddress": chance.choice(("192.0.2.1", "192.0.2.2")),
        "eventID": f"e-{number}",
        **({"errorCode": "AccessDenied"} if failed else {}),
    }


def shaped(chance: random.Random, events: Sequence[dict[str, Any]]) -> bytes:
    """The events of one file, in one of the shapes that files have."""
    match chance.randrange(6):
        case 0:
            return json.dumps({"Records": events}).encode()
        case 1:
            return json.dumps(events, indent=1).encode()
        case 2:
            hits = [{"_index": "i", "_source": each} for each in events]
            return json.dumps({"took": 1, "hits": {"hits": hits}}).encode()
        case 3:
            return "".join(json.dumps({"_index": "i", "_source": each}) + "\n" for each in events).encode()
        case 4:
            wrapped = ({"source": "aws.sts", "detail-type": "AWS API Call", "detail": each} for each in events)
            return "\n".join(
                json.dumps(one if "eventID" in one["detail"] else one["detail"]) for one in wrapped
            ).encode()
        case _:
            return "\n".join(map(json.dumps, events)).encode()


def write(chance: random.Random, folder: Path, events: Sequence[dict[str, Any]]) -> list[str]:
    """The events in files, in any order and cut anywhere."""
    mixed = chance.sample(events, len(events))
    files = []
    while mixed:
        size = chance.randrange(1, 30)
        some, mixed = mixed[:size], mixed[size:]
        data = shaped(chance, some)
        path = folder / f"{len(files):03}.json"
        path.write_bytes(gzip.compress(data) if chance.random() < 0.5 else data)
        files.append(str(path))
    return chance.sample(files, len(files))


def state_of(store: LmdbStore) -> State:
    return {(entry.rule_key, entry.terms): entry.memory for entry in store.entries()}


def replayed(rules: RuleSet, folder: Path, events: Sequence[dict[str, Any]]) -> State:
    """What the events leave behind in the order of their times, alerts and all."""

    def time(record: dict[str, Any]) -> str:
        return str(record.get("event", {}).get("ingested") or record.get("@timestamp") or record["eventTime"])

    store = LmdbStore.open(folder, MAP_SIZE, durable=False)
    engine = Engine(rules, store, Counts(), lambda: START_MS)
    for record in sorted(events, key=time):
        store.confirm(engine.inspect(record, Moment(None, START_MS), lambda: "no id").claims).result()
    left = state_of(store)
    store.close()
    return left


class CutError(Exception):
    """Power is cut."""


class Mortal:
    """A state whose process dies instead of writing, where ``dies`` says so."""

    def __init__(self, store: LmdbStore, dies: Callable[[], bool]) -> None:
        self._store = store
        self._dies = dies
        self.mark = store.mark

    def fold(self, found: Mapping[bytes, Entry], marks: Mapping[bytes, bytes]) -> int:
        if self._dies():
            raise CutError
        return self._store.fold(found, marks)


def run(rules: RuleSet, folder: Path, files: Sequence[str], dies: Callable[[], bool]) -> bool:
    """One run over ``files``, in which the process may die; whether it came to its end."""
    store = LmdbStore.open(folder, MAP_SIZE, durable=False)
    try:
        reader = Reader(rules, {rule.id: EVER for rule in rules.rules})
        found = plan(files, b"p", {}, lambda mark: position_in(store, mark))
        reports = (report for task in found.tasks() for report in reader.read(task))
        Filling(Mortal(store, dies), lambda: False, lambda totals: None).run(reports)
    except CutError:
        return False
    finally:
        store.close()
    return True


def comparable(state: State) -> dict[tuple[bytes, tuple[Any, ...]], tuple[int, int, int]]:
    return {key: (memory.first_seen, memory.last_seen, memory.count) for key, memory in state.items()}


@pytest.mark.parametrize("seed", range(40))
def test_any_order_any_cut_any_death_leave_what_a_replay_leaves(
    tmp_path: Path, rules: RuleSet, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Terms, first and last sighting and count are those of a replay in order; who died goes on."""
    chance = random.Random(seed)
    monkeypatch.setattr(blocks, "BLOCK", chance.choice((300, 2_000, 1 << 20)))
    monkeypatch.setattr(reading, "REPORT_BYTES", chance.choice((1, 2_000, 1 << 20)))
    monkeypatch.setattr(tasks, "TASK_FILES", chance.randrange(1, 6))
    monkeypatch.setattr(filling, "COMMIT_TERMS", chance.choice((1, 3, 1_000)))
    events = [event(chance, number) for number in range(chance.randrange(1, 120))]
    files = write(chance, tmp_path, events)

    ended, often = False, chance.choice((0.0, 0.1, 0.3))
    for _ in range(20):
        ended = ended or run(rules, tmp_path / "filled", files, lambda: chance.random() < often)
    ended = ended or run(rules, tmp_path / "filled", files, lambda: False)

    assert ended
    store = LmdbStore.open(tmp_path / "filled", MAP_SIZE)
    filled = state_of(store)
    store.close()
    expected = replayed(rules, tmp_path / "replayed", events)
    assert comparable(filled) == comparable(expected)


def sighting(chance: random.Random) -> Sighting:
    first, last = sorted((chance.randrange(5), chance.randrange(5)))
    return Sighting(first, last, chance.randrange(1, 9), chance.choice("abc"), chance.choice("abc"))


def test_together_is_commutative_and_associative() -> None:
    """Neither order nor grouping means anything."""
    chance = random.Random(1)
    for _ in range(5_000):
        one, two, three = (sighting(chance) for _ in range(3))
        assert together(one, two) == together(two, one)
        assert together(together(one, two), three) == together(one, together(two, three))


def test_what_is_gathered_is_what_its_events_are_together() -> None:
    """One after the other, in place, comes to the same as the law."""
    chance = random.Random(2)
    rule, law = RuleState(b"12345678", "r", "R"), NewTermsLaw(100)
    for _ in range(5_000):
        events = [Occurrence(chance.randrange(4), chance.choice("abc")) for _ in range(chance.randrange(1, 6))]
        gatherer = Gatherer({"r": EVER})
        claim = gatherer.claim(rule, ("ada",), events[0], law)
        for each in events[1:]:
            assert gatherer.extend(claim, each)
        (entry,) = gatherer.take().values()
        assert entry.memory == reduce(together, [Sighting(at, at, 1, name, name) for at, name, _ in events])
