"""Names that are in no table of fields, and so most likely slips of somebody who writes a query.

Other sources have fields of their own, under names that are none of ECS's: ``azure.activitylogs.operation_name``. So a
name is a stray only below a group that is known, such as ``event`` or ``aws.cloudtrail``, or where both the group and
the rest are nearly those of a known field (``usr.name``). Within ECS's groups those with a capital letter are left
alone too, by which others tell theirs from ECS's (``process.Ext.token``), unless the capital is all that is wrong.
What CloudTrail itself calls its keys (``eventName``) is a slip as well: rules have other names for them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache, lru_cache
from typing import Final

from firstseen.record import cloudtrail
from firstseen.record.fields import all_types, base_of, ecs_types
from firstseen.record.mapping import FIELDS

_CLOUDTRAIL: Final = "aws.cloudtrail"
_OPEN: Final = frozenset({"flattened", "geo_point", "object"})
"""Types below which any name may follow, where no field is known there."""

_ELSEWHERE: Final = ("http.request.headers.", "http.response.headers.")
"""What network integrations have in groups of ECS's, and rules ask for."""

_NEAR: Final = 0.6
_VERY_NEAR: Final = 0.8
"""How near a name is to another that may be meant, from 0 to 1; and one of a group that may be somebody else's."""


@lru_cache(maxsize=4096)
def stray(name: str) -> str | None:
    """What is to be said of the field ``name`` where it is most likely a slip; None for any other."""
    name = base_of(name)
    if _is_known(name) or name.startswith(_ELSEWHERE):
        return None
    if name in _own_keys():
        return f"{name} is what CloudTrail calls it: did you mean {_own_keys()[name]}?"
    group, rest = _parts(name)
    groups = _groups()
    if group not in groups:
        meant = _nearest(group, groups, _VERY_NEAR) if rest else None
        near = meant and _nearest(rest, groups[meant], _VERY_NEAR)
        return f"{_unknown(name)}: did you mean {meant}.{near}?" if near else None
    lowered = rest.lower()
    if lowered != rest and lowered not in groups[group] and group != _CLOUDTRAIL:
        return None
    near = _nearest(lowered, groups[group], _NEAR)
    return _unknown(name) + (f": did you mean {group}.{near}?" if near else "")


def foreign(name: str) -> str | None:
    """The same where all that is read is CloudTrail's: of every field that this does not have."""
    return stray(name) or (None if cloudtrail.is_field(name) else f"{name} is not a field of CloudTrail")


def _unknown(name: str) -> str:
    return f"{name} is not a field of ECS or CloudTrail"


def _is_known(name: str) -> bool:
    if cloudtrail.is_field(name):
        return True
    types = all_types()
    above = name
    while above not in types:
        above = above.rpartition(".")[0]
        if not above:
            return False
    return above == name or (types[above] in _OPEN and above not in _parents())


def _parts(name: str) -> tuple[str, str]:
    """The group that ``name`` is in, and the rest: the group is the first part, or the first two below ``aws``."""
    parts = name.split(".")
    length = 2 if parts[0] == "aws" else 1
    return ".".join(parts[:length]), ".".join(parts[length:])


@cache
def _groups() -> Mapping[str, Collection[str]]:
    """What is below each group that is ECS's or CloudTrail's own."""
    groups: dict[str, set[str]] = {}
    for name in (*ecs_types(), *(field.name for field in FIELDS)):
        group, rest = _parts(name)
        if rest:
            groups.setdefault(group, set()).add(rest)
    return groups


@cache
def _own_keys() -> Mapping[str, str]:
    """The fields that have the value of one key of a record, by the key; keys that anybody may have are left out."""
    keys = {".".join(field.keys): field.name for field in reversed(FIELDS)}
    return {key: name for key, name in keys.items() if key != key.lower()}


@cache
def _parents() -> Collection[str]:
    return {name.rpartition(".")[0] for name in all_types()}


def _nearest(name: str, names: Collection[str], cutoff: float) -> str | None:
    from difflib import get_close_matches  # an agent that starts has no use for it, unless there is a slip

    return next(iter(get_close_matches(name, sorted(names), n=1, cutoff=cutoff)), None)
