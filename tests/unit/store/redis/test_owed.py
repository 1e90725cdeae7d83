from __future__ import annotations

import pytest

from firstseen.detect.law import Occurrence
from firstseen.detect.new_terms import NewTermsLaw
from firstseen.model import Verdict
from firstseen.store.base import Claim, RuleState
from firstseen.store.redis import owed
from firstseen.store.redis.owed import Owed

RULE = RuleState(b"8 bytes.", "rule", "Rule")
X, Y = b"x", b"y"
PLACE = (RULE.key, ("x",))


def claim(term: str = "x") -> Claim:
    return Claim(RULE, (term,), Occurrence(100, "e1"), NewTermsLaw(10), Verdict.NEW, None)


def test_nothing_is_owed_at_first() -> None:
    assert not Owed(all_unmerged=False)
    assert not Owed(all_unmerged=False).holds([X])


def test_what_is_reserved_is_owed_until_the_last_one_gives_it_up() -> None:
    made = Owed(all_unmerged=False)
    made.reserve([X])
    made.reserve([X])
    made.give_up([X])
    assert made.is_reserved(X)
    assert made.holds([Y, X])
    assert not made.holds([Y])
    made.give_up([X])
    assert not made.is_reserved(X)
    assert not made


def test_a_claim_is_owed_until_it_is_merged_or_lost() -> None:
    made = Owed(all_unmerged=False)
    here, lost, there = claim(), claim(), claim()
    for each in (here, lost):
        made.claim(each, X)
    assert made.has(here)
    assert not made.has(there)
    assert made.parted([here, there]) == ([here], [there])
    assert made.parted([lost, here]) == ([lost, here], [])
    made.settle([lost], may_be_there=False)
    assert not made.is_unmerged
    made.settle([here], may_be_there=True)
    assert made.is_unmerged
    made.begin(1)
    assert list(made.merging) == [PLACE]
    assert (made.is_unmerged, made.holds([X])) == (False, True)
    made.end(is_merged=True)
    assert not made


def test_what_could_not_be_merged_is_still_to_be() -> None:
    made = Owed(all_unmerged=False)
    one = claim()
    made.claim(one, X)
    made.settle([one], may_be_there=True)
    made.begin(1)
    made.end(is_merged=False)
    made.begin(1)
    assert list(made.merging) == [PLACE]


def test_where_too_much_is_owed_all_of_the_copy_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owed, "MOST_UNMERGED", 1)
    made = Owed(all_unmerged=False)
    for key, term in ((X, "x"), (Y, "y")):
        one = claim(term)
        made.claim(one, key)
        made.settle([one], may_be_there=True)
    assert made.all_unmerged
    assert made.holds([b"z"])
    made.begin_all()
    assert (made.is_unmerged, made.holds([b"z"])) == (False, True)
    made.end_all(is_merged=False)
    assert made.all_unmerged
    made.begin_all()
    made.end_all(is_merged=True)
    assert not made
