"""What is remembered under a rule whose window has grown, kept for as long as that asks for: see `Prolonging`."""

from __future__ import annotations

import itertools
import threading
from typing import NamedTuple

from firstseen.errors import StoreError
from firstseen.store.redis.link import PROLONG, Link
from firstseen.store.redis.reader import matching

AT_ONCE = 500
"""Terms prolonged by one round trip."""

PAUSE_S = 0.05
"""Between two of them: some 10,000 terms a second, so that others are served meanwhile."""

RETRY_S = 5.0
"""After one that failed."""


class Grown(NamedTuple):
    """A history (`RuleState.key`), and for how many milliseconds its terms were kept before and are from now on."""

    rule_key: bytes
    before_ms: int
    now_ms: int


class Prolonging:
    """Goes through the terms on the servers, in a thread of its own while there is something to go through.

    Expiry is set where a term is written, so what lies there goes by the window that the rule had then. A walk that
    fails is begun again; one that the end of the agent breaks off is not taken up.
    """

    def __init__(self, link: Link, terms: bytes) -> None:
        self._link = link
        self._terms = terms
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._left: list[Grown] = []
        self._thread: threading.Thread | None = None

    def begin(self, grown: Grown) -> None:
        """Keep the terms of this history for longer."""
        with self._lock:
            if grown not in self._left:
                self._left.append(grown)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="firstseen-prolong", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Leave it at what is done."""
        self._closing.set()
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        while (grown := self._next()) is not None:
            try:
                self._walk(grown)
            except StoreError:  # the courier tells of servers that are away
                with self._lock:
                    self._left.append(grown)
                self._closing.wait(RETRY_S)

    def _next(self) -> Grown | None:
        with self._lock:
            if self._left and not self._closing.is_set():
                return self._left.pop(0)
            self._thread = None
            return None

    def _walk(self, grown: Grown) -> None:
        keys = self._link.keys(matching(self._terms + grown.rule_key))
        while page := list(itertools.islice(keys, AT_ONCE)):
            # Whoever needs a term that is unreadable tells of it.
            self._link.each([PROLONG.on(key, grown.before_ms, grown.now_ms) for key in page])
            if self._closing.wait(PAUSE_S):
                return
