"""Keeps the engine on the rules that hold, and lets what has an end end at its moment."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from firstseen.engine import Engine
from firstseen.errors import StoreError
from firstseen.logs import complain, event
from firstseen.rules.rule import ExceptionItem
from firstseen.rules.ruleset import RuleSet
from firstseen.running import Lineup, Running
from firstseen.timers import CallLater, Timer

log = logging.getLogger(__name__)

LONGEST_WAIT_S = 3_600.0
"""What ends much later is looked at again before: clocks are set, and machines sleep."""


class RuleKeeper:
    """Lets what has an end end at its moment. Lives in the event loop; ``call_later`` is the loop's.

    ``background`` does what takes long, and calls what it is given with
    what came of it: see `firstseen.background.Background.run`.
    """

    def __init__(
        self,
        engine: Engine,
        now_ms: Callable[[], int],
        call_later: CallLater,
        background: Callable[[Callable[[], Lineup], Callable[[Future[Lineup]], None]], None],
    ) -> None:
        self._engine = engine
        self._now_ms = now_ms
        self._call_later = call_later
        self._background = background
        self._looked_at_ms = now_ms()
        self._timer: Timer | None = None
        engine.on_trip = self._watch
        self._watch()

    def use(self, lineup: Lineup, as_of_ms: int) -> Sequence[Running]:
        """Run these rules from now on; their exceptions are those that held at ``as_of_ms``. See `Engine.use`."""
        changed = self._engine.use(lineup)
        self._looked_at_ms = as_of_ms
        self._watch()
        return changed

    def _watch(self) -> None:
        """Look when next something ends, or some time before: an exception, learning, shadow, a flood of alerts."""
        now_ms = self._now_ms()
        ends = (self._engine.rules.next_expiry_ms(self._looked_at_ms), self._engine.next_change_ms())
        waits_s = [max((end - now_ms) / 1_000, 0.0) for end in ends if end is not None]
        self._wait(min(waits_s, default=LONGEST_WAIT_S))

    def _wait(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._call_later(min(seconds, LONGEST_WAIT_S), self._look)

    def _look(self) -> None:
        self._engine.tend()
        now_ms, rules = self._now_ms(), self._engine.rules
        expired = {
            item
            for rule in rules.rules
            for item in rule.exceptions
            if item.expires_ms is not None and self._looked_at_ms < item.expires_ms <= now_ms
        }
        if not expired:
            self._looked_at_ms = max(self._looked_at_ms, now_ms)
            self._watch()
            return

        def end(ready: Future[Lineup]) -> None:
            self._end(rules, now_ms, sorted(expired, key=lambda item: (item.file, item.line or 0)), ready)

        self._background(lambda: self._engine.lineup(rules.at(now_ms)), end)

    def _end(self, rules: RuleSet, as_of_ms: int, expired: Sequence[ExceptionItem], ready: Future[Lineup]) -> None:
        """Exceptions are over, and the rules without them ready to run, in the place of ``rules``."""
        try:
            lineup = ready.result()
        except StoreError as error:
            complain(log, logging.ERROR, "expiry_failed", (), reason=str(error))
            self._wait(1.0)
            return
        if self._engine.rules is not rules:  # loaded anew meanwhile: what is over in those is looked at again
            self._watch()
            return
        for item in expired:
            event(log, logging.WARNING, "exception_expired", exception=item.name, file=item.file, line=item.line)
        for rule in self.use(lineup, max(self._looked_at_ms, as_of_ms)):
            rule.tell_change(lineup.now_ms)
