"""A log that tells of the same thing again and again in few lines, and leaves nothing out.

The first time it is told at once. What is the same afterwards is counted, and told again when an interval is over: with
the words of the last time, and how many times it was. What is the same is said by whoever logs it, see `SAME`.
"""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from msgspec import Struct

SAME: Final = "firstseen_same"
"""Attribute of a record: texts that are the same in all records that tell of the same thing. Others have none."""

TIMES: Final = "firstseen_times"
"""Attribute of a record that stands for several: how many."""

SEVERAL: Final = "firstseen_several"
"""Attribute of a record that stands for several that are not the same: what else it has is of the last one alone."""

INTERVAL_S = 10.0

MOST = 256
"""Things that are told apart; all that are beyond are counted together, where their events have one name."""

_Key: TypeAlias = tuple[int | str, ...]

_TOGETHER: Final = 0
"""In the key of what is counted together; what is the same has texts in this place, or nothing."""


class _Told(Struct):
    """What was told at ``since_s``, and the ``last`` of those ``again`` since, which may be of ``several`` things."""

    since_s: float
    last: logging.LogRecord
    several: bool
    again: int = 0


class Sparing(logging.Handler):
    """Passes records on to ``handlers``, the same one at most once in ``interval_s`` by ``clock``. For any thread.

    What was counted is told when it is looked at after that, which is at the next record at the latest: see `sum_up`.
    """

    def __init__(
        self,
        handlers: Sequence[logging.Handler],
        interval_s: float = INTERVAL_S,
        most: int = MOST,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._handlers = handlers
        self._interval_s = interval_s
        self._most = most
        self._clock = clock
        self._told: dict[_Key, _Told] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Pass it on, or count it. Called by `logging`, one record at a time."""
        self._sum_up(all_of_it=False)
        same: Sequence[str] | None = getattr(record, SAME, None)
        if same is None:
            self._pass_on(record)
            return
        key: _Key = (record.levelno, record.getMessage(), *same)
        several = key not in self._told and len(self._told) >= self._most
        if several:
            key = (*key[:2], _TOGETHER)
        told = self._told.get(key)
        if told is None:
            self._told[key] = _Told(self._clock(), record, several)
            self._pass_on(record)
        else:
            told.again += 1
            told.last = record

    def sum_up(self, *, all_of_it: bool) -> None:
        """Tell what was only counted so far: where its interval is over, or ``all_of_it``."""
        self.acquire()
        try:
            self._sum_up(all_of_it=all_of_it)
        finally:
            self.release()

    def close(self) -> None:
        """Tell what was only counted so far. Called by `logging` when the process ends."""
        self.sum_up(all_of_it=True)
        super().close()

    def _sum_up(self, *, all_of_it: bool) -> None:
        now_s = self._clock()
        for key, told in list(self._told.items()):
            if not all_of_it and now_s - told.since_s < self._interval_s:
                continue
            if told.again:
                record = copy.copy(told.last)
                setattr(record, TIMES, told.again)
                setattr(record, SEVERAL, told.several)
                self._pass_on(record)
                told.again, told.since_s = 0, now_s
            else:
                del self._told[key]

    def _pass_on(self, record: logging.LogRecord) -> None:
        for handler in self._handlers:
            if record.levelno >= handler.level:
                handler.handle(record)
