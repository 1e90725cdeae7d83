from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from firstseen.backfill import filling
from firstseen.backfill.filling import Filling, Outcome, position_in
from firstseen.backfill.reading import DONE, Report, Totals
from firstseen.detect.keys import state_key
from firstseen.detect.new_terms import Sighting
from firstseen.errors import StoreError
from firstseen.store.base import Entry
from firstseen.store.lmdb import LmdbStore

RULE = b"12345678"
ADA = state_key(RULE, ("ada",))


def report(time_ms: int, **marks: int) -> Report:
    entry = Entry(RULE, ("ada",), Sighting(time_ms, time_ms, 1, f"e-{time_ms}", f"e-{time_ms}"))
    return Report({ADA: entry}, {name.encode(): position for name, position in marks.items()}, Totals(events=1))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LmdbStore]:
    opened = LmdbStore.open(tmp_path / "state", 1 << 24)
    yield opened
    opened.close()


def fill(store: filling.Fillable, *reports: Report | None, stopped: Callable[[], bool] = lambda: False) -> Outcome:
    made = Filling(store, stopped, lambda totals: None)
    made.run(reports)
    return made.outcome


def test_reports_end_in_the_state_with_their_marks(store: LmdbStore) -> None:
    outcome = fill(store, report(20, a=5), None, report(10, a=DONE, b=DONE))

    assert store.get(RULE, ("ada",)) == Sighting(10, 20, 2, "e-10", "e-20")
    assert [position_in(store, name) for name in (b"a", b"b", b"c")] == [DONE, DONE, None]
    assert (outcome.new, outcome.totals.events, outcome.stopped) == (1, 2, False)


def test_what_the_state_has_is_added_to(store: LmdbStore) -> None:
    fill(store, report(20))

    outcome = fill(store, report(30))

    assert store.get(RULE, ("ada",)) == Sighting(20, 30, 2, "e-20", "e-30")
    assert outcome.new == 0


def test_when_stopped_what_came_is_kept(store: LmdbStore) -> None:
    outcome = fill(store, report(10, a=DONE), report(20, b=DONE), stopped=lambda: True)

    assert outcome.stopped
    assert store.get(RULE, ("ada",)) == Sighting(10, 10, 1, "e-10", "e-10")
    assert [position_in(store, name) for name in (b"a", b"b")] == [DONE, None]


def test_progress_is_told_report_by_report(store: LmdbStore) -> None:
    told: list[int] = []

    Filling(store, lambda: False, lambda totals: told.append(totals.events)).run([report(1), None, report(2)])

    assert told == [1, 1]


class Counting:
    """A state that counts its transactions, and fails in one of them."""

    def __init__(self, fails_at: int) -> None:
        self.folds: list[set[bytes]] = []
        self._fails_at = fails_at

    def fold(self, found: Mapping[bytes, Entry], marks: Mapping[bytes, bytes]) -> int:
        self.folds.append(set(marks))
        if len(self.folds) == self._fails_at:
            raise StoreError("full")
        return 0

    def mark(self, name: bytes) -> bytes | None:
        return None


def test_terms_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filling, "COMMIT_TERMS", 1)
    store = Counting(0)

    fill(store, report(1, a=1), report(2, b=1))

    assert store.folds == [{b"a"}, {b"b"}]


def test_less_is_written_at_once_where_others_wait_for_the_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filling, "COMMIT_TERMS_SHARED", 1)
    alone, shared = Counting(0), Counting(0)

    for store, is_shared in ((alone, False), (shared, True)):
        Filling(store, lambda: False, lambda totals: None, is_shared=is_shared).run([report(1, a=1), report(2, b=1)])

    assert (alone.folds, shared.folds) == ([{b"a", b"b"}], [{b"a"}, {b"b"}])


def test_what_could_not_be_written_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filling, "COMMIT_TERMS", 1)
    store = Counting(1)

    with pytest.raises(StoreError, match="full"):
        fill(store, report(1, a=1), report(2, b=1))

    assert store.folds == [{b"a"}], "and it is not tried again"
