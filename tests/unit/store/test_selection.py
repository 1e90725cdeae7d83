from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from firstseen.detect.new_terms import Sighting
from firstseen.detect.suppression import Window
from firstseen.model import TermValue
from firstseen.store.base import Entry, History, RuleState
from firstseen.store.lmdb import LmdbStore
from firstseen.store.selection import Extent, Selection, current, extents, globbed, key_of, named

ONE, TWO = RuleState(b"rule one", "id-1", "First [new]"), RuleState(b"rule two", "id-2", "Second")
ADA, BOB = "arn:aws:iam::111122223333:user/ada", "arn:aws:iam::111122223333:user/bob"
ALL: list[tuple[RuleState, tuple[TermValue, ...], int]] = [
    (ONE, (ADA,), 10),
    (ONE, (BOB,), 20),
    (ONE, (123,), 30),
    (ONE, ("123",), 40),
    (ONE, (ADA, True), 50),
    (TWO, (ADA,), 60),
]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LmdbStore]:
    opened = LmdbStore.open(tmp_path, 1 << 20, durable=False)
    entries = [Entry(rule.key, terms, Sighting(time, time, 1, "e", "e")) for rule, terms, time in ALL]
    opened.absorb([History(ONE, 1), History(TWO, 2)], [*entries, Entry(TWO.key, (None,), Window(5, 70, "e", 0))])
    yield opened
    opened.close()


def times(store: LmdbStore, selection: Selection) -> list[int]:
    return sorted(entry.memory.last_seen for entry in selection.entries(store))


@pytest.mark.parametrize(
    ("term", "found"),
    [(ADA, [10, 50, 60]), ("ada", []), ("123", [30, 40]), ("true", [50]), ("null", [70]), (ADA + "\n", [])],
)
def test_a_term_is_found_whole_and_by_its_spelling(store: LmdbStore, term: str, found: list[int]) -> None:
    assert times(store, Selection.of_term(term, None)) == found
    assert times(store, Selection.of_term(term, (ONE.key,))) == [time for time in found if time < 60]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        (None, [10, 20, 30, 40, 50, 60, 70]),
        ("user/", [10, 20, 50, 60]),
        ("bob", [20]),
        ("2", [10, 20, 30, 40, 50, 60]),
        ("*ada", [10, 50, 60]),
        ("12?", [30, 40]),
        ("ada*", []),
        ("t*e", [50]),
        ("USER/", []),
    ],
)
def test_a_pattern_fits_a_whole_term_and_other_text_a_part_of_one(
    store: LmdbStore, pattern: str | None, found: list[int]
) -> None:
    assert times(store, Selection.of_pattern(pattern, None, None, None)) == found


@pytest.mark.parametrize("part", [ADA, "user/a", "iam::1111", "/ada", "d", "22223333:user/ada", "aws"])
def test_what_lies_in_short_is_found_by_any_part_of_it(store: LmdbStore, part: str) -> None:
    """And none of the others: it is the only one that was seen so late."""
    event, seen = "6f1c6a1e-0d3b-4c55-9c6a-0123456789ab", 1_790_000_000_000
    store.absorb([], [Entry(ONE.key, (ADA, "x"), Sighting(seen, seen, 1, event, event))])
    store.absorb([], [Entry(ONE.key, (ADA + "x",), Sighting(seen, seen, 1, event, event))])

    assert times(store, Selection.of_pattern(part, None, seen, None)) == [seen, seen]
    assert times(store, Selection.of_term(ADA, None)) == [10, 50, 60, seen]


def test_a_span_of_time_includes_its_ends(store: LmdbStore) -> None:
    assert times(store, Selection(since_ms=20, until_ms=40)) == [20, 30, 40]


def test_going_on_behind_a_key_gives_the_rest(store: LmdbStore) -> None:
    for selection in (Selection(), Selection((TWO.key, ONE.key)), Selection((TWO.key,)), Selection((ONE.key,))):
        whole = list(selection.entries(store))
        for number, entry in enumerate(whole):
            assert list(selection.entries(store, key_of(entry))) == whole[number + 1 :]


def test_rules_go_by_id_name_pattern_and_key(store: LmdbStore) -> None:
    def ids(name: str) -> list[str]:
        return [history.rule.rule_id for history in named(store.rules(), name)]

    assert ids("id-1") == ids("First [new]") == ids("First*") == ids(ONE.key.hex()) == ["id-1"]
    assert ids("id-?") == ["id-1", "id-2"]
    assert ids("first*") == ids("id") == []


def test_patterns_know_no_more_than_two_signs() -> None:
    assert globbed("[a].*")("[a].b\nc")
    assert not globbed("[a].*")("a.b")
    assert globbed(r"C:\*.exe")(r"C:\cmd.exe")
    assert globbed("a\\")("a\\")


def test_no_pattern_takes_long_however_many_stars_it_has() -> None:
    began_s = time.process_time()
    assert not globbed("*a*a*a*a*a*b")("a" * 100)
    assert globbed("*a*a*a*a*a*?")("a" * 100)
    assert time.process_time() - began_s < 0.5


def test_extents(store: LmdbStore) -> None:
    assert extents(store) == {ONE.key: Extent(5, 10, 50), TWO.key: Extent(2, 5, 70)}


def test_the_history_that_began_last_is_the_current_one() -> None:
    changed = RuleState(b"changed.", ONE.rule_id, ONE.name)

    assert current([History(changed, 5), History(ONE, 1), History(TWO, 2)]) == {changed.key, TWO.key}
