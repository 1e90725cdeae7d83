"""The parts of a user agent: ``user_agent.name``, ``.version``, ``.device`` and ``.os``.

As Elasticsearch's ``user_agent`` processor finds them, with the expressions of uap-core; those come with the package
``ua-parser``, which is looked for when a part is first asked for and costs its import only then. Where that package is
newer than Elasticsearch's own copy of the expressions, Elasticsearch is followed as far as CloudTrail's agents go.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from itertools import takewhile
from typing import TYPE_CHECKING, Final

from firstseen.record.source import Source

if TYPE_CHECKING:
    from ua_parser import OS, UserAgent

FIELDS: Final = ("name", "version", "device.name", "os.name", "os.version", "os.full")
"""The fields below ``user_agent`` that have to be found out."""

LONGEST: Final = 2_048
"""Characters of a user agent beyond which nothing is looked for: CloudTrail cuts it at 1 KB, and every expression
that does not match has gone through all of it."""

_CACHED: Final = 4_096
_OTHER: Final = "Other"
_NOT_IN_ELASTICSEARCH: Final = re.compile(r"aws-sdk-go-v\d")


@lru_cache(maxsize=1)
def is_available() -> bool:
    """Whether user agents can be taken apart here, which needs the package ``ua-parser``."""
    from importlib.util import find_spec

    return find_spec("ua_parser") is not None


def part(source: Source, name: str) -> object:
    """The field ``name`` below ``user_agent``."""
    text = source.text("userAgent")
    return None if text is None or len(text) > LONGEST or not is_available() else parts(text).get(name)


@lru_cache(maxsize=_CACHED)
def parts(text: str) -> Mapping[str, str]:
    """Some of `FIELDS`, by their dotted names; the package must be there. Name and device are never absent."""
    from ua_parser import parse  # not before a rule asks: 0.2 s, once

    result = parse(text.encode("utf-8", "replace").decode())  # the fast engine takes no half a surrogate pair
    agent = result.user_agent
    if agent is not None and _NOT_IN_ELASTICSEARCH.fullmatch(agent.family):
        agent = None
    found = {
        "name": _OTHER if agent is None else agent.family,
        "version": _version(agent),
        "device.name": _OTHER if result.device is None else result.device.family,
    }
    if result.os is not None:
        version = _version(result.os)
        found |= {"os.name": result.os.family, "os.version": version}
        found["os.full"] = None if version is None else f"{result.os.family} {version}"
    return {name: value for name, value in found.items() if value is not None}


def _version(numbered: UserAgent | OS | None) -> str | None:
    """The parts of a version with dots between them, up to the first that is missing."""
    if numbered is None:
        return None
    numbers = (numbered.major, numbered.minor, numbered.patch, numbered.patch_minor)
    return ".".join(takewhile(bool, (number or "" for number in numbers))) or None
