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
from typing import TYPE_CHECKING, Final, Literal

from firstseen.record.source import Source

if TYPE_CHECKING:
    from ua_parser import OS, Parser, UserAgent

Kind = Literal["agent", "device", "os"]

_KINDS: Final[Mapping[str, Kind]] = {
    "name": "agent",
    "version": "agent",
    "device.name": "device",
    "os.name": "os",
    "os.version": "os",
    "os.full": "os",
}

FIELDS: Final = tuple(_KINDS)
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
    return None if text is None or len(text) > LONGEST or not is_available() else parts(text, _KINDS[name]).get(name)


@lru_cache(maxsize=_CACHED)
def parts(text: str, kind: Kind) -> Mapping[str, str]:
    """Those of `FIELDS` that are of this kind; the package must be there. Name and device are never absent."""
    parser = _parser(kind)
    text = text.encode("utf-8", "replace").decode()  # the fast engine takes no half a surrogate pair
    match kind:
        case "agent":
            agent = parser.parse_user_agent(text)
            if agent is not None and _NOT_IN_ELASTICSEARCH.fullmatch(agent.family):
                agent = None
            found = {"name": _OTHER if agent is None else agent.family, "version": _version(agent)}
        case "device":
            device = parser.parse_device(text)
            found = {"device.name": _OTHER if device is None else device.family}
        case "os":
            system = parser.parse_os(text)
            if system is None:
                return {}
            version = _version(system)
            full = None if version is None else f"{system.family} {version}"
            found = {"os.name": system.family, "os.version": version, "os.full": full}
    return {name: value for name, value in found.items() if value is not None}


@lru_cache
def _parser(kind: Kind) -> Parser:
    """With the expressions for this alone: all of them together take 27 MB, those for names 10."""
    from ua_parser import Parser, load_lazy_builtins  # not before a rule asks

    agents, systems, devices = load_lazy_builtins()
    return Parser.from_matchers(
        (agents if kind == "agent" else [], systems if kind == "os" else [], devices if kind == "device" else [])
    )


def _version(numbered: UserAgent | OS | None) -> str | None:
    """The parts of a version with dots between them, up to the first that is missing."""
    if numbered is None:
        return None
    numbers = (numbered.major, numbered.minor, numbered.patch, numbered.patch_minor)
    return ".".join(takewhile(bool, (number or "" for number in numbers))) or None
