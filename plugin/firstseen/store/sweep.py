"""Which terms may be forgotten, found by walking slowly over all of them, again and again.

A term is kept as long as it can decide, and as long again for what comes late (`kept_ms`). An index of terms by their
expiry would find those that are over at once, but every sighting moves it: one more entry deleted and one inserted in
places all over the file, for a table as large again as half of the first. The walk costs no byte and no write, and in
small steps a hundredth of a core while it lasts.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence

from msgspec import Struct, field

from firstseen.detect.keys import RULE_KEY_SIZE
from firstseen.store.base import History, RuleState, Swept
from firstseen.store.codec import last_seen_in, unpack_history

KEYS_AT_ONCE = 500
"""Terms looked at in one step, and so the most that are deleted in one transaction."""

LATE_MS = 7 * 86_400_000
"""How late an event may come at the least and still find what was remembered at its time."""


def kept_ms(reach_ms: int) -> int:
    """For how long a term is kept after its last sighting, where it can decide for ``reach_ms``."""
    return reach_ms + max(reach_ms, LATE_MS)


NOTHING_SWEPT = Swept(0, 0)


class Sweep(Struct):
    """Where the walk is: `begin` where it `begins`, then `expired` and `passed`, page by page from ``start`` on."""

    start: bytes = b""
    swept: Swept = NOTHING_SWEPT
    _loaded: dict[bytes, int | None] = field(default_factory=dict)
    _histories: dict[bytes, History] = field(default_factory=dict)
    _alive: set[bytes] = field(default_factory=set)

    def loaded(self, rule: RuleState) -> None:
        """This rule is in use: what it says of its reach counts, and not what was written of it before."""
        self._loaded[rule.key] = rule.reach_ms

    @property
    def begins(self) -> bool:
        """Whether the next page is the first one of a round."""
        return not self.start

    def begin(self, written: Iterable[tuple[bytes, bytes]]) -> None:
        """A round begins, with these histories written. Of one that cannot be read nothing is forgotten."""
        self._alive.clear()
        self._histories.clear()
        for key, raw in written:
            with contextlib.suppress(ValueError):
                self._histories[key] = unpack_history(key, raw)

    def expired(self, page: Sequence[tuple[bytes, bytes]], now_ms: int) -> list[bytes]:
        """Keys of the page whose terms can decide nothing any more. What cannot be read stays for whoever claims it."""
        return [key for key, raw in page if self._is_over(key, raw, now_ms)]

    def passed(self, page: Sequence[tuple[bytes, bytes]], gone: Sequence[bytes]) -> bool:
        """The page is done with, and these keys of it are ``gone``. Whether that was the last page of the round."""
        self._alive |= {key[:RULE_KEY_SIZE] for key in {key for key, _ in page}.difference(gone)}
        at_end = len(page) < KEYS_AT_ONCE
        self.start = b"" if at_end else page[-1][0] + b"\0"
        self.swept = Swept(self.swept.pruned + len(gone), self.swept.rounds + at_end)
        return at_end

    def ended(self, now_ms: int) -> list[bytes]:
        """At the end of a round, the keys of histories that are over: no rule has them, and nothing is left in them."""
        return [
            key
            for key, (rule, since_ms) in self._histories.items()
            if key not in self._loaded and key not in self._alive
            if rule.reach_ms is not None and now_ms - since_ms > kept_ms(rule.reach_ms)
        ]

    def _is_over(self, key: bytes, raw: bytes, now_ms: int) -> bool:
        reach_ms = self._reach_ms(key[:RULE_KEY_SIZE])
        if reach_ms is None:
            return False
        try:
            last_seen = last_seen_in(raw)
        except ValueError:
            return False
        return now_ms - last_seen > kept_ms(reach_ms)

    def _reach_ms(self, rule_key: bytes) -> int | None:
        if rule_key in self._loaded:
            return self._loaded[rule_key]
        history = self._histories.get(rule_key)
        return None if history is None else history.rule.reach_ms
