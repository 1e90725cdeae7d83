"""How the values of a keyword field read as text: numbers and booleans are indexed as their JSON text."""

from __future__ import annotations

import json
import re

from firstseen.model import Scalar

_NUMBER_CHARACTERS = re.compile(r"[0-9eE+.-]*")
_WORDS = "true false Infinity NaN"


def text_of(value: Scalar) -> str:
    """Return ``value`` as a keyword field holds it: ``4625`` is "4625", ``True`` is "true", ``0.1`` is "0.1"."""
    return value if isinstance(value, str) else json.dumps(value)


def may_be_in_scalar(text: str) -> bool:
    """Whether the text of some number or boolean may contain ``text``; never false where one does.

    A text for which this is false is found in strings only.
    """
    return _NUMBER_CHARACTERS.fullmatch(text) is not None or text in _WORDS
