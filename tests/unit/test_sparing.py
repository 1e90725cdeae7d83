from __future__ import annotations

import json
import logging
import tracemalloc
from collections.abc import Sequence
from io import StringIO
from typing import Any

import pytest

from firstseen.logs import JsonFormatter, complain, event
from firstseen.sparing import Sparing


class Bench:
    """A log that is sparing, its clock, and what came out of it."""

    def __init__(self, interval_s: float = 10.0, most: int = 256) -> None:
        self.now_s = 0.0
        self._stream = StringIO()
        out = logging.StreamHandler(self._stream)
        out.setFormatter(JsonFormatter())
        self.sparing = Sparing([out], interval_s, most, lambda: self.now_s)
        self.log = logging.Logger("bench")
        self.log.addHandler(self.sparing)

    def refuse(self, peer: str, reason: str = "no array") -> None:
        complain(self.log, logging.WARNING, "refused", (peer.partition(":")[0], reason), peer=peer, reason=reason)

    @property
    def told(self) -> Sequence[dict[str, Any]]:
        lines = map(json.loads, self._stream.getvalue().splitlines())
        return [{key: value for key, value in line.items() if key not in ("time", "level")} for line in lines]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_the_first_is_told_at_once_and_the_others_when_the_interval_is_over(bench: Bench) -> None:
    for port in range(1, 100):
        bench.refuse(f"192.0.2.7:{port}")
    assert bench.told == [{"event": "refused", "peer": "192.0.2.7:1", "reason": "no array"}]
    bench.now_s = 9.9
    bench.sparing.sum_up(all_of_it=False)
    assert len(bench.told) == 1
    bench.now_s = 10.0
    bench.sparing.sum_up(all_of_it=False)
    assert bench.told[1:] == [{"event": "refused", "peer": "192.0.2.7:99", "reason": "no array", "times": 98}]
    bench.refuse("192.0.2.7:100")
    bench.now_s = 20.0
    bench.sparing.sum_up(all_of_it=False)
    assert [each.get("times") for each in bench.told] == [None, 98, 1]


def test_the_next_record_tells_what_is_due(bench: Bench) -> None:
    bench.refuse("192.0.2.7:1")
    bench.refuse("192.0.2.7:2")
    bench.now_s = 11.0
    event(bench.log, logging.INFO, "other")
    assert [each["event"] for each in bench.told] == ["refused", "refused", "other"]


def test_what_stopped_for_an_interval_is_told_at_once_again(bench: Bench) -> None:
    bench.refuse("192.0.2.7:1")
    bench.now_s = 10.0
    bench.refuse("192.0.2.7:2")
    assert [told["peer"] for told in bench.told] == ["192.0.2.7:1", "192.0.2.7:2"]
    assert not any("times" in told for told in bench.told)


def test_other_peers_and_other_reasons_are_other_things(bench: Bench) -> None:
    for peer in ("192.0.2.7:1", "192.0.2.8:1", "192.0.2.7:2"):
        for reason in ("no array", "too large"):
            bench.refuse(peer, reason)
    assert len(bench.told) == 4
    bench.sparing.sum_up(all_of_it=True)
    assert [(told["peer"], told["reason"], told["times"]) for told in bench.told[4:]] == [
        ("192.0.2.7:2", "no array", 1),
        ("192.0.2.7:2", "too large", 1),
    ]
    bench.sparing.close()
    assert len(bench.told) == 6


def test_the_end_of_the_process_tells_the_rest(bench: Bench) -> None:
    for port in (1, 2, 3):
        bench.refuse(f"192.0.2.7:{port}")
    bench.sparing.close()
    assert [told.get("times") for told in bench.told] == [None, 2]


def test_whoever_has_a_new_reason_each_time_fills_neither_memory_nor_the_log() -> None:
    bench = Bench(most=10)
    for size in range(1_000):
        bench.refuse("192.0.2.7:1", f"{size} bytes")
    assert len(bench.told) == 11
    bench.sparing.sum_up(all_of_it=True)
    assert bench.told[11:] == [{"event": "refused", "several": True, "times": 989}]


def test_what_is_counted_together_is_nobodys_and_what_is_told_apart_stays_his() -> None:
    bench = Bench(most=1)
    complain(bench.log, logging.WARNING, "refused", (), reason="the same for all")
    for peer in range(1, 100):
        bench.refuse(f"192.0.2.{peer}:1")
    complain(bench.log, logging.WARNING, "refused", (), reason="the same for all")
    bench.sparing.sum_up(all_of_it=True)
    assert bench.told == [
        {"event": "refused", "reason": "the same for all"},
        {"event": "refused", "peer": "192.0.2.1:1", "reason": "no array"},
        {"event": "refused", "reason": "the same for all", "times": 1},
        {"event": "refused", "several": True, "times": 98},
    ]


def test_what_is_no_complaint_is_told_each_time(bench: Bench) -> None:
    for _ in range(3):
        event(bench.log, logging.INFO, "reloaded")
    bench.log.warning("of another library")
    assert [told["event"] for told in bench.told] == ["reloaded"] * 3 + ["bench"]


def test_handlers_have_levels_of_their_own() -> None:
    all_of_it, errors = StringIO(), StringIO()
    handlers = [logging.StreamHandler(all_of_it), logging.StreamHandler(errors)]
    handlers[1].setLevel("ERROR")
    log = logging.Logger("bench")
    log.addHandler(Sparing(handlers))
    log.info("small")
    log.error("large")
    assert (all_of_it.getvalue(), errors.getvalue()) == ("small\nlarge\n", "large\n")


def test_what_peers_spell_out_is_kept_cut() -> None:
    bench = Bench()
    tracemalloc.start()
    try:
        for number in range(100):
            tag = f"{number}".ljust(100_000, "x")
            complain(bench.log, logging.ERROR, "refused", (tag, tag), tag=tag, reason=tag, tags=[tag, tag])
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken < 100 * 20_000
    assert [told["tag"] for told in bench.told] == [
        f"{number}".ljust(1_000, "x") + "… (100000 characters)" for number in range(100)
    ]
