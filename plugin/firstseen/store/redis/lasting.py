"""A shared state whose histories last: servers that come back without them get them from the agents that go on.

A server that has lost what it held (a disk that was replaced, a replica that had nothing yet, no persistence) answers
as one that nobody has used. Terms that it does not know are news again, but when a history began nobody can see again:
its rule would learn for another period. So there is an *era* beside the histories, a random word that goes where they
go, and every round of commands asks for it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from firstseen.store.base import History
from firstseen.store.redis.link import REGISTER, Link, Part
from firstseen.store.redis.merging import Merging, new_token
from firstseen.store.redis.reader import packed_rule


class Lasting(Merging):
    """A shared state as an agent has it, with the histories in hand that it has begun or found. For any thread."""

    def __init__(self, link: Link, prefix: bytes) -> None:
        super().__init__(link, prefix)
        self._rules = prefix + b"rules"
        self._era_key = prefix + b"era{" + self._rules + b"}"  # on the same server of a cluster
        self._era: bytes | None = None
        self._entering = threading.Lock()
        self._in_hand: dict[bytes, History] = {}

    def begin(self) -> None:
        """See `Merging.begin`; with what is in hand."""
        super().begin()
        self._look(self._link.call("GET", self._era_key))

    def begin_histories(self, histories: Iterable[History]) -> Sequence[int]:
        """See `Merging.begin_histories`. What was lost goes on as it began; what was forgotten begins anew."""
        asked = list(histories)
        self._look(self._link.call("GET", self._era_key))
        since = super().begin_histories(asked)
        with self._entering:
            for history, since_ms in zip(asked, since, strict=True):
                self._in_hand[history.rule.key] = history._replace(since_ms=since_ms)
        return since

    def together(self, commands: Sequence[Sequence[Part]]) -> list[Any]:
        """See `firstseen.store.redis.link.Link.together`; ends when the servers have the histories in hand.

        Where it fails for want of them, the commands were done.
        """
        if not commands:
            return []
        era, *answers = self._link.together([("GET", self._era_key), *commands])
        self._look(era)
        return answers

    def _look(self, era: bytes | None) -> None:
        """Enter the histories again unless it was in this era that they were entered; the earliest beginning stays."""
        if era is not None and era == self._era:
            return
        with self._entering:
            super().begin()
            histories = self._in_hand.values()
            entered = [
                REGISTER.on(self._rules, rule.key.hex(), since_ms, packed_rule(rule), "earliest")
                for rule, since_ms in histories
            ]
            begun = ("SET", self._era_key, new_token(), "NX")
            _, now, *_ = self._link.together([begun, ("GET", self._era_key), *entered])
            self._era = now  # not before: what failed is done again

    def _reach(self) -> Mapping[bytes, int | None]:
        in_hand = {key: history.rule.reach_ms for key, history in self._in_hand.copy().items()}
        return {**in_hand, **super()._reach()}
