"""What alerts when is told by tests/spec/threshold and held against runs by tests/property/test_laws.py."""

from firstseen.detect.law import Occurrence
from firstseen.detect.threshold import MOST_MARKS, MOST_VALUES, Bucket, Tally, ThresholdLaw
from firstseen.model import Verdict


def fed(law: ThresholdLaw, *occurrences: Occurrence) -> Bucket:
    memory: Bucket | None = None
    for occurrence in occurrences:
        memory = law.remember(memory, occurrence, law.judge(memory, occurrence))
    assert memory is not None
    return memory


def test_a_bucket_knows_how_much_came_and_when() -> None:
    bucket = fed(ThresholdLaw(3, 0, 60, 30), Occurrence(5, "e1"), Occurrence(7, "e2"), Occurrence(6, "e3"))

    assert (bucket.first_seen, bucket.last_seen, bucket.events, bucket.event) == (5, 7, 3, "e3")
    assert (bucket.run_ms, bucket.alert_run_ms, bucket.alerted_ms, bucket.spent_ms) == (30, 30, 6, None)


def test_the_tally_has_what_counts_and_nothing_that_is_spent_or_too_old() -> None:
    law = ThresholdLaw(2, 0, 60, 30)
    bucket = fed(law, Occurrence(5, "e1"), Occurrence(6, "e2"), Occurrence(33, "e3", ("a", "b")))

    assert law.tally(bucket, Occurrence(34, "e4", ("b",))) == Tally(2, 2, 33)
    assert law.tally(bucket, Occurrence(500, "e5")) == Tally(1, 0, 500)
    assert law.tally(None, Occurrence(34, "e4")) == Tally(1, 0, 34)


def test_the_tally_of_an_event_that_came_before_has_it_once() -> None:
    law = ThresholdLaw(5, 0, 60, 30)

    assert law.tally(fed(law, Occurrence(5, "e1"), Occurrence(6, "e2")), Occurrence(6, "e2")).count == 2


def test_values_are_told_apart_by_type() -> None:
    law = ThresholdLaw(1, 3, 60, 30)
    before = fed(law, Occurrence(5, "e1", (1, "1")))

    assert law.judge(before, Occurrence(6, "e2", (1,))) is Verdict.KNOWN
    assert law.judge(before, Occurrence(6, "e2", (True,))) is Verdict.NEW


def test_the_verdict_stands_whatever_it_is_remembered_on() -> None:
    """An alert was raised on events that were given back since: it is an alert all the same, and counts what comes."""
    law = ThresholdLaw(3, 0, 60, 30)
    bucket = law.remember(None, Occurrence(5, "e3"), Verdict.NEW)

    assert law.judge(fed(ThresholdLaw(9, 0, 60, 30), Occurrence(5, "e3")), Occurrence(6, "e4")) is Verdict.KNOWN
    assert bucket.alert_run_ms == 30
    assert law.judge(bucket, Occurrence(7, "e4")) is Verdict.KNOWN


def test_a_burst_keeps_a_bounded_bucket() -> None:
    law = ThresholdLaw(2, 0, 60_000, 30_000)

    bucket = fed(law, *(Occurrence(number, f"e{number}") for number in range(MOST_MARKS + 50)))

    assert len(bucket.marks) == MOST_MARKS
    assert bucket.marks[-1].time_ms == MOST_MARKS + 49


def test_a_burst_of_one_value_does_not_push_out_the_others() -> None:
    law = ThresholdLaw(1, 4, 60_000, 30_000)
    rare = [Occurrence(1, "a", ("a",)), Occurrence(2, "b", ("b",))]
    burst = [Occurrence(3 + number, f"e{number}", ("c",)) for number in range(MOST_MARKS + 50)]

    bucket = fed(law, *rare, *burst)

    assert len(bucket.marks) == MOST_MARKS
    assert law.judge(bucket, Occurrence(5_000, "d", ("d",))) is Verdict.NEW


def test_a_burst_of_different_values_keeps_a_bounded_bucket() -> None:
    law = ThresholdLaw(1, 3, 60_000, 30_000)

    bucket = fed(law, *(Occurrence(number, f"e{number}", (f"v{number}",)) for number in range(4 * MOST_MARKS)))

    assert [mark.time_ms for mark in bucket.marks] == list(range(3 * MOST_MARKS, 4 * MOST_MARKS))


def test_an_event_of_many_values_keeps_some_of_them() -> None:
    law = ThresholdLaw(1, MOST_VALUES + 2, 60_000, 30_000)
    values = [f"v{number}" for number in range(10 * MOST_VALUES)]

    assert law.judge(None, Occurrence(1, "few", tuple(values[: MOST_VALUES + 1]))) is Verdict.KNOWN
    assert law.judge(None, Occurrence(1, "many", tuple(values))) is Verdict.NEW
    assert len(fed(law, Occurrence(1, "many", tuple(values))).marks[0].values) == MOST_VALUES + 2
    assert len(fed(ThresholdLaw(1, 2, 60_000, 30_000), Occurrence(1, "many", tuple(values))).marks[0].values) == (
        MOST_VALUES
    )


def test_what_an_alert_has_counted_pushes_out_nothing_that_counts() -> None:
    law = ThresholdLaw(100, 10, 1_800_000, 300_000)
    wide = [Occurrence(60_000 + number, f"w{number}", (f"u{number}",)) for number in range(MOST_MARKS + 50)]
    close = [Occurrence(420_000 + number, f"c{number}", (f"a{number % 20}",)) for number in range(200)]

    alerts = 0
    bucket = None
    for occurrence in (*wide, *close):
        verdict = law.judge(bucket, occurrence)
        bucket = law.remember(bucket, occurrence, verdict)
        alerts += verdict is Verdict.NEW
    assert alerts == 2


def test_a_rule_that_counts_far_keeps_what_it_has_to() -> None:
    law = ThresholdLaw(MOST_MARKS + 100, 0, 60_000, 30_000)
    occurrences = [Occurrence(number, f"e{number}") for number in range(MOST_MARKS + 100)]

    bucket = fed(law, *occurrences[:-1])

    assert law.judge(bucket, occurrences[-1]) is Verdict.NEW
