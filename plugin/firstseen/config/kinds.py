"""The types of settings: taken apart, in words, and their values as TOML.

A type is what a declaration says: ``Annotated`` or not, ``| None`` where "" is an allowed value, a tuple for a list.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec

from firstseen.config.secret import Secret, SecretFile
from firstseen.config.section import Section
from firstseen.notation import Duration, Endpoint, HostName, Mode, PlainEndpoint, Size, Until
from firstseen.stateurl import StateUrl
from firstseen.toml import in_words as kind_of_value

_WORDS: Mapping[object, tuple[str, str]] = {
    bool: ("true or false", "booleans"),
    str: ("a string", "strings"),
    Path: ("a path", "paths"),
    Secret: ("a string", "strings"),
    SecretFile: ("a path", "paths"),
    HostName: ("a host name", "host names"),
    StateUrl: ("an address of a server", "addresses of servers"),
    Endpoint: (f"an endpoint, {Endpoint.FORMS}", f"endpoints, {Endpoint.FORMS}"),
    PlainEndpoint: (f"an endpoint, {PlainEndpoint.FORMS}", f"endpoints, {PlainEndpoint.FORMS}"),
    Mode: (f'a mode in octal digits, such as "{Mode.EXAMPLE}"', "modes"),
    Duration: (f'a duration with its unit, such as "{Duration.EXAMPLE}"', "durations"),
    Until: (f"true, a date such as {Until.EXAMPLE}, or a date and time", "dates"),
    Size: (f'a size with its unit, such as "{Size.EXAMPLE}"', "sizes"),
}
"""One of a type, and many."""


def bare(kind: Any) -> Any:
    """``kind`` without what is annotated to it, and without None."""
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if isinstance(kind, UnionType):
        kind = next(each for each in get_args(kind) if each is not NoneType)
    return kind


def is_optional(kind: Any) -> bool:
    """Whether "" is a value of it, which is read as None."""
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    return isinstance(kind, UnionType)


def meta(kind: Any) -> msgspec.Meta:
    """What is annotated to ``kind``."""
    annotated = (each for each in get_args(kind)[1:] if isinstance(each, msgspec.Meta))
    return next(annotated, msgspec.Meta()) if get_origin(kind) is Annotated else msgspec.Meta()


def table_of(kind: Any) -> type[Section] | None:
    """The section that ``kind`` is, if it is one."""
    return kind if isinstance(kind, type) and issubclass(kind, Section) else None


def item_of(kind: Any) -> Any:
    """The type of what is in a list of this kind; None for one that is no list."""
    return get_args(bare(kind))[0] if get_origin(bare(kind)) is tuple else None


def by_pattern(kind: Any) -> Any:
    """The type of the values in a table whose keys are patterns, in order; None for one that is no such table."""
    pair = get_args(item_of(kind))
    return pair[1] if len(pair) == 2 and get_origin(item_of(kind)) is tuple else None


def in_words(kind: Any) -> str:
    """What to write for a setting of this type: "a size with its unit", "a list of paths"."""
    if title := meta(kind).title:
        return title
    if value := by_pattern(kind):
        return f"a table of patterns, each with {_WORDS[value][0]}"
    optional = ' or ""' if is_optional(kind) else ""
    item, kind = item_of(kind), bare(kind)
    if item is not None:
        return f"a list of {_table_in_words(item, many=True) if table_of(item) else _WORDS[item][1]}"
    if table_of(kind):
        return _table_in_words(kind, many=False)
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(json.dumps(choice) for choice in get_args(kind))
    return _WORDS[kind][0] + optional


def _table_in_words(kind: type[Section], *, many: bool) -> str:
    fields = {field.name: field.type for field in msgspec.structs.fields(kind)}
    table = f"{'tables' if many else 'a table'} with {', '.join(fields)}"
    if not kind.SHORTHAND:
        return table
    one, several = _WORDS[bare(fields[kind.SHORTHAND])]
    return f"{several}, or of {table}" if many else f"{one}, or {table}"


def mismatch(kind: Any, value: object) -> str:
    """That ``value`` is no value of this type. What may be a password is not told: before an @, in place of a table."""
    if by_pattern(kind):
        return f"expected {in_words(kind)}, got {kind_of_value(value)}"
    table = table_of(item_of(kind) or kind)
    secretive = table is not None and not table.SHORTHAND
    secretive = secretive or (isinstance(value, str) and "@" in value)
    told = (isinstance(value, str) and value and not secretive) or (type(value) is int and bare(kind) is int)
    if value == "" and in_words(kind) == "a string":
        return "expected a string that is not empty"
    got = json.dumps(value) if told else kind_of_value(value)
    if isinstance(value, list) and value and item_of(kind) is not None:
        odd = next(each for each in value if not isinstance(each, str) or not each)
        got = f"a list with {kind_of_value(odd)} in it"
    return f"expected {in_words(kind)}, got {got}"


def as_toml(value: object) -> str:
    """A default as it is written in the file."""
    match value:
        case None:
            return '""'
        case tuple():
            return f"[{', '.join(map(as_toml, value))}]"
        case bool() | int():
            return json.dumps(value)
        case _:
            return json.dumps(str(value), ensure_ascii=False)
