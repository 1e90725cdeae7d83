from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from firstseen.detect.keys import state_key
from firstseen.detect.law import Occurrence
from firstseen.detect.new_terms import NewTermsLaw, Sighting
from firstseen.detect.suppression import Window
from firstseen.errors import StoreError
from firstseen.store.base import Entry, History, RuleState, Wanted
from firstseen.store.redis import reader
from firstseen.store.redis.merging import Merging
from firstseen.store.redis.reader import RedisReader
from support.redis import Fleet, RedisServer, claim_all, new_prefix

pytestmark = pytest.mark.redis

RULE, OTHER = RuleState(b"rule one", "id-1", "A rule", 1_000), RuleState(b"rule two", "id-2", "Another")


def sighting(term: str, rule: RuleState = RULE) -> Entry:
    return Entry(rule.key, (term,), Sighting(1, 2, 3, "e1", "e2"))


def key_of(entry: Entry) -> bytes:
    return state_key(entry.rule_key, entry.terms)


@pytest.fixture
def state(redis_server: RedisServer) -> Iterator[Merging]:
    """A new one, and all that a reader has."""
    with closing(Merging(redis_server.link(), new_prefix())) as made:
        made.begin()
        yield made


def raw_key(state: Merging, entry: Entry) -> bytes:
    return state._terms + key_of(entry)


def test_what_is_remembered_is_told_by_its_key_page_by_page(state: Merging, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "_PAGE", 3)
    everything = [sighting(f"{number:02}", rule) for number in range(10) for rule in (RULE, OTHER)]
    state.absorb([], everything)
    everything.sort(key=key_of)
    own = [entry for entry in everything if entry.rule_key == RULE.key]

    assert list(state.entries()) == everything
    assert list(state.entries(RULE.key)) == own
    for place, entry in enumerate(everything):
        assert list(state.entries(after=key_of(entry))) == everything[place + 1 :]
    for place, entry in enumerate(own):
        assert list(state.entries(RULE.key, key_of(entry))) == own[place + 1 :]


def test_bytes_are_looked_for_in_what_is_kept(state: Merging) -> None:
    ada, bob = sighting("arn:ada"), Entry(OTHER.key, ("arn:bob", None), Window(1, 2, "e-bob", 3))
    state.absorb([], [ada, bob])

    assert list(state.entries(holding=b"arn:ada")) == [ada]
    assert list(state.entries(holding=b"e-bob")) == [bob]
    assert len(list(state.entries(holding=b"arn:"))) == 2
    assert list(state.entries(holding=b"nobody")) == []


def test_one_term_is_asked_for(state: Merging) -> None:
    state.absorb([], [sighting("ada")])

    assert state.get(RULE.key, ("ada",)) == Sighting(1, 2, 3, "e1", "e2")
    assert state.get(RULE.key, ("bob",)) is None
    assert state.get(OTHER.key, ("ada",)) is None


def test_histories_are_told_by_their_key(state: Merging) -> None:
    histories = [History(RuleState(bytes([255 - number]) * 8, f"id-{number}", ""), number) for number in range(20)]
    state.absorb(histories, [])

    assert list(state.rules()) == histories[::-1]


@pytest.mark.parametrize("prefix", [b"*:", b"?:", b"[a-z]:", b"\\:", b"a\\*"])
def test_a_prefix_stands_for_itself(redis_server: RedisServer, prefix: bytes) -> None:
    base = new_prefix()
    states = [Merging(redis_server.link(), base + name) for name in (prefix, b"a:", b"xx:", b"*x:", b"")]
    for number, each in enumerate(states):
        each.begin()
        each.absorb([], [sighting(f"{number}")])

    for number, each in enumerate(states):
        assert [entry.terms for entry in each.entries()] == [(f"{number}",)]
        assert each.stats().entries == 1
        each.close()


def test_a_lease_is_nothing_that_is_remembered(redis_server: RedisServer, tmp_path: Path) -> None:
    fleet = Fleet(redis_server, tmp_path)
    try:
        claim_all(fleet.agent(), [Wanted(RULE, ("ada",), Occurrence(5, "e"), NewTermsLaw(10))])
        with closing(RedisReader(redis_server.link(), fleet.prefix)) as looking:
            assert redis_server.call("EXISTS", looking._terms + key_of(sighting("ada"))) == 1
            assert list(looking.entries()) == []
            assert looking.get(RULE.key, ("ada",)) is None
    finally:
        fleet.close()


def test_what_is_gone_meanwhile_is_left_out(state: Merging) -> None:
    state.absorb([], [sighting("ada"), sighting("bob")])
    looking = state._link
    keys = list(looking.keys(state._terms + b"*"))

    class Late:
        """A way on which what was there is forgotten between its key and itself."""

        def keys(self, pattern: bytes) -> Iterator[bytes]:
            yield from keys
            state.forget(RULE.key, [("ada",)])

        together = staticmethod(looking.together)

    late = RedisReader(Late(), state._prefix)  # type: ignore[arg-type]  # as much of a link as is asked for here

    assert list(late.entries()) == [sighting("bob")]


def test_the_size_is_that_of_the_terms_and_of_the_server(state: Merging) -> None:
    state.absorb([History(RULE, 1)], [sighting("ada"), sighting("bob")])

    stats = state.stats()

    assert (stats.entries, stats.map_size) == (2, 0)
    assert stats.used_bytes == stats.file_bytes > 0


def test_there_is_no_state_yet(redis_server: RedisServer) -> None:
    prefix = new_prefix()
    with closing(RedisReader(redis_server.link(), prefix)) as looking:
        assert not looking.is_there()
        with pytest.raises(StoreError, match=f"there is no state yet under {prefix.decode()}"):
            looking.check()


def test_a_state_of_another_version_is_refused(redis_server: RedisServer) -> None:
    prefix = new_prefix()
    redis_server.call("SET", prefix + b"schema", b"2")
    with closing(Merging(redis_server.link(), prefix)) as other:
        for use in (other.check, other.is_there, other.begin):
            with pytest.raises(StoreError, match="has schema b'2', this version of firstseen works with 1: run one"):
                use()
    assert redis_server.call("GET", prefix + b"schema") == b"2"


def in_hash(*fields: bytes | str) -> Callable[[RedisServer, bytes], object]:
    return lambda server, key: server.call("HSET", key, *fields)


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (in_hash("f", "1"), "a part of it is missing"),
        (in_hash("f", "x", "l", "2", "c", "3", "e", "", "g", ""), "invalid literal"),
        (in_hash("f", "1", "l", "2", "c", "3", "e", b"\xff", "g", ""), "can't decode"),
        (in_hash("m", b"\xc1"), "it is no msgpack"),
        (in_hash("m", b"\x01"), "it is no sighting"),
    ],
)
def test_what_cannot_be_read_is_told_of_with_its_key(
    redis_server: RedisServer, state: Merging, broken: Callable[[RedisServer, bytes], object], says: str
) -> None:
    key = raw_key(state, sighting("ada"))
    broken(redis_server, key)

    for use in (lambda: state.get(RULE.key, ("ada",)), lambda: list(state.entries())):
        with pytest.raises(StoreError) as caught:
            use()
        assert f"the state holds something unreadable under the key {key!r}: " in str(caught.value)
        assert says in str(caught.value)
        assert str(caught.value).endswith("; DEL it to go on")


@pytest.mark.parametrize(
    ("terms", "says"),
    [((), "its terms are missing"), (("t", b"\xc1"), "it is no msgpack"), (("t", b"\x01"), "they are no terms")],
)
def test_terms_that_cannot_be_read(
    redis_server: RedisServer, state: Merging, terms: tuple[Any, ...], says: str
) -> None:
    in_hash("f", "1", "l", "2", "c", "3", "e", "", "g", "", *terms)(redis_server, raw_key(state, sighting("ada")))

    with pytest.raises(StoreError, match=says):
        list(state.entries())


@pytest.mark.parametrize("written", [b"", b"5", b"5 \xc1", b"x \x80", b"5 \x80"])
def test_a_history_that_cannot_be_read(redis_server: RedisServer, state: Merging, written: bytes) -> None:
    redis_server.call("HSET", state._prefix + b"rules", RULE.key.hex(), written)

    with pytest.raises(StoreError, match=r"something unreadable under the key .*rules'"):
        list(state.rules())


def test_what_is_no_hash_is_told_of(redis_server: RedisServer, state: Merging) -> None:
    redis_server.call("SET", raw_key(state, sighting("ada")), b"x")

    with pytest.raises(StoreError, match=r"unreadable under the key .*: WRONGTYPE .*; DEL it"):
        state.get(RULE.key, ("ada",))


class Teller:
    """In the place of a link: the answers of servers, or that they may not be asked."""

    def __init__(self, *told: dict[str, object]) -> None:
        self._told = told

    def about(self, section: str) -> list[dict[str, object]]:
        assert section == "memory"
        if not self._told:
            raise StoreError("no permission")
        return list(self._told)


@pytest.mark.parametrize(
    ("told", "hazards"),
    [
        ([{"maxmemory": 0, "maxmemory_policy": "allkeys-lru"}], []),
        ([{"maxmemory": 1, "maxmemory_policy": "noeviction"}], []),
        ([{"maxmemory": 1, "maxmemory_policy": "volatile-ttl"}], ["its maxmemory-policy is volatile-ttl"]),
        (
            [{"maxmemory": 1, "maxmemory_policy": policy} for policy in ("allkeys-lru", "noeviction", "allkeys-lru")],
            ["its maxmemory-policy is allkeys-lru"],
        ),
        ([], ["whether terms may vanish cannot be told: no permission"]),
    ],
)
def test_servers_that_forget_are_a_hazard(told: list[dict[str, object]], hazards: list[str]) -> None:
    found = list(RedisReader(Teller(*told), b"p:").hazards())  # type: ignore[arg-type]
    assert len(found) == len(hazards)
    assert all(hazard in each for each, hazard in zip(found, hazards, strict=True))
