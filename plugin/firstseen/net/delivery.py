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


class Parcel:
    """One frame of a delivery on its way; ``strikes`` counts how often servers took others and not this one.

    ``seen`` is how many parcels had been delivered in all when the last strike was counted, ``since_s`` when it set
    out, by the loop's clock.
    """

    __slots__ = ("delivery", "frame", "seen", "since_s", "strikes")

    def __init__(self, frame: Frame, delivery: Delivery, seen: int, since_s: float) -> None:
        self.frame = frame
        self.delivery = delivery
        self.seen = seen
        self.since_s = since_s
        self.strikes = 0
