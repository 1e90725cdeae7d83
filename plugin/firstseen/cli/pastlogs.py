"""What the commands on past logs share: the clocks of their events."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from firstseen.detect.matches import Moment
from firstseen.record.view import Mode, views


def now_ms() -> int:
    """The time, in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def time_of(record: Mapping[str, Any], mode: Mode = "auto") -> int | None:
    """When the event of ``record``, read as ``mode`` says, happened, by its own account."""
    times = [view.ingested_ms if view.ingested_ms is not None else view.timestamp_ms for view in views(record, mode)]
    return next((moment for moment in times if moment is not None), None)


def moment_of(record: Mapping[str, Any], mode: Mode = "auto") -> Moment:
    """The clocks of an event out of a file, read as ``mode`` says: its own, and now where it has none."""
    own = time_of(record, mode)
    return Moment(arrival=None, entry=now_ms() if own is None else own)
