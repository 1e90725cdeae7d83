import time

from firstseen.cli.pastlogs import moment_of, now_ms, time_of
from firstseen.detect.matches import Moment


def test_an_event_is_dated_by_when_it_was_taken_in_else_by_when_it_happened() -> None:
    record = {"@timestamp": "1970-01-01T00:00:01Z", "event": {"ingested": "1970-01-01T00:00:02Z"}}

    assert time_of(record) == 2_000
    assert moment_of(record) == Moment(arrival=None, entry=2_000)
    assert time_of({"@timestamp": "1970-01-01T00:00:01Z"}) == 1_000


def test_an_event_without_a_time_happens_now() -> None:
    before_ms = now_ms()

    assert before_ms <= moment_of({"event": {"action": "Look"}}).entry <= time.time_ns() // 1_000_000


def test_the_clock_is_the_one_of_how_the_event_is_read() -> None:
    record = {
        "eventSource": "s",
        "eventName": "n",
        "eventTime": "1970-01-01T00:00:01Z",
        "@timestamp": "1970-01-01T00:00:02Z",
    }

    assert [time_of(record), time_of(record, "ecs")] == [1_000, 2_000]
    assert moment_of(record, "ecs").entry == 2_000
