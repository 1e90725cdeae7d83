"""What one chunk asks for, and how far it has come: the terms in the order of their keys, each leased behind the last.

In that order nobody waits in a circle. Who waits for a term holds only terms before it, and so does everybody who has
that term and waits: the one that waits for the last term waits for nobody but chunks that have all of theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from firstseen.detect.keys import state_key
from firstseen.detect.law import Law, Occurrence
from firstseen.detect.new_terms import NewTermsLaw, Sighting
from firstseen.errors import StoreError
from firstseen.model import TermValue, Verdict
from firstseen.store.base import Memory, Wanted
from firstseen.store.redis.pins import Met

FIRST_PAUSE_S, MOST_PAUSE_S = 0.002, 0.01
"""How long one waits until a term is asked for again that somebody else has: at first, and at the most."""


class Ask:
    """One term of a chunk: the time of its newest event there and, by a law other than new_terms, all of its events."""

    __slots__ = ("_occurrences", "key", "law", "met", "newest_ms", "terms")

    def __init__(self, key: bytes, terms: tuple[TermValue, ...], law: Law[Any], time_ms: int) -> None:
        self.key = key
        self.terms = terms
        self.law = law
        self.newest_ms = time_ms
        self._occurrences: dict[Occurrence, None] = {}  # one event may come a million times in a chunk
        self.met: Met | None = None
        """What was remembered when it was asked for last."""

    def add(self, occurrence: Occurrence) -> None:
        """One event more."""
        self.newest_ms = max(self.newest_ms, occurrence.time_ms)
        if self.silence_ms is None:
            self._occurrences[occurrence] = None

    @property
    def silence_ms(self) -> int | None:
        """That of the law of new_terms; None for another law."""
        return self.law.silence_ms if isinstance(self.law, NewTermsLaw) else None

    def is_known(self, memory: Memory | None) -> bool:
        """Whether none of the chunk's events is news after ``memory``, whatever others have seen meanwhile."""
        return (
            self.silence_ms is not None
            and isinstance(memory, Sighting)
            and self.newest_ms - memory.last_seen <= self.silence_ms
        )

    def noted(self, memory: Memory | None) -> tuple[Memory | None, bool]:
        """``memory`` with the events that are no news, up to the first that is, and whether there is one.

        What is no news needs no alert to be delivered before: it is remembered at once, so that others can count it.
        """
        for occurrence in self._occurrences:
            if self.law.judge(memory, occurrence) is Verdict.NEW:
                return memory, True
            memory = self.law.remember(memory, occurrence, Verdict.KNOWN)
        return memory, False


class Asking:
    """One reservation, see `firstseen.store.base`: ``missing`` is what it waits for, ``pinned`` what it has."""

    def __init__(self, ask: Callable[[Asking], None], end: Callable[[Asking], None]) -> None:
        self._wanted: dict[bytes, Ask] = {}
        self.missing: list[Ask] = []
        self.pinned: list[tuple[bytes, bool]] = []  # with the lease, or without
        self.since_s = 0.0
        self.due_s = 0.0
        self.has_ended = False
        self.error: StoreError | None = None
        self.refused = False  # somebody has what comes next
        self._was_refused = False
        self._pause_s = FIRST_PAUSE_S
        self._ask, self._end = ask, end
        self.ready: Future[None] = Future()
        self.ready.set_running_or_notify_cancel()

    def add(self, wanted: Wanted) -> None:
        """See `Reservation.add`."""
        rule, terms, occurrence, law = wanted
        key = state_key(rule.key, terms)
        ask = self._wanted.get(key)
        if ask is None:
            ask = self._wanted[key] = Ask(key, terms, law, occurrence.time_ms)
        ask.add(occurrence)

    def ask(self) -> Future[None]:
        """See `Reservation.ask`."""
        self._ask(self)
        return self.ready

    def end(self) -> None:
        """See `Reservation.end`."""
        self._end(self)

    @property
    def wanted(self) -> list[Ask]:
        """Each term once, in the order of the keys."""
        return [self._wanted[key] for key in sorted(self._wanted)]

    @property
    def next(self) -> Sequence[Ask]:
        """What is asked for now: all that is missing, but only the first of it where somebody had that."""
        return self.missing[:1] if self._was_refused else self.missing

    def wait(self, now_s: float) -> None:
        """Where it was ``refused``, it is asked for again in a while; else at once."""
        self._was_refused, self.refused = self.refused, False
        self.due_s = now_s + self._pause_s if self._was_refused else now_s
        self._pause_s = min(2 * self._pause_s, MOST_PAUSE_S) if self._was_refused else FIRST_PAUSE_S
