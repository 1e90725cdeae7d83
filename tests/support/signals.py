"""What a test that hears signals leaves behind: nothing."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from firstseen.stopping import STOPS


@contextmanager
def heard_as_before() -> Iterator[None]:
    """Signals that the agent hears are heard afterwards as they were before."""
    before = {number: signal.getsignal(number) for number in (*STOPS, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
