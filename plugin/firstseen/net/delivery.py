"""What the forwarder is given: the frames of one chunk, until they are delivered or given up."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

from firstseen.forward.outgoing import Frame


class Delivery:
    """The frames of one chunk; ``delivered`` is called once, when the last of them is.

    Or else ``refused`` is, once, with the reason: the servers take everything but this. ``source`` says whose chunk it
    is: the frames of one source are delivered in the order in which they were submitted.
    """

    __slots__ = ("_delivered", "_left", "_refused", "frames", "over", "source")

    def __init__(
        self,
        frames: Sequence[Frame],
        delivered: Callable[[], None],
        refused: Callable[[str], None],
        source: Hashable = None,
    ) -> None:
        self.frames = frames
        self.source = self if source is None else source
        self.over = False
        self._left = len(frames)
        self._delivered = delivered
        self._refused = refused

    def one_delivered(self) -> None:
        """One of the frames is delivered."""
        self._left -= 1
        if self._left == 0 and not self.over:
            self.over = True
            self._delivered()

    def refuse(self, reason: str) -> None:
        """One of the frames will not be delivered, and so the others need not be."""
        if not self.over:
            self.over = True
            self._refused(reason)


class Trial:
    """How one server does with one frame: it had it ``failures`` times on a connection that ended without an ack.

    ``strikes`` is how often that counts against the frame, which was alone there while the server took others. ``seen``
    is how many parcels had been delivered in all when the last strike was counted.
    """

    __slots__ = ("failures", "seen", "strikes")

    def __init__(self, seen: int) -> None:
        self.failures = 0
        self.strikes = 0
        self.seen = seen


class Parcel:
    """One frame of a delivery on its way; ``trials`` are those of servers that did not take it, by their names.

    ``seen`` is how many parcels had been delivered in all when it set out, ``since_s`` when that was, by the loop's
    clock.
    """

    __slots__ = ("delivery", "frame", "seen", "since_s", "trials")

    def __init__(self, frame: Frame, delivery: Delivery, seen: int, since_s: float) -> None:
        self.frame = frame
        self.delivery = delivery
        self.seen = seen
        self.since_s = since_s
        self.trials: dict[str, Trial] = {}

    @property
    def strikes(self) -> int:
        """How often servers took others and not this one."""
        return sum(trial.strikes for trial in self.trials.values())

    def failed_at(self, server: str) -> None:
        """This server had it, and did not take it."""
        self.trials.setdefault(server, Trial(self.seen)).failures += 1

    def failures_at(self, server: str) -> int:
        """How often that was so."""
        trial = self.trials.get(server)
        return 0 if trial is None else trial.failures
