"""Numbers, as Elasticsearch's numeric fields take them from JSON and from the text of a query."""

from __future__ import annotations

import math
import re
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, InvalidOperation

from firstseen.model import Scalar

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,9})?", re.ASCII)
_LONGEST = 400
"""Characters; beyond the digits that any number of a field has."""

_LEAST, _MOST = -(2**63), 2**64 - 1
"""What a field of whole numbers can hold."""


def decimal_of(text: str) -> Decimal | None:
    """The number that ``text`` is, exactly; None where it is none."""
    if len(text) > _LONGEST or not _NUMBER.fullmatch(text):
        return None
    try:
        return Decimal(text)
    except InvalidOperation:  # an exponent that nothing can hold
        return None


def number_of(text: str) -> int | float | None:
    """The number that ``text`` is, as JSON would give it; None where it is none, or none that JSON could give."""
    number = decimal_of(text)
    if number is None:
        return None
    if number == 0:
        return 0
    if abs(number.adjusted()) <= _LONGEST and number == number.to_integral_value():
        return int(number)
    double = float(number)
    return double if math.isfinite(double) else None


def whole_around(text: str) -> tuple[int, int] | None:
    """The whole numbers next to the number that ``text`` is, rounded down and up; None where it is none.

    What lies beyond all that a field can hold comes out as the first whole number that does.
    """
    number = decimal_of(text)
    if number is None:
        return None
    number = max(min(number, Decimal(_MOST + 1)), Decimal(_LEAST - 1))
    return int(number.to_integral_value(ROUND_FLOOR)), int(number.to_integral_value(ROUND_CEILING))


def double_of(text: str) -> float | None:
    """The number that ``text`` is, as a double; None where it is none, or too large for a double."""
    number = decimal_of(text)
    double = math.inf if number is None else float(number)
    return double if math.isfinite(double) else None


def indexed_whole(value: Scalar) -> int | None:
    """``value`` as a field of whole numbers holds it, fractions cut off; None where it holds no such value."""
    if isinstance(value, bool) or (isinstance(value, float) and not math.isfinite(value)):
        return None
    number = decimal_of(value) if isinstance(value, str) else value
    if number is None or not _LEAST - 1 < number < _MOST + 1:
        return None
    return int(number)


def indexed_double(value: Scalar) -> float | None:
    """``value`` as a field of floating-point numbers holds it; None where it holds no such value."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        return double_of(value)
    try:
        double = float(value)
    except OverflowError:
        return None
    return double if math.isfinite(double) else None
