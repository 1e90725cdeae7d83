"""A shared state whose histories last: servers that come back without them get them from the agents that go on.

A server that has lost what it held (a disk that was replaced, a replica that had nothing yet, no persistence) answers
as one that nobody has used. Terms that it does not know are news again, but when a history began nobody can see again:
its rule would learn for another period. So there is an *era* beside the histories, a random word that goes where they
go, and how many were begun so far; every round of commands asks for both. Fewer than there were is what a server has
that came back as it was some time ago, from a snapshot.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from firstseen.errors import StoreError
from firstseen.store.base import History
from firstseen.store.redis.link import Link, Part
from firstseen.store.redis.merging import Merging, new_token
from firstseen.store.redis.prolonging import Grown, Prolonging
from firstseen.store.sweep import kept_ms


class Lasting(Merging):
    """A shared state as an agent has it, with the histories in hand that it has begun or found. For any thread."""

    def __init__(self, link: Link, prefix: bytes) -> None:
        super().__init__(link, prefix)
        self._rules = prefix + b"rules"
        self._era_key = prefix + b"era{" + self._rules + b"}"  # on the same server of a cluster
        self._begun_key = prefix + b"begun{" + self._rules + b"}"
        self._signs: Sequence[Sequence[Part]] = ("GET", self._era_key), ("GET", self._begun_key)
        self._era: bytes | None = None
        self._begun = 0
        self._entering = threading.Lock()
        self._in_hand: dict[bytes, History] = {}
        self._prolonging = Prolonging(link, self._terms)

    def begin(self) -> None:
        """See `Merging.begin`; with what is in hand."""
        super().begin()
        self._look(*self._link.together(self._signs))

    def begin_histories(self, histories: Iterable[History], *, earliest: bool = False) -> Sequence[int]:
        """See `Merging.begin_histories`. What was lost goes on as it began; what was forgotten begins anew.

        Where one reaches further than it did, what is remembered under it is kept for longer in a while.
        """
        asked = list(histories)
        self._look(*self._link.together(self._signs))
        before = {history.rule.key: history.rule.reach_ms for history in self.rules()} if asked else {}
        for rule, _ in asked:
            reach_ms = before.get(rule.key)
            if reach_ms is not None and rule.reach_ms is not None and reach_ms < rule.reach_ms:
                # Not after it is entered: that may be done and not be answered, and does not show afterwards.
                self._prolonging.begin(Grown(rule.key, kept_ms(reach_ms), kept_ms(rule.reach_ms)))
        since = super().begin_histories(asked, earliest=earliest)
        if any(history.since_ms == since_ms for history, since_ms in zip(asked, since, strict=True)):
            # Two agents at a time may count as one. INCR is nothing that a user of the server had to be allowed so far.
            self._begun += 1
            self._link.call("SET", self._begun_key, self._begun)
        with self._entering:
            for history, since_ms in zip(asked, since, strict=True):
                self._in_hand[history.rule.key] = history._replace(since_ms=since_ms)
        return since

    def close(self) -> None:
        """See `StateReader.close`."""
        self._prolonging.close()
        super().close()

    def together(self, commands: Sequence[Sequence[Part]]) -> list[Any]:
        """See `firstseen.store.redis.link.Link.each`; ends when the servers have the histories in hand.

        Where it fails for want of them, the commands were done.
        """
        if not commands:
            return []
        era, begun, *answers = self._link.each([*self._signs, *commands])
        for sign in (era, begun):
            if isinstance(sign, StoreError):
                raise sign
        self._look(era, begun)
        return answers

    def _look(self, era: bytes | None, begun: bytes | None) -> None:
        """Enter the histories again unless all that were entered are there; the earliest beginning stays."""
        if self._is_whole(era, begun):
            return
        with self._entering:
            era, begun = self._link.together(self._signs)
            if self._is_whole(era, begun):  # of two answers the earlier one may come later
                return
            super().begin()
            entered = [self._registering(history, earliest=True) for history in self._in_hand.values()]
            # One that went back is in an era in which others believe that it has theirs.
            begins = ("SET", self._era_key, new_token(), *(("NX",) if era != self._era else ()))
            _, era, begun, *_ = self._link.together([begins, *self._signs, *entered])
            self._era, self._begun = era, int(begun or 0)  # not before: what failed is done again

    def _is_whole(self, era: bytes | None, begun: bytes | None) -> bool:
        if era is None or era != self._era or int(begun or 0) < self._begun:
            return False
        self._begun = int(begun or 0)
        return True

    def _reach(self) -> Mapping[bytes, int | None]:
        """Also for as long as this agent's own rules ask for: another's window may be shorter."""
        reach = dict(super()._reach())
        for key, (rule, _) in self._in_hand.copy().items():
            known = [each for each in (reach.get(key), rule.reach_ms) if each is not None]
            reach[key] = max(known, default=None)
        return reach
