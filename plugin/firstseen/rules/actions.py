r"""Which rules an event is of interest to by its action, the name of an API call, which nearly all rules demand.

The action is looked at before the record is decoded: in the bytes behind each mention of a key that it may stand under.
That may only save work: a rule is left out only where the action is plain to see and none that the rule demands.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from operator import add, itemgetter
from struct import Struct
from typing import Final, NamedTuple
from weakref import proxy

import msgpack
from ahocorasick_rs import BytesAhoCorasick

from firstseen.kql import compile_query
from firstseen.kql.ast import Boolean, Is, Literal, Members, Or
from firstseen.kql.scalars import text_of
from firstseen.model import Fields, Scalar
from firstseen.packing import Kind, read_head
from firstseen.record.fields import field_type
from firstseen.record.view import keys_before

ACTION: Final = "event.action"

Group = tuple[int, ...]
"""Some of the rules, by their ascending numbers in the set."""

Hit = tuple[int, Group]
"""An offset, and the rules that the record around it may match."""

WINDOW: Final = 32
"""Bytes behind a key that are looked at: the names of most calls fit in, and of the others as much of them."""

_KEPT = 16_384
_WINDOW = Struct(f"{WINDOW}s")
_IN_JSON = re.compile(rb'(\\*)"[ \t\r\n]*:[ \t\r\n]*(\\*)"([^"\\]*)(\\*")?')
_NO_ASCII = re.compile(rb"[\x80-\xff]")
_VALUES = frozenset((Kind.INT, Kind.BOOL, Kind.FLOAT))
_end = itemgetter(2)


class _Action:
    """An event of which nothing is known but its action."""

    def __init__(self, action: str) -> None:
        self._values = (action,)

    def values(self, field: str) -> Sequence[Scalar]:
        return self._values if field == ACTION else ()

    def exists(self, field: str) -> bool:
        return field == ACTION

    def nested(self, path: str) -> Sequence[Fields]:
        return ()

    def names(self) -> Iterable[str]:
        return (ACTION,)


class Actions:
    """The rules that demand an action: ``demands`` has by their numbers what of it."""

    def __init__(self, demands: Mapping[int, Sequence[Is]]) -> None:
        self.all: Group = tuple(sorted(demands))
        self._others = {number: _compiled(_others(each)) for number, each in demands.items() if _others(each)}
        by_text: dict[str, Group] = {}  # of small tuples: hundreds of rules name thousands of actions
        for number in self.all:
            for text in set(_texts(demands[number])):
                by_text[text] = (*by_text.get(text, ()), number)
        self._by_text = by_text
        self._known = _Known(self)

    def of(self, action: str) -> Group:
        """The rules that demand no other action."""
        asked = {number for number, fits in self._others.items() if fits(_Action(action))}
        return tuple(sorted(asked.union(self._by_text.get(action, ()))))

    def beginning(self, start: str) -> Group:
        """The rules that may demand an action that begins so."""
        asked = (numbers for text, numbers in self._by_text.items() if text.startswith(start))
        return tuple(sorted(set(self._others).union(*asked)))

    @property
    def longest(self) -> int:
        """Bytes of the longest thing that `hits` are found by."""
        return max(map(len, _KEYS)) if self.all else 0

    def hits(self, data: bytes | bytearray, start: int, stop: int) -> list[Hit]:
        """Where in ``data[start:stop]`` a key begins behind which stands what rules demand, in no order."""
        found: list[Hit] = []
        if not self.all:
            return found
        window = memoryview(data)[start:stop]
        for search in _SEARCHES:
            matches = search.find_matches_as_indexes(window)
            ends = list(map(add, map(_end, matches), repeat(start)))
            inside = len(ends)
            while inside and ends[inside - 1] + WINDOW > len(data):
                inside -= 1
            behind = [*map(_WINDOW.unpack_from, repeat(data, inside), ends)]
            behind += [(bytes(data[end : end + WINDOW]),) for end in ends[inside:]]
            groups = map(self._known.__getitem__, behind)
            found += [(start + match[1], group) for match, group in zip(matches, groups, strict=True) if group]
        return found

    def behind(self, window: bytes) -> Group:
        """The rules of interest where a key of the action stands before ``window``, whatever spells the record."""
        readings = [_in_msgpack(window)]
        if window[:1] in (b'"', b"\\"):  # which are numbers in msgpack
            readings.append(_in_json(window))
        asked: set[int] = set()
        for seen in readings:
            if seen is None:
                return self.all
            asked.update(self.of(seen.text) if seen.is_whole else self.beginning(seen.text))
        return tuple(sorted(asked))


class _Known(dict[tuple[bytes], Group]):
    """What stands behind keys is mostly the same again."""

    def __init__(self, actions: Actions) -> None:
        super().__init__()
        self._actions: Actions = proxy(actions)  # which hold this: with it they would outlive their rules

    def __missing__(self, key: tuple[bytes]) -> Group:
        if len(self) >= _KEPT:
            self.clear()
        group = self[key] = self._actions.behind(key[0])
        return group


class _Seen(NamedTuple):
    """An action, or how it begins."""

    text: str
    is_whole: bool


def _in_msgpack(window: bytes) -> _Seen | None:
    """The value that ``window`` begins with; None where that does not tell which actions there are."""
    head = read_head(window, 0, len(window))
    if head is None or head.kind is Kind.ARRAY:
        return None
    stop = head.payload + head.size
    if head.kind is Kind.STR or head.kind is Kind.BIN:
        return _Seen(_text(window[head.payload : stop], stop <= len(window)), stop <= len(window))
    if head.kind in _VALUES and stop <= len(window):
        return _Seen(text_of(msgpack.unpackb(window[:stop])), is_whole=True)
    return None


def _in_json(window: bytes) -> _Seen | None:
    """The same where the text ``window`` stands in begins with the end of the key, in JSON inside of JSON or not."""
    found = _IN_JSON.match(window)
    if found is None:
        return None
    of_key, opening, text, closing = found.groups()
    is_whole = closing is not None and closing == opening + b'"' and opening == of_key
    return _Seen(_text(text, is_whole), is_whole)


def _text(raw: bytes, is_whole: bool) -> str:
    """``raw`` as text; where it was cut, as far as it is sure not to be cut inside of a character."""
    whole = raw if is_whole else _NO_ASCII.split(raw, 1)[0]
    return whole.decode("utf-8", "surrogateescape")


def _texts(leaves: Iterable[Is]) -> Iterator[str]:
    for leaf in leaves:
        match leaf.value:
            case Literal(text):
                yield text
            case Boolean(value):
                yield text_of(value)
            case Members(_, texts):
                yield from texts


def _others(leaves: Iterable[Is]) -> tuple[Is, ...]:
    return tuple(leaf for leaf in leaves if not isinstance(leaf.value, Literal | Boolean | Members))


def _compiled(leaves: tuple[Is, ...]) -> Callable[[Fields], bool]:
    return compile_query(leaves[0] if len(leaves) == 1 else Or(leaves), "", field_type)


_KEYS = keys_before(ACTION)
_SEARCHES = [BytesAhoCorasick([key]) for key in _KEYS]
