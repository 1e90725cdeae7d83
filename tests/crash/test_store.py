"""Kills a process that writes a state, again and again, and looks at what is left.

Run as a program, this file is that process: it claims and confirms in a loop, several chunks on their way at once, and
says what it does on standard output, one line each, in the order in which it happens. If it is told to, it has the
database written anew and its map resized all the time.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections import deque
from concurrent.futures import Future
from pathlib import Path

import pytest

from firstseen.detect.law import Occurrence
from firstseen.detect.new_terms import NewTermsLaw
from firstseen.store.base import RuleState
from firstseen.store.lmdb import LmdbStore

RULE = RuleState(b"8 bytes.", "rule", "Rule")
LAW = NewTermsLaw(10)
MAP_SIZE = 1 << 26
KILLS = 12
ON_THEIR_WAY = 4
ROOM_EVERY = 5
"""Chunks from one time that room is made to the next."""


def say(what: str, chunk: int) -> None:
    os.write(1, f"{what} {chunk}\n".encode("ascii"))


def write_for_ever(path: Path, chunk: int, *, makes_room: bool) -> None:
    """Each chunk has a term of its own, one that all share, and one that is claimed and never confirmed."""
    store = LmdbStore.open(path, MAP_SIZE)
    waiting: deque[Future[None]] = deque()
    while True:
        occurrence = Occurrence(chunk * 1_000, f"e{chunk}")
        claims = [store.claim(RULE, terms, occurrence, LAW) for terms in (("own", chunk), ("shared",))]
        store.claim(RULE, ("pending", chunk), occurrence, LAW)
        say("delivered", chunk)
        future = store.confirm(claims)
        future.add_done_callback(lambda done, chunk=chunk: done.result() or say("durable", chunk))
        waiting.append(future)
        if len(waiting) > ON_THEIR_WAY:
            waiting.popleft().result()
        chunk += 1
        if makes_room and chunk % ROOM_EVERY == 0:
            store.compact()
            store.resize(MAP_SIZE + (chunk << 12))


def killed_at_random(path: Path, first_chunk: int, chance: random.Random, *, makes_room: bool) -> list[tuple[str, int]]:
    """Let the process write until some number of lines came, kill it there, and return all that it said."""
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path)))
    command = [sys.executable, __file__, str(path), str(first_chunk), str(int(makes_room))]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(chance.randrange(1, 400))]
        os.kill(process.pid, signal.SIGKILL)
        lines += process.stdout.readlines()
    assert process.returncode == -signal.SIGKILL
    return [(what, int(chunk)) for what, chunk in map(str.split, lines)]


@pytest.mark.crash
@pytest.mark.parametrize("makes_room", [False, True])
def test_what_was_durable_is_there_and_what_was_pending_is_not(tmp_path, makes_room):
    seed = random.randrange(1 << 32)
    print("seed", seed)
    chance = random.Random(seed)
    durable: set[int] = set()
    delivered: set[int] = set()
    for _ in range(KILLS):
        said = killed_at_random(tmp_path, max(delivered, default=-1) + 1, chance, makes_room=makes_room)
        durable |= {chunk for what, chunk in said if what == "durable"}
        delivered |= {chunk for what, chunk in said if what == "delivered"}
        store = LmdbStore.open(tmp_path, MAP_SIZE)
        assert {file.name for file in tmp_path.iterdir()} == {"lmdb", "lock"}
        found = {entry.terms: entry.memory for entry in store.entries()}
        own = {chunk for name, *rest in found if name == "own" for chunk in rest}
        assert durable <= own <= delivered
        assert not [terms for terms in found if terms[0] == "pending"]
        assert {chunk * 1_000 for chunk in own} <= {found["own", chunk].last_seen for chunk in own}
        if own:
            # The shared term was confirmed with each chunk: both of a chunk's terms are there, or none.
            assert found["shared",].last_seen == max(own) * 1_000
            assert found["shared",].count == len(own)
        store.close()
    assert durable


if __name__ == "__main__":
    write_for_ever(Path(sys.argv[1]), int(sys.argv[2]), makes_room=sys.argv[3] == "1")
