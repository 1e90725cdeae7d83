"""Points in time as records spell them, to milliseconds since 1970 and back.

What Elasticsearch's date fields take by default, ISO 8601 and epoch milliseconds, and epoch seconds, which
many shippers write. A date without an offset is UTC.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
LAST_MS = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MILLISECOND
FIRST_MS = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MILLISECOND
_LONGEST_TEXT = 64
_USUAL = len("2026-05-24T09:12:33Z")
_EPOCH_TEXT = re.compile(r"-?[0-9]{9,15}(\.[0-9]+)?", re.ASCII)
_LEAST_MILLISECONDS = 10**11
"""From here on a number is milliseconds: as such it is 1973, as seconds it would be the year 5138."""
_LEAST_NEITHER = 10**14


def parse_ms(value: object) -> int | None:
    """``value`` in milliseconds since 1970, rounded down; None where it is no point in time (years 1 to 9999)."""
    if isinstance(value, str):
        if len(value) == _USUAL and value[10] == "T" and value[13] == value[16] == ":" and value[19] == "Z":
            try:
                return int(datetime.fromisoformat(value).timestamp()) * 1000  # in half the time
            except ValueError:
                pass
        return _from_text(value.strip())
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _from_number(value)
    return None


def iso(ms: int) -> str:
    """``ms`` as Elasticsearch prints it: ``2026-05-24T09:12:33.000Z``."""
    return (_EPOCH + ms * _MILLISECOND).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def _from_text(text: str) -> int | None:
    if len(text) > _LONGEST_TEXT:
        return None
    if _EPOCH_TEXT.fullmatch(text):  # before ISO 8601, which also has forms that are all digits
        return _from_number(float(text) if "." in text else int(text))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    ms = ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH) // _MILLISECOND
    return ms if FIRST_MS <= ms <= LAST_MS else None  # an offset can lead out of the calendar


def _from_number(number: float) -> int | None:
    if not abs(number) < _LEAST_NEITHER:  # so put, nan is left out too
        return None
    if abs(number) >= _LEAST_MILLISECONDS:
        ms = math.floor(number)
    else:
        ms = number * 1000 if isinstance(number, int) else round(number * 1_000_000) // 1000  # 0.29 s is not 289 ms
    return ms if ms >= FIRST_MS else None
