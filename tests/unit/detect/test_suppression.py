import pytest

from firstseen.detect.law import Occurrence
from firstseen.detect.suppression import SuppressionLaw, Window
from firstseen.model import Verdict

LAW = SuppressionLaw(100)
OPEN = Window(1_000, 1_000, "first", 0)


@pytest.mark.parametrize(
    ("time_ms", "verdict"), [(1_000, Verdict.KNOWN), (1_100, Verdict.KNOWN), (1_101, Verdict.NEW), (10, Verdict.KNOWN)]
)
def test_an_alert_holds_others_back_until_its_window_ends(time_ms: int, verdict: Verdict) -> None:
    assert LAW.judge(OPEN, Occurrence(time_ms, "e")) is verdict


def test_what_is_held_back_is_counted_and_does_not_move_the_window() -> None:
    memory = OPEN
    for number in range(3):
        memory = LAW.remember(memory, Occurrence(1_010 + number, f"e{number}"), Verdict.KNOWN)

    assert memory == Window(1_000, 1_012, "first", 3)
    assert LAW.judge(memory, Occurrence(1_101, "e")) is Verdict.NEW


def test_the_next_alert_opens_the_next_window() -> None:
    held = OPEN._replace(suppressed=7)

    assert LAW.remember(held, Occurrence(2_000, "next"), Verdict.NEW) == Window(2_000, 2_000, "next", 0)


@pytest.mark.parametrize("verdict", list(Verdict))
def test_the_alert_that_opened_the_window_comes_again(verdict: Verdict) -> None:
    assert LAW.remember(OPEN, Occurrence(1_500, "first"), verdict) == OPEN
