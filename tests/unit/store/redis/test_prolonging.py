from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from firstseen.errors import StoreError
from firstseen.store.redis import prolonging
from firstseen.store.redis.link import Link, Part
from firstseen.store.redis.prolonging import Grown, Prolonging
from support.redis import RedisServer, new_prefix

pytestmark = pytest.mark.redis

DAY_MS = 86_400_000
LONG = 60
RULE_KEY = b"8 bytes."
GROWN = Grown(RULE_KEY, 20 * DAY_MS, 80 * DAY_MS)


class Bench:
    """Terms of two histories on a server."""

    def __init__(self, server: RedisServer) -> None:
        self.link = server.link()
        self.terms = new_prefix() + b"t:"
        self.prolonging = Prolonging(self.link, self.terms)

    def put(self, key: bytes, days: int | None, field: bytes = b"f") -> bytes:
        self.link.call("HSET", self.terms + key, field, 1)
        if days is not None:
            self.link.call("PEXPIRE", self.terms + key, days * DAY_MS)
        return key

    def days(self, key: bytes) -> float:
        left: int = self.link.call("PTTL", self.terms + key)
        return round(left / DAY_MS, 3) if left >= 0 else left


@pytest.fixture
def bench(redis_server: RedisServer) -> Iterator[Bench]:
    made = Bench(redis_server)
    yield made
    made.prolonging.close()
    made.link.close()


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LONG
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_terms_are_kept_from_their_last_writing_on(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prolonging, "AT_ONCE", 2)
    monkeypatch.setattr(prolonging, "PAUSE_S", 0.001)
    old, new = bench.put(RULE_KEY + b"old", 3), bench.put(RULE_KEY + b"new", 20, b"m")
    longer, ever = bench.put(RULE_KEY + b"longer", 70), bench.put(RULE_KEY + b"ever", None)
    leased, other = bench.put(RULE_KEY + b"leased", 1, b"o"), bench.put(b"8 others", 5)

    bench.prolonging.begin(GROWN)

    until(lambda: bench.days(old) > 60 and bench.days(new) > 60)
    until(lambda: bench.prolonging._thread is None)
    left = [bench.days(key) for key in (old, new, longer, ever, leased, other)]
    assert left == [63, 80, 70, -1, 1, 5]


def test_a_walk_that_fails_is_begun_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prolonging, "RETRY_S", 0.01)
    key = bench.put(RULE_KEY + b"x", 3)
    failures = [StoreError("away"), StoreError("away")]
    each = Link.each

    def fails(link: Link, commands: Sequence[Sequence[Part]]) -> list[Any]:
        if failures and commands[0][0] == "EVALSHA":
            raise failures.pop()
        return each(link, commands)

    monkeypatch.setattr(Link, "each", fails)
    bench.prolonging.begin(GROWN)
    until(lambda: bench.days(key) == 63)
    assert not failures


def test_the_end_breaks_it_off(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prolonging, "AT_ONCE", 1)
    monkeypatch.setattr(prolonging, "PAUSE_S", LONG)
    keys = [bench.put(RULE_KEY + b"%d" % number, 3) for number in range(3)]
    bench.prolonging.begin(GROWN)
    until(lambda: any(bench.days(key) > 3 for key in keys))
    bench.prolonging.close()
    assert sorted(bench.days(key) for key in keys) == [3, 3, 63]
