from __future__ import annotations

import inspect

import msgspec
import pytest

from firstseen.detect.new_terms import Sighting
from firstseen.errors import StoreError
from firstseen.model import Verdict
from firstseen.store.base import Claim, ClaimLost, Entry, RuleState, StateReader, Stats, Store
from firstseen.store.lmdb import LmdbReader, LmdbStore

RULE = RuleState(b"8 bytes.", "rule", "Rule")


def claim() -> Claim:
    return Claim(RULE, ("x",), 100, "e1", Verdict.NEW, None)


def test_a_claim_is_only_itself_however_equal_another_looks() -> None:
    one, twin = claim(), claim()

    assert one != twin
    assert len({one, twin, one}) == 2


def test_rules_are_compared_by_what_they_hold() -> None:
    assert RuleState(b"8 bytes.", "rule", "Rule") == RULE
    assert RuleState(b"8 bytes.", "rule", "Renamed") != RULE


@pytest.mark.parametrize("value", [RULE, claim(), Stats(1, 2, 3, 4)], ids=lambda value: type(value).__name__)
def test_values_cannot_be_changed(value) -> None:
    for field in msgspec.structs.fields(value):
        with pytest.raises(AttributeError):
            setattr(value, field.name, None)


def test_an_entry_is_read_in_the_order_of_its_key() -> None:
    sighting = Sighting(100, 100, 1, "e1", "e1")

    rule_key, terms, seen = Entry(RULE.key, ("x",), sighting)

    assert (rule_key, terms, seen) == (RULE.key, ("x",), sighting)


def test_a_lost_claim_is_handled_wherever_a_store_error_is() -> None:
    assert issubclass(ClaimLost, StoreError)


@pytest.mark.parametrize(
    ("interface", "implementation"), [(StateReader, LmdbReader), (StateReader, LmdbStore), (Store, LmdbStore)]
)
def test_what_the_interface_says_is_what_there_is(interface: type, implementation: type) -> None:
    methods = [name for name, value in vars(interface).items() if inspect.isfunction(value) and name[0] != "_"]

    assert methods
    for name in methods:
        assert inspect.signature(getattr(implementation, name)) == inspect.signature(getattr(interface, name)), name
