from __future__ import annotations

import pytest

from firstseen.detect.keys import state_key
from firstseen.detect.law import Occurrence
from firstseen.detect.new_terms import NewTermsLaw
from firstseen.store.base import RuleState
from firstseen.store.codec import pack_terms
from firstseen.store.ledger import Change, Ledger
from firstseen.store.redis import sightings
from firstseen.store.redis.link import REMEMBER
from firstseen.store.redis.sightings import remembering

RULE = RuleState(b"8 bytes.", "rule", "Rule")


def change() -> Change:
    """An alert, and two events with it."""
    ledger = Ledger({}.get)
    law = NewTermsLaw(10)
    claims = [ledger.claim(RULE, ("x",), Occurrence(100 + number, f"e{number}"), law) for number in range(2)]
    assert ledger.extend(claims[1], Occurrence(102, "e\udc80"))
    ledger.confirm(claims)
    (made,) = ledger.take()
    assert made.key == state_key(RULE.key, ("x",))
    return made


def test_each_event_is_remembered_as_it_was_judged() -> None:
    parts = (100, b"e0", "alert", 101, b"e1", "known", 102, b"e\xed\xb2\x80", "known")
    (command,) = remembering(b"key", b"me", change(), (b"token", 1, 60))
    assert command == REMEMBER.on(b"key", b"me", b"token", 1, 60, pack_terms(("x",)), *parts)


def test_too_many_events_for_one_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sightings, "MOST_SIGHTINGS", 2)
    first, last = remembering(b"key", b"me", change(), (b"token", 1, 60))
    assert last[-3:] == (102, b"e\xed\xb2\x80", "known")
    assert last[4:8] == (b"me", b"token", 1, 60)
    assert len(first) - len(last) == 3
    assert first[5] != b"token"
    assert first[6:8] == (0, 60), "the lease goes with the last one"
