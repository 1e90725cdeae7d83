from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from firstseen.detect.new_terms import Sighting
from firstseen.detect.threshold import Bucket
from firstseen.errors import StoreError
from firstseen.store.base import Entry, History, RuleState
from firstseen.store.lmdb import LmdbStore
from firstseen.store.redis import copying
from firstseen.store.redis.copying import Copying

RULE_KEY = b"8 bytes."
FULL = 1 << 16


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[LmdbStore]:
    store = LmdbStore.open(tmp_path / "state", FULL, durable=False, alone=True)
    yield store
    store.close()


def note(made: Copying, number: int, last_seen: int = 100) -> None:
    made.note(b"%d" % number, entry(number, last_seen))


def entry(number: int, last_seen: int = 100) -> Entry:
    return Entry(RULE_KEY, (f"{number}{'x' * 100}",), Sighting(1, last_seen, 1, "e1", "e1"))


def test_what_is_noted_is_copied(copy: LmdbStore) -> None:
    made = Copying(copy)
    assert made.newest_ms is None
    for number, last_seen in enumerate((100, 300, 200)):
        note(made, number, last_seen)

    made.catch_up()

    assert {each.terms for each in copy.entries()} == {entry(number).terms for number in range(3)}
    assert (made.waiting, made.newest_ms) == (0, 300)


def test_of_one_term_the_last_is_copied(copy: LmdbStore) -> None:
    made = Copying(copy)
    for last_seen in (100, 300):
        note(made, 1, last_seen)
    assert made.waiting == 1

    made.catch_up()

    assert copy.get(RULE_KEY, entry(1).terms) == entry(1, 300).memory


def test_histories_are_copied_as_they_began(copy: LmdbStore, monkeypatch: pytest.MonkeyPatch) -> None:
    early, late = (RuleState(key, "rule", "Rule", 10) for key in (RULE_KEY, b"8 others"))
    copy.register([early, late], 5)
    made = Copying(copy)
    made.begun([History(early, 3), History(late, 7)])

    def fails(*_: object) -> None:
        raise StoreError("no room")

    with monkeypatch.context() as patch:
        patch.setattr(copy, "absorb", fails)
        with pytest.raises(StoreError, match="no room"):
            made.catch_up()
    made.catch_up()

    assert list(copy.rules()) == [History(early, 3), History(late, 5)]


def test_what_finds_no_room_is_copied_when_there_is_some(copy: LmdbStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "BATCH", 10)
    made = Copying(copy)
    for number in range(400):
        note(made, number)

    with pytest.raises(StoreError, match="is full"):
        made.catch_up()
    copied = sum(1 for _ in copy.entries())
    assert 0 < copied < 400
    assert made.waiting == 400 - copied

    copy.resize(1 << 22).result(10)
    made.catch_up()
    assert (sum(1 for _ in copy.entries()), made.waiting) == (400, 0)


def test_what_never_fits_does_not_keep_others_waiting(copy: LmdbStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "BATCH", 1)
    copy.absorb([], [entry(0)])
    made = Copying(copy)
    made.note(b"0", entry(0)._replace(memory=Bucket(1, 100, 1, "e1", 1, None, None, None, ())))
    note(made, 1)

    for _ in range(2):
        with pytest.raises(StoreError, match="of two laws"):
            made.catch_up()

    assert copy.get(RULE_KEY, entry(1).terms) is not None
    assert made.waiting == 1


def test_what_waits_is_bounded(copy: LmdbStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "MOST_COPIED", 3)
    made = Copying(copy)
    absorbed: list[Entry] = []

    def absorb(_: object, entries: list[Entry]) -> None:
        absorbed.extend(entries)
        for number in range(10, 15):  # meanwhile
            note(made, number)
        raise StoreError("no room")

    monkeypatch.setattr(copy, "absorb", absorb)
    for number in range(5):
        note(made, number)
    assert made.waiting == 3
    with pytest.raises(StoreError, match="no room"):
        made.catch_up()
    assert absorbed == [entry(number) for number in range(3)]
    assert made.waiting == 3


def test_who_catches_up_finds_what_another_was_copying_copied(copy: LmdbStore, monkeypatch: pytest.MonkeyPatch) -> None:
    absorb, goes_on, began = copy.absorb, threading.Event(), threading.Event()

    def slowly(histories: list[History], entries: list[Entry]) -> None:
        began.set()
        assert goes_on.wait(10)
        absorb(histories, entries)

    monkeypatch.setattr(copy, "absorb", slowly)
    made = Copying(copy)
    note(made, 0)
    one, other = threading.Thread(target=made.catch_up), threading.Thread(target=made.catch_up)
    one.start()
    assert began.wait(10)
    other.start()
    other.join(0.05)
    assert other.is_alive()
    goes_on.set()
    other.join(10)
    assert copy.get(RULE_KEY, entry(0).terms) is not None
    one.join(10)


def test_note_is_taken_in_one_thread_while_another_copies(copy: LmdbStore) -> None:
    copy.resize(1 << 22).result(10)
    made = Copying(copy)
    numbers = range(2_000)

    def note_all() -> None:
        for number in numbers:
            note(made, number)

    thread = threading.Thread(target=note_all)
    thread.start()
    while thread.is_alive():
        made.catch_up()
    thread.join()
    made.catch_up()

    assert sum(1 for _ in copy.entries()) == len(numbers)
