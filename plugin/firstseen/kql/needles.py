r"""Byte strings without which no record can match: the filter in front of a query, which may only save work.

``needles`` gives a set such that the bytes of every record the query matches hold at least one member. It errs to one
side only: a record may hold a needle and not match. Held by a property test against ``naive``.

What makes a needle. An equality or a wildcard on a field whose value stands verbatim in the source record needs its
text to be there, whole or, for a wildcard, each piece. The record may be msgpack, with a string behind any header that
is legal for it, or JSON text inside a msgpack string. So a needle is text without a header, and only a run of
characters that JSON has no cause to escape: printable ASCII without quote, backslash and slash. A value that might be
that of a number or a boolean makes none, because the source can hold it as such.

The caller's duty. A JSON writer may escape any character: where records carry JSON, one that holds ``\u00`` may have
any needle spelt otherwise and is a candidate for every query.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from msgspec import Struct

from firstseen.kql.ast import And, Glob, Is, Literal, Members, Nested, Node, Or, Pattern
from firstseen.kql.globs import pieces_of
from firstseen.kql.kinds import Kind, kind_of
from firstseen.kql.scalars import may_be_in_scalar
from firstseen.kql.scope import Scope
from firstseen.kql.wildcards import Pieces, parted

_SHORTEST = 3
_RUN = re.compile(r"""[ !#-.0-\[\]-~]+""")  # printable ASCII without " / \

_RARE, _MIXED, _COMMON = 1.0, 10.0, 100.0
_COMMONNESS = {
    "event.action": _RARE,
    "event.provider": _COMMON,
    "event.module": _COMMON,
    "cloud.region": _COMMON,
    "cloud.account.id": _COMMON,
    "aws.cloudtrail.event_category": _COMMON,
    "aws.cloudtrail.event_type": _COMMON,
    "aws.cloudtrail.recipient_account_id": _COMMON,
    "aws.cloudtrail.user_identity.type": _COMMON,
}


def needles(node: Node, verbatim: Callable[[str], bool], field_type: Callable[[str], str]) -> frozenset[bytes] | None:
    """Return strings of which the bytes of every matching record hold at least one; None where there is no such set.

    ``verbatim`` tells whether the value of a field stands as UTF-8 in the source record however it is viewed, escapes
    of JSON aside; ``field_type`` gives the Elasticsearch type of a field. None makes every record a candidate.
    """
    found = _Search(verbatim, Scope(field_type)).of(node)
    return None if found is None else found.needles


def is_common(field: str) -> bool:
    """Whether the values of ``field`` are words that stand in a large part of all records."""
    return _COMMONNESS.get(field) == _COMMON


class _Found(Struct, frozen=True):
    needles: frozenset[bytes]
    cost: float


class _Search(Struct, frozen=True):
    verbatim: Callable[[str], bool]
    scope: Scope

    def of(self, node: Node) -> _Found | None:
        match node:
            case And(children):
                return min(filter(None, map(self.of, children)), key=lambda found: found.cost, default=None)
            case Or(children):
                return _union([self.of(child) for child in children])
            case Is(str(name), Literal(text)):
                return self.in_text(name, (text,))
            case Is(str(name), Pattern(pieces)):
                words = parted(pieces) if self.kind(name).splits else [pieces]
                return _union([self.in_text(name, word) for word in words])
            case Is(str(name), Glob(text, False)):
                return self.in_text(name, pieces_of(text))
            case Is(str(name), Members(_, texts)):
                return _union([self.in_text(name, (text,)) for text in texts])
            case Nested(str(path), child):
                return _Search(self.verbatim, self.scope.inside(path)).of(child)
            case _:
                return None

    def kind(self, name: str) -> Kind:
        return kind_of(self.scope.type_of(name))

    def in_text(self, name: str, pieces: Pieces) -> _Found | None:
        """Find the longest run of the pieces of a value, all of which a matching value holds."""
        if not self.kind(name).exact or not self.verbatim(self.scope.whole(name)):
            return None
        if self.scope.type_of(name) == "constant_keyword":  # which every record of a source has
            return None
        if all(map(may_be_in_scalar, pieces)):
            return None
        longest = max((run for piece in pieces for run in _RUN.findall(piece)), key=len, default="")
        if len(longest) < _SHORTEST:
            return None
        return _Found(frozenset((longest.encode("ascii"),)), _cost(name, longest))


def _union(found: list[_Found | None]) -> _Found | None:
    every = [each for each in found if each is not None]
    if len(every) < len(found):
        return None
    return _Found(frozenset().union(*(each.needles for each in every)), sum(each.cost for each in every))


def _cost(name: str, needle: str) -> float:
    """Guess, on no particular scale, how many records hold ``needle`` without matching; alternatives add up.

    The name of an API call is rare. A provider or a kind of identity is in a large part of the records, and its name
    stands in other fields as well. Of anything else, a longer text is the rarer one.
    """
    return _COMMONNESS.get(name, _MIXED) / len(needle)
