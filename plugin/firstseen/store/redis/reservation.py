"""A reservation of an agent that may go on alone: what is to be claimed is had in the shared state, or in the copy."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future

from firstseen.detect.keys import state_key
from firstseen.store.base import Wanted
from firstseen.store.redis.ask import Asking


class Reservation:
    """See `firstseen.store.base.Reservation`; ``there`` is the same in the shared state, ``keys`` what is had here.

    Whoever it is ``reserve``d with says when it is `over`, and keeps in it whether that is so or it has ended;
    ``give_up`` is told when it ends.
    """

    def __init__(
        self,
        reserve: Callable[[Reservation], None],
        give_up: Callable[[Reservation], None],
        there: Asking,
    ) -> None:
        self._reserve = reserve
        self._give_up = give_up
        self.there = there
        self.wanted: set[bytes] = set()
        self.keys: list[bytes] = []
        self.is_made = False
        self.has_ended = False
        self._ready: Future[None] = Future()
        self._ready.set_running_or_notify_cancel()

    def add(self, wanted: Wanted) -> None:
        """See `firstseen.store.base.Reservation.add`."""
        self.wanted.add(state_key(wanted.rule.key, wanted.terms))
        self.there.add(wanted)

    def ask(self) -> Future[None]:
        """See `firstseen.store.base.Reservation.ask`."""
        self._reserve(self)
        return self._ready

    def end(self) -> None:
        """See `firstseen.store.base.Reservation.end`."""
        self._give_up(self)

    def over(self, error: BaseException | None) -> None:
        """It is made, or will not be."""
        if error is None:
            self._ready.set_result(None)
        else:
            self._ready.set_exception(error)
