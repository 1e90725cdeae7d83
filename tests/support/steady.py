"""A client that sends at a steady pace, whatever becomes of it, and how long each of its chunks took to get through."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Sequence
from types import TracebackType

from support.calls import event
from support.peer_frames import Frame, entry_v1, forward
from support.peers import Reply, Source, acked

TIME_NS = 1_790_000_000_000_000_000

TIMEOUT_S = 60.0
PACE_S = 0.01
PER_CHUNK = 5


def chunk(number: int) -> bytes:
    """The chunk of this number: calls of which a third is looked at, each with an id of its own."""
    first = number * PER_CHUNK
    made = [entry_v1(event(each), TIME_NS + each) for each in range(first, first + PER_CHUNK)]
    return forward("aws", made, chunk=str(number), size=len(made))


def number_of(frame: Frame) -> int:
    """The number of the chunk that arrived in ``frame``."""
    return int(frame.entries[0].record["eventID"].removeprefix("e-")) // PER_CHUNK


class Arrivals:
    """The script of a sink that notes when each chunk came first, by the steady clock."""

    def __init__(self) -> None:
        self.seconds: dict[int, float] = {}

    def __call__(self, frame: Frame) -> Reply:
        self.seconds.setdefault(number_of(frame), time.monotonic())
        return acked(frame)


class SteadyFlow:
    """Sends to ``port`` from when it is entered until it is left; then everything is acked."""

    def __init__(self, port: int, arrivals: Arrivals) -> None:
        self.sent_s: list[float] = []
        self._arrivals = arrivals
        self._source = Source(port)
        self._over = threading.Event()
        self._acked: list[str] = []
        self._news = threading.Condition()
        self._threads = [threading.Thread(target=each, daemon=True) for each in (self._send, self._take_acks)]

    def _send(self) -> None:
        begun_s = time.monotonic()
        while not self._over.wait(max(begun_s + len(self.sent_s) * PACE_S - time.monotonic(), 0.0)):
            data = chunk(len(self.sent_s))
            self.sent_s.append(time.monotonic())
            self._source.send(data)

    def _take_acks(self) -> None:
        with contextlib.suppress(OSError, EOFError):  # it is over
            while True:
                number = self._source.ack()
                with self._news:
                    self._acked.append(number)
                    self._news.notify_all()

    def __enter__(self) -> SteadyFlow:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._over.set()
        self._threads[0].join(TIMEOUT_S)
        with self._news:
            complete = kind is not None or self._news.wait_for(lambda: len(self._acked) >= len(self.sent_s), TIMEOUT_S)
        self._source.drop()
        self._threads[1].join(TIMEOUT_S)
        assert complete, f"{len(self._acked)} of {len(self.sent_s)} chunks were acked"
        assert kind is not None or self._acked == [str(number) for number in range(len(self.sent_s))]

    @property
    def ids(self) -> Sequence[str]:
        """Those of all events that were sent."""
        return [f"e-{each}" for each in range(len(self.sent_s) * PER_CHUNK)]

    def worst_s(self, since_s: float, until_s: float) -> float:
        """The longest that a chunk took downstream which was sent between these two moments."""
        took = [
            self._arrivals.seconds[number] - sent_s
            for number, sent_s in enumerate(self.sent_s)
            if since_s <= sent_s <= until_s
        ]
        return max(took, default=0.0)
