from __future__ import annotations

import pytest

from firstseen.detect.keys import state_key
from firstseen.detect.law import Occurrence
from firstseen.detect.new_terms import NewTermsLaw
from firstseen.errors import StoreError
from firstseen.store.base import RuleState, Wanted
from firstseen.store.redis.ask import Asking
from firstseen.store.redis.reservation import Reservation

RULE = RuleState(b"8 bytes.", "rule", "Rule")
WANTED = Wanted(RULE, ("ada",), Occurrence(100, "e1"), NewTermsLaw(10))


class Taking:
    """Whoever it is reserved with."""

    def __init__(self) -> None:
        self.reserved: list[Reservation] = []
        self.given_up: list[Reservation] = []
        self.made = Reservation(self.reserved.append, self.given_up.append, Asking(lambda _: None, lambda _: None))


def test_what_is_wanted_is_asked_for_and_may_be_had_in_either() -> None:
    taking = Taking()
    taking.made.add(WANTED)
    ready = taking.made.ask()
    assert taking.reserved == [taking.made]
    assert taking.made.wanted == {state_key(RULE.key, ("ada",))}
    assert [ask.terms for ask in taking.made.there.wanted] == [("ada",)]
    assert not ready.done()

    taking.made.over(None)

    assert ready.result(0) is None


def test_it_may_fail() -> None:
    taking = Taking()
    ready = taking.made.ask()
    taking.made.over(StoreError("closed"))
    with pytest.raises(StoreError, match="closed"):
        ready.result(0)


def test_that_it_ends_is_told() -> None:
    taking = Taking()
    taking.made.end()
    assert taking.given_up == [taking.made]
