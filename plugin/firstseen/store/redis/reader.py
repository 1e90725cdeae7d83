"""A state in Redis or Valkey, as it can be looked at: by agents that write it, and by commands beside them.

Under the prefix lie ``schema``, the version of all that; ``rules``, a hash of histories by the key of each in
hexadecimal, and beside it their era (`firstseen.store.redis.lasting`); ``t:`` and a key
(`firstseen.detect.keys.state_key`) for each term, see `firstseen.store.redis.hashes`; and ``mark:`` and a name for each
file that was read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from firstseen.detect.keys import RULE_KEY_SIZE, state_key
from firstseen.errors import StoreError
from firstseen.model import TermValue
from firstseen.store.base import Entry, History, Memory, RuleState, Stats
from firstseen.store.codec import pack_history, unpack_history
from firstseen.store.redis.hashes import MEMORY, WHOLE, memory_of, terms_in
from firstseen.store.redis.link import Link

SCHEMA = b"1"
"""The version of keys, hashes and scripts. Agents of two versions that differ in it cannot share a state."""

_PAGE = 500
_SPECIAL = re.compile(rb"([*?\[\]\\])")


class RedisReader:
    """See `StateReader`. The state is under ``prefix``."""

    def __init__(self, link: Link, prefix: bytes) -> None:
        self._link = link
        self._prefix = prefix
        self._terms = prefix + b"t:"

    def check(self) -> None:
        """Raises `StoreError` where there is no state, or one that this version cannot read."""
        if not self.is_there():
            raise StoreError(f"there is no state yet under {self._prefix.decode()}")

    def is_there(self) -> bool:
        """Whether there is a state. Raises `StoreError` for one that this version cannot read."""
        return self._schema() is not None

    def get(self, rule_key: bytes, terms: Sequence[TermValue]) -> Memory | None:
        """See `StateReader.get`."""
        key = state_key(rule_key, terms)
        return self._memory(key, self._link.call("HMGET", self._terms + key, *MEMORY))

    def entries(self, rule_key: bytes = b"", after: bytes = b"", holding: bytes = b"") -> Iterator[Entry]:
        """See `StateReader.entries`. All keys are read first: the server knows no order of them."""
        length = len(self._terms)
        found = self._link.keys(matching(self._terms + rule_key))
        keys = iter(sorted({key[length:] for key in found if key[length:] > after}))
        while page := list(islice(keys, _PAGE)):
            answers = self._link.together([("HMGET", self._terms + key, *WHOLE) for key in page])
            for key, values in zip(page, answers, strict=True):
                if not holding or any(holding in value for value in values if value is not None):
                    memory = self._memory(key, values[: len(MEMORY)])
                    if memory is not None:  # else it is gone meanwhile, or nothing but a lease
                        yield Entry(key[:RULE_KEY_SIZE], self._terms_in(key, values), memory)

    def rules(self) -> Iterator[History]:
        """See `StateReader.rules`; by their keys."""
        histories: Mapping[bytes, bytes] = self._link.call("HGETALL", self._prefix + b"rules")
        for field, written in sorted(histories.items()):
            yield self._history(field, written)

    def stats(self) -> Stats:
        """See `StateReader.stats`: all terms are counted. The bytes are of all that is on the servers."""
        count = sum(1 for _ in self._link.keys(matching(self._terms)))
        return self._stats(count)

    def hazards(self) -> Iterator[str]:
        """What in the settings of the servers puts the state at risk, and what to do about it."""
        try:
            told = self._link.about("memory")
        except StoreError as error:
            yield f"whether terms may vanish cannot be told: {error}"
            return
        policies = {str(each.get("maxmemory_policy")) for each in told if int(each.get("maxmemory", 0))}
        for policy in sorted(policies - {"noeviction"}):
            yield (
                f"terms vanish when the server is full, and are news again then: its maxmemory-policy is {policy}; set "
                "it to noeviction, then chunks wait instead"
            )

    def close(self) -> None:
        """See `StateReader.close`."""
        self._link.close()

    def _stats(self, entries: int) -> Stats:
        told = self._link.about("memory")
        used, most = (sum(int(each.get(name, 0)) for each in told) for name in ("used_memory", "maxmemory"))
        return Stats(entries, used, used, most)

    def _schema(self) -> bytes | None:
        """The version of the state; None where there is none. Raises `StoreError` for one that is not ours."""
        schema: bytes | None = self._link.call("GET", self._prefix + b"schema")
        if schema not in (None, SCHEMA):
            raise StoreError(
                f"the state under {self._prefix.decode()} has schema {schema!r}, this version of firstseen works with "
                f"{SCHEMA.decode()}: run one version on all agents, or name another [state] prefix"
            )
        return schema

    def _memory(self, key: bytes, values: Sequence[bytes | None]) -> Memory | None:
        try:
            return memory_of(values)
        except ValueError as error:
            raise self._unreadable(self._terms + key, error) from error

    def _terms_in(self, key: bytes, values: Sequence[bytes | None]) -> tuple[TermValue, ...]:
        try:
            return terms_in(values)
        except ValueError as error:
            raise self._unreadable(self._terms + key, error) from error

    def _history(self, field: bytes, written: bytes) -> History:
        since, _, packed = written.partition(b" ")
        try:
            return unpack_history(bytes.fromhex(field.decode("ascii")), packed)._replace(since_ms=int(since))
        except ValueError as error:
            raise self._unreadable(self._prefix + b"rules", error) from error

    def _unreadable(self, key: bytes, error: ValueError) -> StoreError:
        return StoreError(f"the state holds something unreadable under the key {key!r}: {error}; DEL it to go on")


def matching(start: bytes) -> bytes:
    """The pattern of keys that begin so."""
    return _SPECIAL.sub(rb"\\\1", start) + b"*"


def packed_history(history: History) -> bytes:
    """What is written of it: when it began, which scripts can read, and the rest."""
    return b"%d " % history.since_ms + packed_rule(history.rule)


def packed_rule(rule: RuleState) -> bytes:
    """The rest."""
    return pack_history(History(rule, 0))
