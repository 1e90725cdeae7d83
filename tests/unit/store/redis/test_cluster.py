"""Against three real servers."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from redis.crc import key_slot
from redis.exceptions import TimeoutError as RedisTimeout

from firstseen.errors import StoreError
from firstseen.store.redis import link as module
from firstseen.store.redis.link import AT_ONCE, ENTER
from support.redis import new_prefix
from support.redis_groups import ClusterOfServers

pytestmark = pytest.mark.redis


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterOfServers]:
    with ClusterOfServers(tmp_path_factory.mktemp("cluster")) as made:
        yield made


def test_commands_go_to_all_servers_and_their_answers_come_in_order(servers: ClusterOfServers) -> None:
    prefix, link = new_prefix(), servers.link()
    numbers = range(AT_ONCE + 10)
    before = [int(server.link().size()) for server in servers.servers]
    assert link.together([("SET", prefix + b"%d" % number, number) for number in numbers]) == [True] * len(numbers)
    assert link.together([("GET", prefix + b"%d" % number) for number in numbers]) == [b"%d" % n for n in numbers]
    assert sorted(set(link.keys(prefix + b"*"))) == sorted(prefix + b"%d" % number for number in numbers)
    assert link.size() == sum(before) + len(numbers)
    assert all(server.link().size() > was for server, was in zip(servers.servers, before, strict=True))
    assert len(link.about("memory")) == 3
    link.close()


def test_what_one_answers_with_an_error_is_told(servers: ClusterOfServers) -> None:
    prefix, link = new_prefix(), servers.link()
    link.call("SET", prefix, 1)
    with pytest.raises(StoreError, match=r"redis\+cluster://.* unreadable under the key .*wrong kind of value"):
        link.together([("SET", prefix + b"a", 1), ("HGET", prefix, "f"), ("SET", prefix + b"b", 1)])
    assert link.together([("GET", prefix + b"a"), ("GET", prefix + b"b")]) == [b"1", b"1"]
    link.close()


def test_servers_that_forgot_their_scripts_learn_them_again(servers: ClusterOfServers) -> None:
    prefix, link = new_prefix(), servers.link()
    enter = [ENTER.on(prefix + b"%d" % number, "f", "", "new") for number in range(30)]
    assert link.together(enter) == [1] * 30
    servers.servers[1].call("SCRIPT", "FLUSH")
    assert link.together(enter) == [1] * 30
    link.close()


@pytest.mark.slow
def test_slots_move_to_a_server_that_had_none(servers: ClusterOfServers) -> None:
    link = servers.link()
    name = new_prefix() + b"{tag}"
    there = [name + b"%d" % number for number in range(4)]
    link.together([("SET", key, 1) for key in there[:2]])
    slot = key_slot(there[0])
    source, newcomer = servers.owner(slot), servers.add()
    servers.meet(newcomer)
    servers.settle()
    newcomer.call("CLUSTER SETSLOT", slot, "IMPORTING", servers.id_of(source))
    source.call("CLUSTER SETSLOT", slot, "MIGRATING", servers.id_of(newcomer))
    source.call("MIGRATE", "127.0.0.1", newcomer.port, there[0], 0, 5_000)
    # One has moved, one has not, and what comes into being does so where all go.
    assert link.together([("GET", key) for key in there[:3]]) == [b"1", b"1", None]
    two = [("SET", there[2], 1), ("GET", there[2]), ENTER.on(there[3], "f", "", "new"), ("HGET", there[3], "f")]
    assert link.together(two) == [True, b"1", 1, b"new"]
    assert newcomer.link().size() == 3
    source.call("MIGRATE", "127.0.0.1", newcomer.port, there[1], 0, 5_000)
    for server in (newcomer, source, *servers.servers):
        server.call("CLUSTER SETSLOT", slot, "NODE", servers.id_of(newcomer))
    assert link.together([("GET", key) for key in there[:3]]) == [b"1"] * 3
    assert set(link.keys(name + b"*")) == set(there)
    link.close()


def test_one_that_hangs_is_waited_for_once(servers: ClusterOfServers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMEOUT_S", 0.2)
    prefix, link = new_prefix(), servers.link()
    commands = [("SET", prefix + b"%d" % number, number) for number in range(AT_ONCE)]
    link.together(commands)
    servers.servers[2].signal(signal.SIGSTOP)
    with pytest.raises(StoreError, match="cannot be reached: Timeout") as caught:
        link.together(commands)
    assert isinstance(caught.value.__cause__, RedisTimeout)
    servers.servers[2].signal(signal.SIGCONT)
    assert link.together(commands) == [True] * AT_ONCE
    link.close()


@pytest.mark.slow
def test_when_the_server_in_the_address_is_gone_the_others_are_asked(servers: ClusterOfServers) -> None:
    link = servers.link()
    keys = [new_prefix() + b"%d" % number for number in range(100)]
    first = servers.servers[0]
    elsewhere = next(key for key in keys if servers.owner(key_slot(key)) is not first)
    link.call("SET", elsewhere, 1)
    first.kill()
    with pytest.raises(StoreError, match="cannot be reached"):
        link.together([("GET", key) for key in keys])
    assert link.call("GET", elsewhere) == b"1"
    first.start()
    servers.settle()
    assert link.together([("GET", key) for key in keys]) == [b"1" if key == elsewhere else None for key in keys]
    link.close()
