"""What is wrong with peers, told so that one of them that tries again and again does not fill the log.

The first time it is told at once. What is the same afterwards is counted, and told again when an interval is over: with
the words of the last time, and how many times it was.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from msgspec import Struct

from firstseen.logs import Value, event

INTERVAL_S = 10.0

MOST = 256
"""Complaints that are told apart; all that are beyond are the same to us, where their events have one name."""

_Key: TypeAlias = tuple[int | str, ...]


class _Told(Struct):
    """One complaint that was told: how often it came ``again`` since, and what it said the last time."""

    timer: asyncio.TimerHandle
    level: int
    name: str
    fields: Mapping[str, Value]
    again: int = 0


class Complaints:
    """Writes events to ``log``, the same one at most once in ``interval_s``; lives in the event loop."""

    def __init__(self, log: logging.Logger, interval_s: float = INTERVAL_S, most: int = MOST) -> None:
        self._log = log
        self._interval_s = interval_s
        self._most = most
        self._told: dict[_Key, _Told] = {}

    def tell(self, level: int, name: str, same: Sequence[str], /, **fields: Value) -> None:
        """``name`` happened, and is the same again where all that is in ``same`` is."""
        key: _Key = (level, name, *same)
        if key not in self._told and len(self._told) >= self._most:
            key = (level, name)
        told = self._told.get(key)
        if told is not None:
            told.again += 1
            told.fields = fields
            return
        event(self._log, level, name, **fields)
        self._told[key] = _Told(self._later(key), level, name, fields)

    def close(self) -> None:
        """Tell what was only counted so far."""
        for told in self._told.values():
            told.timer.cancel()
            self._sum_up(told)
        self._told.clear()

    def _later(self, key: _Key) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(self._interval_s, self._interval_over, key)

    def _interval_over(self, key: _Key) -> None:
        told = self._told[key]
        if not told.again:
            del self._told[key]
            return
        self._sum_up(told)
        told.again = 0
        told.timer = self._later(key)

    def _sum_up(self, told: _Told) -> None:
        if told.again:
            event(self._log, told.level, told.name, **told.fields, times=told.again)
