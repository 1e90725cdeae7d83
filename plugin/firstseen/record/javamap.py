"""The text Java makes of a map: ``{key=value, list=[a, b]}``, with the keys in the order of a ``HashMap``.

Elastic's pipeline stores CloudTrail's ``requestParameters`` and the like so, and rules match pieces of that text,
some of them across neighbouring keys, so the order has to be Java's. Text stands raw, without quotes or escapes.

The order is that of the hash table's buckets: ``String.hashCode`` (over UTF-16 units), its upper half folded into
the lower, modulo a table that starts at 16 and doubles when three quarters full; within a bucket, order of arrival.
Keys whose values were pruned do not show but have made the table grow.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from decimal import Decimal
from functools import lru_cache
from operator import mul

from firstseen.record.source import kept_scalar
from firstseen.record.tree import MAX_ENTERED_DEPTH, is_array, members

_FIRST_CAPACITY = 16

_USUAL = 128
"""Characters of a key whose hash is kept: nobody's keys are longer but those that are meant to fill the memory."""

_BLOCK = 256
_POWERS = [pow(31, power, 1 << 32) for power in range(_BLOCK + 1)]
"""Of a key's units so many are taken in one go: one by one, the longest takes half a second."""


def java_text(value: object, depth: int = 1) -> str | None:
    """``value``, which lies in ``depth`` containers, after pruning, as ``Object.toString`` prints it; None if empty."""
    scalar = kept_scalar(value)
    if scalar is not None:
        return _scalar_text(scalar)
    if depth > MAX_ENTERED_DEPTH:
        return None
    if isinstance(value, dict):
        by_name = dict(members(value))
        texts = ((name, java_text(by_name[name], depth + 1)) for name in hash_order(by_name))
        pairs = [f"{name}={text}" for name, text in texts if text is not None]
        return f"{{{', '.join(pairs)}}}" if pairs else None
    if is_array(value):
        elements = [text for child in value if (text := java_text(child, depth + 1)) is not None]
        return f"[{', '.join(elements)}]" if elements else None
    return None


def hash_order(keys: Iterable[str]) -> list[str]:
    """``keys``, all that were put into a map and in that order, as iterating over a ``HashMap`` gives them."""
    keys = list(keys)
    capacity = _FIRST_CAPACITY
    while len(keys) > capacity * 3 // 4:
        capacity *= 2
    return sorted(keys, key=lambda key: _spread_hash(key) & (capacity - 1))


def _spread_hash(key: str) -> int:
    return _spread_hash_of_usual(key) if len(key) <= _USUAL else _computed(key)


@lru_cache(maxsize=4096)
def _spread_hash_of_usual(key: str) -> int:
    return _computed(key)


def _computed(key: str) -> int:
    units = memoryview(key.encode("utf-16-le", "surrogatepass")).cast("H") if key else ()
    value = 0
    for at in range(0, len(units), _BLOCK):
        block = units[at : at + _BLOCK]
        value = (value * _POWERS[len(block)] + sum(map(mul, reversed(block), _POWERS))) & 0xFFFFFFFF
    return value ^ value >> 16


def _scalar_text(value: str | int | float) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return double_text(value) if isinstance(value, float) else str(value)


def double_text(number: float) -> str:
    """``number`` as ``Double.toString`` prints it: ``2.0``, ``1.0E10``, ``1.5E-5``, ``NaN``, ``-Infinity``."""
    if math.isnan(number):
        return "NaN"
    sign = "-" if math.copysign(1, number) < 0 else ""
    if math.isinf(number):
        return f"{sign}Infinity"
    if number == 0 or 1e-3 <= abs(number) < 1e7:
        return repr(number)
    _, digits, exponent = Decimal(repr(number)).normalize().as_tuple()
    first, *rest = map(str, digits)
    return f"{sign}{first}.{''.join(rest) or '0'}E{int(exponent) + len(rest)}"
