"""Takes the power away in the middle of commits, on the files of a real state.

LMDB writes the pages of a transaction, waits until they are on the disk, and writes the meta page that names them,
again waiting. So what a power loss leaves of a commit is the file before it with any of the pages that it wrote, and
the meta page before it; or, once all of the pages are there, the one after. The file is read after each commit; from
each two that follow each other such files are made, and each has to be the state before.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from firstseen.detect.law import Occurrence
from firstseen.detect.new_terms import NewTermsLaw
from firstseen.store.base import Entry, RuleState
from firstseen.store.lmdb import LmdbStore
from firstseen.store.sweep import kept_ms

RULE = RuleState(b"8 bytes.", "rule", "Rule", 10)
LAW = NewTermsLaw(10)
MAP_SIZE = 1 << 22
PAGE = 4_096
METAS = 2
COMMITS = 60
LOSSES = 4


def pages(data: bytes) -> list[bytes]:
    return [data[at : at + PAGE] for at in range(0, len(data), PAGE)]


def torn(before: bytes, after: bytes, chance: random.Random) -> bytes:
    """The file before a commit, with some of the pages of the commit and not its meta page."""
    found = pages(before)
    for number, page in enumerate(pages(after)):
        if number >= METAS and chance.random() < 0.5:
            found += [bytes(PAGE)] * (number + 1 - len(found))
            found[number] = page
    return b"".join(found)


def all_but_the_meta_page(before: bytes, after: bytes) -> bytes:
    return before[: METAS * PAGE] + after[METAS * PAGE :]


def work(store: LmdbStore, chance: random.Random) -> Iterator[None]:
    """Commits of all sorts: new terms, known ones, both in one, terms forgotten, terms that are over."""
    for number in range(COMMITS):
        if number % 10 == 9:
            store.prune(kept_ms(10) + chance.randrange(number * 100)).result(60)
        elif number % 10 == 4:
            known = [entry.terms for entry in store.entries()]
            store.forget(RULE.key, chance.sample(known, len(known) // 2))
        else:
            terms = [
                (f"{chance.randrange(600):0{chance.choice([10, 300, 5_000])}}",) for _ in range(chance.randrange(80))
            ]
            occurrence = Occurrence(number * 100, f"e{number}")
            store.confirm([store.claim(RULE, each, occurrence, LAW) for each in terms]).result(60)
        yield


def entries_of(path: Path, data: bytes) -> list[Entry]:
    """What a state with this file remembers, after the start that follows the power loss; and whether it works."""
    (path / "lmdb").mkdir(parents=True)
    (path / "lmdb" / "data.mdb").write_bytes(data)
    store = LmdbStore.open(path, MAP_SIZE, durable=False)
    found = list(store.entries())
    store.confirm([store.claim(RULE, ("later",), Occurrence(1 << 40, "later"), LAW)]).result(60)
    store.forget(RULE.key, [("later",)])
    assert list(store.entries()) == found
    store.close()
    return found


@pytest.mark.crash
def test_a_power_loss_leaves_a_commit_whole_or_not_at_all(tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    print("seed", seed)
    chance = random.Random(seed)
    store = LmdbStore.open(tmp_path / "state", MAP_SIZE)
    store.register([RULE], 0)
    file = tmp_path / "state" / "lmdb" / "data.mdb"
    before, known = file.read_bytes(), list(store.entries())
    losses = 0
    for number, _ in enumerate(work(store, chance)):
        after, known_after = file.read_bytes(), list(store.entries())
        left = {torn(before, after, chance) for _ in range(LOSSES)} | {all_but_the_meta_page(before, after)}
        for each, data in enumerate(left - {before}):
            assert entries_of(tmp_path / f"{number}-{each}", data) == known, (number, each)
            losses += 1
        before, known = after, known_after
    assert entries_of(tmp_path / "last", before) == known
    assert losses > COMMITS
    store.close()
