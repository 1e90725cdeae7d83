"""Runs the scripts in ``state/*.toml`` against a state of each kind; claims.toml says what the lines mean."""

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
from firstseen.store.base import Claim, ClaimLost, RuleState, Store, Wanted
from firstseen.store.lmdb import LmdbStore
from firstseen.store.redis.store import RedisStore
from support.redis import Fleet, Servers, claim_all
from support.redis_groups import ClusterOfServers

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


class OnDisk:
    """A state in LMDB."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def open(self) -> LmdbStore:
        return LmdbStore.open(self._path, MAP_SIZE, durable=False)

    def claim(self, store: Store, wanted: Wanted) -> Claim:
        return store.claim(*wanted)


class InRedis:
    """A state in Redis, of which one agent takes part in it."""

    def __init__(self, server: Servers, folder: Path) -> None:
        self._fleet = Fleet(server, folder)

    def open(self) -> RedisStore:
        return self._fleet.agent()

    def claim(self, store: Store, wanted: Wanted) -> Claim:
        assert isinstance(store, RedisStore)
        return claim_all(store, [wanted])[0]


class Script:
    """One run: the store, and what the names in the script stand for."""

    def __init__(self, kind: OnDisk | InRedis) -> None:
        self.kind = kind
        self.store: Store = kind.open()
        self.claims: dict[str, Claim] = {}
        self.futures: dict[str, Future[None]] = {}
        self.idle_calls = 0

    def step(self, line: str) -> str:
        """Do what the line says; what it should end with."""
        words = re.sub(r" -> .*", "", line).split()
        match words:
            case ["claim", name, term, "by", event, "at", time]:
                wanted = Wanted(RULE, (term,), Occurrence(int(time), event), LAW)
                claim = self.claims[name] = self.kind.claim(self.store, wanted)
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
                self.store = self.kind.open()
            case ["stored", term]:
                sighting = self.store.get(RULE.key, (term,))
                return " ".join(map(str, sighting)) if isinstance(sighting, Sighting) else "nothing"
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
        claim = self.kind.claim(self.store, Wanted(RULE, ("idle", self.idle_calls), Occurrence(0, "idle"), LAW))
        self.store.confirm([claim]).result(timeout=60)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with ClusterOfServers(tmp_path_factory.mktemp("cluster")) as servers:
        yield servers


KINDS = [
    "lmdb",
    pytest.param("redis_server", marks=pytest.mark.redis),
    pytest.param("cluster", marks=[pytest.mark.redis, pytest.mark.slow]),
]


@pytest.fixture(params=KINDS)
def kind(request, tmp_path):
    return OnDisk(tmp_path) if request.param == "lmdb" else InRedis(request.getfixturevalue(request.param), tmp_path)


@pytest.mark.parametrize("steps", cases())
def test_script(steps, kind):
    script = Script(kind)
    for number, line in enumerate(steps):
        expected = line.partition(" -> ")[2]
        said = script.step(line)
        assert said == expected, "\n" + "\n".join([*steps[:number], f"{line}    but says: {said}"])
    script.store.close()


def test_sightings_are_written_in_the_order_of_their_fields():
    assert Sighting._fields == ("first_seen", "last_seen", "count", "event", "last_event")
