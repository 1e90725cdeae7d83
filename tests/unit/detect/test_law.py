import pytest

from firstseen.detect.law import Law, Occurrence
from firstseen.detect.new_terms import NewTermsLaw
from firstseen.detect.suppression import SuppressionLaw
from firstseen.detect.threshold import ThresholdLaw
from firstseen.model import Verdict


def test_an_occurrence_adds_no_values_unless_it_says_so() -> None:
    assert Occurrence(1, "e") == (1, "e", ())


@pytest.mark.parametrize("law", [NewTermsLaw(10), ThresholdLaw(1, 0, 60, 30), SuppressionLaw(10)])
def test_every_law_takes_what_was_never_seen_for_news_and_remembers_it(law: Law[object]) -> None:
    first, second = Occurrence(5, "e1"), Occurrence(6, "e2")

    assert law.judge(None, first) is Verdict.NEW
    memory = law.remember(None, first, Verdict.NEW)
    assert law.judge(memory, second) is Verdict.KNOWN
    assert law.remember(memory, first, Verdict.AGAIN) == memory


@pytest.mark.parametrize(
    ("law", "reach_ms"),
    [
        (NewTermsLaw(10), 10),
        (SuppressionLaw(20), 20),
        (ThresholdLaw(3, 0, 30, 4), 34),
        (ThresholdLaw(3, 0, 30, 4, 50), 50),
    ],
)
def test_how_long_what_is_remembered_may_decide(law: Law[object], reach_ms: int) -> None:
    assert law.reach_ms == reach_ms
