"""What is written into a shared state besides claims: what other states know, what past logs show, what is forgotten.

All of it can be done while agents run. What other states know is exchanged for what is there only if that still is
what was read; else it is read and merged anew. What past logs show is added by a script, to whatever is there.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

from firstseen.detect.keys import state_key
from firstseen.errors import StoreError
from firstseen.model import TermValue
from firstseen.store.base import Entry, History, Memory, RuleState
from firstseen.store.merge import merged, merged_history
from firstseen.store.redis.hashes import MEMORY, WRITTEN, fields_of
from firstseen.store.redis.link import ENTER, FOLD, REGISTER, SWAP, Part
from firstseen.store.redis.reader import SCHEMA, RedisReader, packed_history, packed_rule
from firstseen.store.sweep import kept_ms

FOLDED_AT_ONCE = 10_000
"""Terms written by one command of `Merging.fold`, a fifth of a second during which a server answers nobody else."""

_TOKEN_BYTES = 6

_FOLDED = (b"t", b"f", b"l", b"c", b"e", b"g")
"""The fields of a sighting in the order in which `FOLD` takes them."""


class Merging(RedisReader):
    """A shared state that takes in more. Everything raises `StoreError`, and may have been done in part then."""

    def begin(self) -> None:
        """Make the state where there is none. Raises `StoreError` for one that this version cannot read."""
        self._link.call("SET", self._prefix + b"schema", SCHEMA, "NX")
        self.check()

    def register(self, rules: Iterable[RuleState], now_ms: int) -> Sequence[int]:
        """See `firstseen.store.base.Claims.register`."""
        return self.begin_histories(History(rule, now_ms) for rule in rules)

    def begin_histories(self, histories: Iterable[History], *, earliest: bool = False) -> Sequence[int]:
        """When each of these began: when it says so, if it begins here and now.

        With ``earliest`` also if it says that it began before what is there.
        """
        asked = [self._registering(history, earliest=earliest) for history in histories]
        return [int(since_ms) for since_ms in self._link.together(asked)]

    def absorb(self, histories: Sequence[History], entries: Sequence[Entry]) -> None:
        """Take what another state knows into this one (`firstseen.store.merge`)."""
        for history in histories:
            self._enter(history)
        found: dict[bytes, Entry] = {}
        for entry in entries:
            key = state_key(entry.rule_key, entry.terms)
            known = found.get(key)
            memory = entry.memory if known is None else self._merged(key, known.memory, entry.memory)
            found[key] = entry._replace(memory=memory)
        self._put(found)

    def fold(self, found: Mapping[bytes, Entry], marks: Mapping[bytes, bytes]) -> int:
        """Remember the sightings in ``found``, by `state_key`, and keep ``marks`` for `mark`; returns how many are new.

        Both or neither, unless the terms are more than ``FOLDED_AT_ONCE`` or lie on the servers of a cluster, which do
        not write together: then the marks come behind all else.
        """
        if not found and not marks:
            return 0
        reach = self._reach()
        terms = [(self._terms + key, _folded(entry, reach.get(entry.rule_key))) for key, entry in found.items()]
        kept = [(self._prefix + b"mark:" + name, value) for name, value in marks.items()]
        token = new_token()
        if self._link.is_divided:
            new: int = sum(self._link.together([_fold(token, [term], []) for term in terms]))
            self._link.together([_fold(token, [], [mark]) for mark in kept])
            return new
        new = 0
        while len(terms) > FOLDED_AT_ONCE:
            new += self._link.call(*_fold(token, terms[:FOLDED_AT_ONCE], []))
            terms = terms[FOLDED_AT_ONCE:]
        return new + int(self._link.call(*_fold(token, terms, kept)))

    def mark(self, name: bytes) -> bytes | None:
        """What `fold` kept under ``name``."""
        value: bytes | None = self._link.call("HGET", self._prefix + b"mark:" + name, "v")
        return value

    def forget(self, rule_key: bytes, terms: Sequence[Sequence[TermValue]]) -> None:
        """Remember these no longer. What an agent has on its way for one of them may be remembered after that."""
        keys = [self._terms + state_key(rule_key, each) for each in terms]
        self._link.together([("HDEL", key, *WRITTEN) for key in keys])

    def forget_history(self, rule_key: bytes) -> None:
        """Let a history begin anew when its rule is loaded next. What is remembered under it stays: see `forget`."""
        self._link.call("HDEL", self._prefix + b"rules", rule_key.hex())

    def _registering(self, history: History, *, earliest: bool) -> tuple[Part, ...]:
        rule, since_ms = history
        how = ("earliest",) if earliest else ()
        return REGISTER.on(self._prefix + b"rules", rule.key.hex(), since_ms, packed_rule(rule), *how)

    def _enter(self, history: History) -> None:
        rules, field = self._prefix + b"rules", history.rule.key.hex().encode()
        while True:
            written: bytes | None = self._link.call("HGET", rules, field)
            known = None if written is None else self._history(field, written)
            to_be = history if known is None else merged_history(known, history)
            if self._link.call(*ENTER.on(rules, field, written or b"", packed_history(to_be))):
                return

    def _reach(self) -> Mapping[bytes, int | None]:
        """For how long what is remembered may decide, by the key of the history."""
        return {history.rule.key: history.rule.reach_ms for history in self.rules()}

    def _put(self, found: Mapping[bytes, Entry]) -> None:
        """Merge these into what is there."""
        reach = self._reach()
        left = list(found)
        while left:
            before = self._link.together([("HMGET", self._terms + key, *WRITTEN) for key in left])
            known = [self._memory(key, values[: len(MEMORY)]) for key, values in zip(left, before, strict=True)]
            commands = []
            for key, memory, values in zip(left, known, before, strict=True):
                entry = found[key]
                to_be = entry.memory if memory is None else self._merged(key, memory, entry.memory)
                kept = _kept(reach.get(entry.rule_key))
                tokens = (values[-1], new_token())
                commands.append(exchange(self._terms + key, b"", 0, kept, tokens, fields_of(to_be, entry.terms)))
            done = [answer[0] == b"ok" for answer in self._link.together(commands)]
            left = [key for key, is_done in zip(left, done, strict=True) if not is_done]

    def _merged(self, key: bytes, known: Memory, more: Memory) -> Memory:
        try:
            return merged(known, more)
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


def _kept(reach_ms: int | None) -> Part:
    """For how many milliseconds; "" for ever."""
    return "" if reach_ms is None else kept_ms(reach_ms)


def _folded(entry: Entry, reach_ms: int | None) -> tuple[Part, ...]:
    """What `FOLD` takes of one."""
    fields = fields_of(entry.memory, entry.terms)
    return (_kept(reach_ms), *(fields[name] or b"" for name in _FOLDED))


def _fold(
    token: bytes, terms: Sequence[tuple[bytes, tuple[Part, ...]]], marks: Sequence[tuple[bytes, bytes]]
) -> tuple[Part, ...]:
    """The command; each comes with its key."""
    keys = [key for key, _ in (*terms, *marks)]
    parts = chain.from_iterable(parts for _, parts in terms)
    return FOLD.across(keys, len(terms), token, *parts, *(value for _, value in marks))


def new_token() -> bytes:
    """By which a writing is known."""
    return os.urandom(_TOKEN_BYTES)
