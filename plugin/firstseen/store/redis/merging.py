"""What is written into a shared state besides claims: what other states know, what past logs show, what is forgotten.

All of it can be done while agents run. Each term is exchanged for what it is to be only if it still is what was read;
else it is read and put together anew.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from firstseen.detect.keys import state_key
from firstseen.errors import StoreError
from firstseen.model import TermValue
from firstseen.store.base import Entry, History, Memory, RuleState
from firstseen.store.merge import merged, merged_history
from firstseen.store.redis.hashes import MEMORY, WRITTEN, fields_of
from firstseen.store.redis.link import ENTER, REGISTER, SWAP, Part
from firstseen.store.redis.reader import SCHEMA, RedisReader, packed_history, packed_rule
from firstseen.store.sweep import kept_ms

_TOKEN_BYTES = 6

Together = Callable[[Any, Any], Memory]


class Merging(RedisReader):
    """A shared state that takes in more. Everything raises `StoreError`, and may have been done in part then."""

    def begin(self) -> None:
        """Make the state where there is none. Raises `StoreError` for one that this version cannot read."""
        self._link.call("SET", self._prefix + b"schema", SCHEMA, "NX")
        self.check()

    def register(self, rule: RuleState, now_ms: int) -> int:
        """See `firstseen.store.base.Claims.register`."""
        rules, field = self._prefix + b"rules", rule.key.hex()
        return int(self._link.call(*REGISTER.on(rules, field, now_ms, packed_rule(rule))))

    def absorb(self, histories: Sequence[History], entries: Sequence[Entry]) -> None:
        """Take what another state knows into this one (`firstseen.store.merge`)."""
        for history in histories:
            self._enter(history)
        found: dict[bytes, Entry] = {}
        for entry in entries:
            key = state_key(entry.rule_key, entry.terms)
            known = found.get(key)
            found[key] = entry if known is None else entry._replace(memory=merged(known.memory, entry.memory))
        self._put(found, merged)

    def fold(self, found: Mapping[bytes, Entry], marks: Mapping[bytes, bytes], together: Together) -> int:
        """Remember ``found``, by `state_key`, and behind it keep ``marks`` for `mark`.

        What is remembered of a term already is put ``together`` with what was found. Returns how many of the terms are
        new.
        """
        new = self._put(found, together)
        self._link.together([("SET", self._prefix + b"mark:" + name, value) for name, value in marks.items()])
        return new

    def mark(self, name: bytes) -> bytes | None:
        """What `fold` kept under ``name``."""
        value: bytes | None = self._link.call("GET", self._prefix + b"mark:" + name)
        return value

    def forget(self, rule_key: bytes, terms: Sequence[Sequence[TermValue]]) -> None:
        """Remember these no longer. What an agent has on its way for one of them may be remembered after that."""
        keys = [self._terms + state_key(rule_key, each) for each in terms]
        self._link.together([("HDEL", key, *WRITTEN) for key in keys])

    def forget_history(self, rule_key: bytes) -> None:
        """Let a history begin anew when its rule is loaded next. What is remembered under it stays: see `forget`."""
        self._link.call("HDEL", self._prefix + b"rules", rule_key.hex())

    def _enter(self, history: History) -> None:
        rules, field = self._prefix + b"rules", history.rule.key.hex().encode()
        while True:
            written: bytes | None = self._link.call("HGET", rules, field)
            known = None if written is None else self._history(field, written)
            to_be = history if known is None else merged_history(known, history)
            if self._link.call(*ENTER.on(rules, field, written or b"", packed_history(to_be))):
                return

    def _put(self, found: Mapping[bytes, Entry], together: Together) -> int:
        """Put these together with what is there; how many are new."""
        reach = {history.rule.key: history.rule.reach_ms for history in self.rules()}
        new = 0
        left = list(found)
        while left:
            before = self._link.together([("HMGET", self._terms + key, *WRITTEN) for key in left])
            known = [self._memory(key, values[: len(MEMORY)]) for key, values in zip(left, before, strict=True)]
            commands = []
            for key, memory, values in zip(left, known, before, strict=True):
                entry = found[key]
                reach_ms = reach.get(entry.rule_key)
                to_be = entry.memory if memory is None else self._joined(key, memory, entry.memory, together)
                kept = "" if reach_ms is None else kept_ms(reach_ms)
                tokens = (values[-1], new_token())
                commands.append(exchange(self._terms + key, b"", 0, kept, tokens, fields_of(to_be, entry.terms)))
            done = [answer[0] == b"ok" for answer in self._link.together(commands)]
            new += sum(is_done and memory is None for is_done, memory in zip(done, known, strict=True))
            left = [key for key, is_done in zip(left, done, strict=True) if not is_done]
        return new

    def _joined(self, key: bytes, known: Memory, more: Memory, together: Together) -> Memory:
        try:
            return together(known, more)
        except ValueError as error:
            what = f"what is imported does not fit what is remembered under {key.hex()}: {error}"
            raise StoreError(what) from error


def exchange(
    key: bytes,
    owner: bytes,
    free: int,
    kept: Part,
    tokens: tuple[bytes | None, bytes],
    fields: Mapping[bytes, bytes | None],
) -> tuple[Part, ...]:
    """The command that writes ``fields`` in the place of what was read.

    See swap.lua; ``tokens`` are that of the last writing when it was read, and that of this one.
    """
    read, written = tokens
    parts = (part for name, value in fields.items() for part in (name, b"" if value is None else b"=" + value))
    return SWAP.on(key, owner, written, free, kept, read or b"", *parts)


def new_token() -> bytes:
    """By which a writing is known."""
    return os.urandom(_TOKEN_BYTES)
