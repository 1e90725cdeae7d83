"""What happens to a chunk from its arrival to its ack: deliver, commit, ack, in that order.

A chunk that cannot be read, or that no server takes, is refused; or it is kept in the quarantine, and acked because it
is safe there. A chunk that came before and is on its way waits for that one, and shares what becomes of it.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path

from msgspec import Struct

from firstseen.engine import Engine
from firstseen.errors import FirstseenError, ProtocolError, QuarantineFullError, StoreError
from firstseen.forward.content import inflates
from firstseen.forward.repeats import Arrival, Identity, Repeats, identity
from firstseen.logs import complain
from firstseen.metrics import Counts, Durations
from firstseen.net.delivery import Delivery
from firstseen.net.forwarder import Forwarder
from firstseen.net.peers import Peer
from firstseen.net.ticket import Ticket
from firstseen.pipeline import Outcome, Pipeline
from firstseen.quarantine import Note, Quarantine
from firstseen.store.base import Store
from firstseen.turns import Turns

log = logging.getLogger(__name__)


LARGE = 4 << 20
"""Bytes of a chunk above which walking its entries takes memory to speak of."""

MOST_HELD = 32 << 20
"""Bytes that chunks on their way take beside their own, inflated mostly, at which no other one is inflated."""


class _Passage(Struct, frozen=True):
    """One chunk on its way: settled once, through its ticket, with all that came after it and are the same.

    ``since_s`` is when it came, by the steady clock.
    """

    ticket: Ticket
    identity: Identity | None
    since_s: float


class Agent:
    """Moves chunks through the pipeline and settles them; lives in the event loop, and is called in it.

    ``lags`` is told of each chunk how many milliseconds ago the time of its first entry was.
    """

    def __init__(
        self,
        *,
        pipeline: Pipeline,
        engine: Engine,
        store: Store,
        forwarder: Forwarder,
        repeats: Repeats[Ticket],
        quarantine: Quarantine | None,
        counts: Counts,
        durations: Durations,
        now_ms: Callable[[], int],
        lags: Callable[[Peer, int], None],
    ) -> None:
        self._pipeline = pipeline
        self._engine = engine
        self._store = store
        self._forwarder = forwarder
        self._repeats = repeats
        self._quarantine = quarantine
        self._counts = counts
        self._durations = durations
        self._now_ms = now_ms
        self._lags = lags
        self._loop = asyncio.get_running_loop()
        self._turns: Turns[Outcome] = Turns(
            self._loop.call_soon, self._loop.call_soon_threadsafe, lambda: self._held < MOST_HELD
        )
        self._held = 0
        self._has_let_go = False

    def let_go(self) -> None:
        """What is on its way is not waited for any more: its sender keeps it, and nothing is told of it, nor counted.

        Nothing is wrong with it, whatever ends it now.
        """
        self._has_let_go = True

    def handle(self, ticket: Ticket) -> None:
        """A chunk came."""
        chunk = ticket.chunk
        self._counts.chunks_in += 1
        self._counts.bytes_in += chunk.size
        passage = _Passage(ticket, identity(ticket.peer.origin, chunk), time.monotonic())
        if passage.identity is not None:
            arrival = self._repeats.arrived(passage.identity, ticket, _steady_ms())
            if arrival is not Arrival.NEW:
                self._counts.chunks_repeated += 1
                if arrival is Arrival.DELIVERED:
                    ticket.settle(safe=True)
                else:
                    ticket.follow(self._repeats.first(passage.identity))
                    ticket.lighten()
                return
        self._counts.chunks_on_way += 1
        self._turns.add(
            ticket.source,
            self._pipeline.steps(chunk, self._now_ms()),
            functools.partial(self._processed, passage),
            functools.partial(self._not_processed, passage),
            large=inflates(chunk) or chunk.size > LARGE,
        )

    def _not_processed(self, passage: _Passage, error: FirstseenError) -> None:
        count = passage.ticket.chunk.count
        self._came(count)
        if isinstance(error, ProtocolError):
            self._counts.decode_errors += 1
            self._keep_or_refuse(passage, count, error.reason)
        elif isinstance(error, StoreError):
            self._refuse(passage, count, str(error))
        else:
            raise error

    def _processed(self, passage: _Passage, outcome: Outcome) -> None:
        ticket = passage.ticket
        self._came(outcome.records)
        now_s = time.monotonic()
        self._durations.processing.observe(now_s - passage.since_s)
        if outcome.first_ms is not None:
            self._lags(ticket.peer, self._now_ms() - outcome.first_ms)
        ticket.weighs(outcome.held)
        self._held += outcome.held
        if not outcome.frames:
            self._delivered(passage, outcome, now_s)
            return
        self._forwarder.submit(
            Delivery(
                outcome.frames,
                functools.partial(self._delivered, passage, outcome, now_s),
                functools.partial(self._not_taken, passage, outcome),
                source=ticket.source,
            )
        )

    def _came(self, records: int) -> None:
        self._counts.records_in += records
        self._counts.records_on_way += records

    def _delivered(self, passage: _Passage, outcome: Outcome, since_s: float) -> None:
        now_s = time.monotonic()
        self._durations.delivery.observe(now_s - since_s)
        if not outcome.claims:
            self._finish(passage, outcome)
            return
        committed = self._store.confirm(outcome.claims)
        committed.add_done_callback(
            lambda future: self._loop.call_soon_threadsafe(self._committed, passage, outcome, now_s, future)
        )

    def _committed(self, passage: _Passage, outcome: Outcome, since_s: float, future: Future[None]) -> None:
        error = future.exception()
        if error is None:
            self._durations.commit.observe(time.monotonic() - since_s)
            self._finish(passage, outcome)
        elif isinstance(error, StoreError):
            # Delivered but not remembered: the sender sends it again, and at worst the alert is repeated.
            self._refuse(passage, outcome.records, str(error))
        else:
            raise error

    def _not_taken(self, passage: _Passage, outcome: Outcome, reason: str) -> None:
        """No server takes it: its alerts are not delivered, and so nothing of it may be remembered."""
        self._counts.deliveries_refused += 1
        self._engine.release(outcome.claims)
        self._keep_or_refuse(passage, outcome.records, reason)

    def _keep_or_refuse(self, passage: _Passage, records: int, reason: str) -> None:
        if self._quarantine is None:
            self._refuse(passage, records, reason)
            return
        chunk = passage.ticket.chunk
        note = Note(peer=str(passage.ticket.peer), tag=chunk.tag, time_ms=self._now_ms(), reason=reason)
        raw = memoryview(chunk.data)[chunk.start : chunk.stop]
        kept = self._loop.run_in_executor(None, self._quarantine.keep, raw, note)
        kept.add_done_callback(lambda future: self._kept(passage, records, reason, future))

    def _kept(self, passage: _Passage, records: int, reason: str, future: asyncio.Future[Path]) -> None:
        error = future.exception()
        if error is None:
            self._counts.chunks_quarantined += 1
            self._counts.records_rejected += records
            self._tell("chunk_quarantined", passage, reason, file=str(future.result()))
            self._settle(passage, records, safe=True)
        elif isinstance(error, FirstseenError | OSError):
            name = "quarantine_full" if isinstance(error, QuarantineFullError) else "quarantine_failed"
            complain(log, logging.ERROR, name, (), tag=passage.ticket.chunk.tag, reason=str(error))
            self._refuse(passage, records, reason)
        else:
            raise error

    def _refuse(self, passage: _Passage, records: int, reason: str) -> None:
        """A chunk that cannot be read, or not now, is not acked: its sender keeps it."""
        if not self._has_let_go:
            self._counts.chunks_rejected += 1
            self._counts.records_rejected += records
            self._tell("chunk_rejected", passage, reason)
        self._settle(passage, records, safe=False)

    def _tell(self, name: str, passage: _Passage, reason: str, file: str | None = None) -> None:
        peer, chunk = passage.ticket.peer, passage.ticket.chunk
        same = (peer.origin, chunk.tag, reason)
        complain(
            log, logging.ERROR, name, same, peer=str(peer), tag=chunk.tag, size=chunk.size, reason=reason, file=file
        )

    def _finish(self, passage: _Passage, outcome: Outcome) -> None:
        self._counts.chunks_out += 1
        self._counts.records_out += outcome.records
        self._settle(passage, outcome.records, safe=True)

    def _settle(self, passage: _Passage, records: int, *, safe: bool) -> None:
        self._counts.chunks_on_way -= 1
        self._counts.records_on_way -= records
        self._durations.chunk.observe(time.monotonic() - passage.since_s)
        waiting: Sequence[Ticket] = ()
        if passage.identity is not None:
            waiting = self._repeats.settled(passage.identity, safe=safe, now_ms=_steady_ms())
        self._held -= passage.ticket.extra
        passage.ticket.settle(safe=safe)
        for ticket in waiting:
            ticket.settle(safe=safe)
        self._turns.go_on()


def _steady_ms() -> int:
    return time.monotonic_ns() // 1_000_000
