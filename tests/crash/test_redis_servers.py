"""Servers of a shared state end, hang, are full, and others take over: what waits goes on by itself after that."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest
from redis.crc import key_slot

from firstseen.detect.keys import state_key
from firstseen.detect.law import Occurrence
from firstseen.detect.new_terms import NewTermsLaw, Sighting
from firstseen.errors import StoreError
from firstseen.model import Verdict
from firstseen.store.base import RuleState, Wanted
from firstseen.store.redis import link as module
from firstseen.store.redis.link import Link
from firstseen.store.redis.owner import Owner
from firstseen.store.redis.store import RedisStore
from support.redis import LEASE_MS, TIMEOUT_S, RedisServer, claim_all
from support.redis_groups import ClusterOfServers, Watched, until

pytestmark = [pytest.mark.crash, pytest.mark.redis]

RULE = RuleState(b"8 bytes.", "rule", "Rule")
LAW = NewTermsLaw(10)
PREFIX = b"firstseen:"


def wanted(term: object, event: str = "e") -> Wanted:
    return Wanted(RULE, (term,), Occurrence(1, event), LAW)


class Site:
    """An agent's part in the state, and what it was told about trouble."""

    def __init__(self, link: Link, folder: Path) -> None:
        self.told: list[StoreError | None] = []
        self.store = RedisStore(link, PREFIX, Owner.take(folder), LEASE_MS, self.told.append)
        self.store.begin()

    def alert(self, term: object) -> Future[None]:
        """A new term, delivered."""
        (claim,) = claim_all(self.store, [wanted(term)])
        assert claim.verdict is Verdict.NEW
        return self.store.confirm([claim])

    def remembers(self, term: object) -> bool:
        return isinstance(self.store.get(RULE.key, (term,)), Sighting)

    def passes_through(self, trouble: Callable[[], None], relief: Callable[[], None]) -> str:
        """What is delivered in the time of trouble is remembered after it; what was said about the trouble."""
        self.alert("before").result(TIMEOUT_S)
        (claim,) = claim_all(self.store, [wanted("meanwhile")])
        trouble()
        confirmed = self.store.confirm([claim])
        reservation = self.store.reservation()
        reservation.add(wanted("later"))
        reserved = reservation.ask()
        until(lambda: self.store.problem is not None, "it has a problem")
        until(lambda: len(self.told) == 1, "somebody is told")
        assert not confirmed.done()
        assert not reserved.done()
        relief()
        confirmed.result(TIMEOUT_S)
        reserved.result(TIMEOUT_S)
        assert self.store.claim(*wanted("later")).verdict is Verdict.NEW
        reservation.end()
        until(lambda: len(self.told) == 2, "somebody is told that it is over")
        assert self.store.problem is None
        problem, nothing = self.told
        assert nothing is None
        for term in ("before", "meanwhile"):
            assert self.remembers(term)
            assert claim_all(self.store, [wanted(term, "other")])[0].verdict is Verdict.KNOWN
        return str(problem)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMEOUT_S", 0.5)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    folder = tmp_path / "server"
    folder.mkdir()
    with RedisServer(folder) as made:
        yield made


def test_a_server_that_is_killed(server: RedisServer, tmp_path: Path) -> None:
    site = Site(server.link(), tmp_path / "a")
    assert "cannot be reached: " in site.passes_through(server.kill, server.start)
    site.store.close()


@pytest.mark.usefixtures("quick")
def test_a_server_that_hangs(server: RedisServer, tmp_path: Path) -> None:
    site = Site(server.link(), tmp_path / "a")
    said = site.passes_through(lambda: server.signal(signal.SIGSTOP), lambda: server.signal(signal.SIGCONT))
    assert "cannot be reached: Timeout" in said
    site.store.close()


def test_a_server_that_is_full(server: RedisServer, tmp_path: Path) -> None:
    site = Site(server.link(), tmp_path / "a")
    said = site.passes_through(
        lambda: server.call("CONFIG", "SET", "maxmemory", 1) and None,
        lambda: server.call("CONFIG", "SET", "maxmemory", "100mb") and None,
    )
    assert said.endswith("it is full: give it a larger maxmemory, or forget terms (firstseen state forget)")
    site.store.close()


@pytest.mark.slow
@pytest.mark.parametrize("end", ["killed", "hangs"])
@pytest.mark.usefixtures("quick")
def test_sentinels_name_another_primary(tmp_path: Path, end: str) -> None:
    with Watched(tmp_path, "of-the-servers", "of-the-sentinels") as servers:
        site = Site(servers.link(), tmp_path / "a")
        for number in range(200):
            site.alert(number).result(TIMEOUT_S)
        until(servers.is_replicated, "the replica has all of it")
        primary = servers.primary

        def trouble() -> None:
            until(servers.is_replicated, "the replica has all of it")
            primary.kill() if end == "killed" else primary.signal(signal.SIGSTOP)

        said = site.passes_through(trouble, lambda: None)
        assert "of-the-servers" not in said
        assert "of-the-sentinels" not in said
        assert all(site.remembers(number) for number in range(200))
        assert servers.replica.call("INFO", "replication")["role"] == "master"
        if end == "hangs":  # it comes back and is told that it is a replica now
            primary.signal(signal.SIGCONT)
            until(lambda: primary.call("INFO", "replication")["role"] == "slave", "it follows the new one")
            site.alert("after").result(TIMEOUT_S)
        assert [told is None for told in site.told] == [False, True]
        site.store.close()


@pytest.mark.slow
def test_a_server_of_a_cluster_is_killed(tmp_path: Path) -> None:
    with ClusterOfServers(tmp_path) as servers:
        site = Site(servers.link(), tmp_path / "a")
        owner = servers.owner(key_slot(PREFIX + b"t:" + state_key(RULE.key, ("meanwhile",))))
        for number in range(200):
            site.alert(number).result(TIMEOUT_S)
        assert all(server.link().size() > 20 for server in servers.servers)

        def relief() -> None:
            owner.start()
            servers.settle()

        assert "cannot be reached: " in site.passes_through(owner.kill, relief)
        assert all(site.remembers(number) for number in range(200))
        assert len(list(site.store.entries())) == 202
        site.store.close()


@pytest.mark.slow
@pytest.mark.usefixtures("quick")
def test_slots_move_while_agents_work(tmp_path: Path) -> None:
    with ClusterOfServers(tmp_path) as servers:
        site = Site(servers.link(), tmp_path / "a")
        site.alert("moves").result(TIMEOUT_S)
        key = PREFIX + b"t:" + state_key(RULE.key, ("moves",))
        source, newcomer = servers.owner(key_slot(key)), servers.add()
        servers.meet(newcomer)
        servers.settle()
        for slot in range(key_slot(key) - 100, key_slot(key) + 1):
            newcomer.call("CLUSTER SETSLOT", slot, "IMPORTING", servers.id_of(source))
            source.call("CLUSTER SETSLOT", slot, "MIGRATING", servers.id_of(newcomer))
        source.call("MIGRATE", "127.0.0.1", newcomer.port, key, 0, 5_000)
        (claim,) = claim_all(site.store, [wanted("moves", "other")])
        assert claim.verdict is Verdict.KNOWN
        site.store.confirm([claim]).result(TIMEOUT_S)
        for number in range(500):  # some of them into slots that move
            site.alert(number).result(TIMEOUT_S)
        assert newcomer.link().size() > 1
        memory = site.store.get(RULE.key, ("moves",))
        assert isinstance(memory, Sighting)
        assert memory.count == 2
        assert site.told == []
        site.store.close()
