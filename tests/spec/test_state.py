"""Runs the scripts in ``state/*.toml`` against a state on disk; claims.toml says what the lines mean."""

from __future__ import annotations

import re
import tomllib
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from firstseen.detect.law import Occurrence
from firstseen.detect.new_terms import NewTermsLaw, Sighting
from firstseen.errors import StoreError
from firstseen.store.base import Claim, ClaimLost, RuleState
from firstseen.store.lmdb import LmdbStore

FILES = sorted((Path(__file__).parent / "state").glob("*.toml"))
RULE = RuleState(b"8 bytes.", "rule", "Rule")
LAW = NewTermsLaw(10)
MAP_SIZE = 1 << 20


def cases() -> list[Any]:
    return [
        pytest.param(case["steps"], id=f"{file.stem}: {case['name']}")
        for file in FILES
        for case in tomllib.loads(file.read_text("utf-8"))["case"]
    ]


class Script:
    """One run: the store, and what the names in the script stand for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.store = LmdbStore.open(path, MAP_SIZE, durable=False)
        self.claims: dict[str, Claim] = {}
        self.futures: dict[str, Future[None]] = {}
        self.idle_calls = 0

    def step(self, line: str) -> str:
        """Do what the line says; what it should end with."""
        words = re.sub(r" -> .*", "", line).split()
        match words:
            case ["claim", name, term, "by", event, "at", time]:
                claim = self.claims[name] = self.store.claim(RULE, (term,), Occurrence(int(time), event), LAW)
                return claim.verdict.value + ("" if claim.before is None else f" after {claim.before.last_seen}")
            case ["confirm", *names]:
                future = self.store.confirm([self.claims[name] for name in names])
                self.futures.update(dict.fromkeys(names, future))
                return self.standing(future)
            case ["confirmed", name]:
                return self.standing(self.futures[name])
            case ["release", *names]:
                self.store.release([self.claims[name] for name in names])
            case ["reopen"]:
                self.store.close()
                self.store = LmdbStore.open(self.path, MAP_SIZE, durable=False)
            case ["stored", term]:
                sighting = self.store.get(RULE.key, (term,))
                return "nothing" if sighting is None else " ".join(map(str, sighting))
            case _:
                raise AssertionError(f"{line!r} is no step")
        return ""

    def standing(self, future: Future[None]) -> str:
        self.let_the_writer_finish()
        if not future.done():
            return "waits"
        match future.exception():
            case None:
                return "durable"
            case ClaimLost():
                return "lost"
            case StoreError():
                return "closed"
            case error:
                return repr(error)

    def let_the_writer_finish(self) -> None:
        """What is confirmed later is written no earlier."""
        self.idle_calls += 1
        claim = self.store.claim(RULE, ("idle", self.idle_calls), Occurrence(0, "idle"), LAW)
        self.store.confirm([claim]).result(timeout=60)


@pytest.mark.parametrize("steps", cases())
def test_script(steps, tmp_path):
    script = Script(tmp_path)
    for number, line in enumerate(steps):
        expected = line.partition(" -> ")[2]
        said = script.step(line)
        assert said == expected, "\n" + "\n".join([*steps[:number], f"{line}    but says: {said}"])
    script.store.close()


def test_sightings_are_written_in_the_order_of_their_fields():
    assert Sighting._fields == ("first_seen", "last_seen", "count", "event", "last_event")
