import pytest

from firstseen.detect.law import Law, Occurrence
from firstseen.detect.new_terms import NewTermsLaw
from firstseen.detect.reasons import reason
from firstseen.detect.suppression import SuppressionLaw
from firstseen.detect.threshold import ThresholdLaw

DAY_MS = 86_400_000
START = "1970-01-01T00:00:00.000Z"
SEEN = f"last seen {START}"

NEWS = NewTermsLaw(10 * DAY_MS)
COUNT = ThresholdLaw(3, 0, 60_000, 30_000)
DISTINCT = ThresholdLaw(2, 2, 60_000, 30_000)
QUIET = ThresholdLaw(1, 0, 60_000, 30_000, quiet_ms=600_000)
GROUP = SuppressionLaw(60_000)


@pytest.mark.parametrize(
    ("law", "past", "event", "told"),
    [
        (NEWS, [], Occurrence(0, "e"), "never seen"),
        (NEWS, [Occurrence(0, "a")], Occurrence(DAY_MS, "e"), f"{SEEN}, 1d before: no longer ago than 10d"),
        (
            NEWS,
            [Occurrence(0, "a")],
            Occurrence(11 * DAY_MS, "e"),
            f"{SEEN}, 11d before: longer ago than 10d",
        ),
        (NEWS, [Occurrence(0, "e")], Occurrence(0, "e"), f"{SEEN}, which is this very event"),
        (
            NEWS,
            [Occurrence(0, "a")],
            Occurrence(-1, "e"),
            f"{SEEN}, after this event: what comes late is no news",
        ),
        (COUNT, [], Occurrence(0, "e"), f"with this event 1 of 3 needed, since {START}: not enough yet"),
        (
            COUNT,
            [Occurrence(0, "a"), Occurrence(1, "b")],
            Occurrence(2, "e"),
            f"with this event 3 of 3 needed, since {START}: enough",
        ),
        (COUNT, [Occurrence(0, "e")], Occurrence(0, "e"), "this very event is counted already"),
        (COUNT, [Occurrence(90_000, "a")], Occurrence(1, "e"), "older than all that still counts"),
        (
            DISTINCT,
            [Occurrence(0, "a", ("x",))],
            Occurrence(2, "e", ("x",)),
            f"with this event 2 of 2 needed, with 1 of 2 different values, since {START}: not enough yet",
        ),
        (
            QUIET,
            [Occurrence(1, "a")],
            Occurrence(2, "e"),
            "an alert counts it already, with all that comes up to 1970-01-01T00:00:30.000Z",
        ),
        (
            QUIET,
            [Occurrence(0, "a")],
            Occurrence(60_000, "e"),
            "with this event 1 of 1 needed, since 1970-01-01T00:01:00.000Z,"
            f" but an alert within 10m is enough, and there was one at {START}",
        ),
        (GROUP, [], Occurrence(0, "e"), "no alert of this group before"),
        (GROUP, [Occurrence(0, "e")], Occurrence(0, "e"), f"this very event opened the window at {START}"),
        (
            GROUP,
            [Occurrence(0, "a")],
            Occurrence(60_000, "e"),
            f"an alert at {START} opened a window to 1970-01-01T00:01:00.000Z, which holds this one back",
        ),
        (
            GROUP,
            [Occurrence(0, "a")],
            Occurrence(60_001, "e"),
            f"the window of the last alert, at {START}, ended at 1970-01-01T00:01:00.000Z",
        ),
    ],
)
def test_the_reason_for_a_verdict(law: Law[object], past: list[Occurrence], event: Occurrence, told: str) -> None:
    memory: object = None
    for occurrence in past:
        memory = law.remember(memory, occurrence, law.judge(memory, occurrence))

    assert reason(law, memory, event) == told


def test_what_is_no_law_has_no_reason() -> None:
    with pytest.raises(TypeError):
        reason(object(), None, Occurrence(0, "e"))  # type: ignore[arg-type]
