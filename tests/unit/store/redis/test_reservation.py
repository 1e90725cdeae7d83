from __future__ import annotations

from collections.abc import Iterable

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
        self.given_up: list[list[bytes]] = []
        self.made = Reservation(self.reserved.append, self.give_up, Asking(lambda _: None, lambda _: None))

    def give_up(self, reservation: Reservation, keys: Iterable[bytes]) -> None:
        assert reservation is self.made
        self.given_up.append(list(keys))


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


def test_what_was_had_is_given_up_once() -> None:
    taking = Taking()
    taking.made.keys = [b"one"]
    taking.made.end()
    taking.made.end()
    assert taking.given_up == [[b"one"], []]
