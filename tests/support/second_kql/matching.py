"""What a tree says of a JSON document, given the type of each field by name. Everything is worked out anew each time.

A comparison that is rejected is None, and matches nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from support.second_kql import values
from support.second_kql.grammar import Tree

Place = tuple[Any, str]
"""An object, and the name of the block it was found through, with a dot at its end, or nothing."""

_TEXT_TYPES = ("keyword", "constant_keyword", "wildcard", "flattened", "flattened_key", "caseless", "unknown")
_CHOOSY = ("ip", "date", "boolean", "long", "integer", "double", "float", "scaled_float")
_LIMITED = {"keyword": 1024, "caseless": 1024, "unknown": 1024, "flattened": 32766, "flattened_key": 32766}


class Second:
    """The evaluator, for one table of types; what it says nothing of is unknown."""

    def __init__(self, type_of: Callable[[str], str]) -> None:
        self.type_of = type_of

    def matches(self, tree: Tree, document: Any) -> bool:
        return self.holds(tree, (document, ""))

    def holds(self, tree: Tree, place: Place) -> bool:
        kind = tree[0]
        if kind == "all":
            return True
        if kind == "and":
            return all(self.holds(each, place) for each in tree[1])
        if kind == "or":
            return any(self.holds(each, place) for each in tree[1])
        if kind == "not":
            return not self.holds(tree[1], place)
        if kind == "exists":
            return any(self.exists(name, place) for name in self.meant(tree[1], place))
        if kind == "block":
            return self.block(tree[1], tree[2], place)
        if kind == "free":
            return any(self.compare(name, tree[1], place) for name in self.present(place))
        names = [name for name in self.meant(tree[1], place) if tree[1][0] == "wild" or not self.hidden(name, place)]
        if kind == "range":
            return any(self.lies(name, tree[2], tree[3], place) for name in names)
        return any(self.compare(name, tree[2], place) for name in names)

    def block(self, path: Any, child: Tree, place: Place) -> bool:
        whole = place[1] + path[1]
        if self.type_of(whole) not in ("nested", "unknown"):
            return False
        return any(self.holds(child, (each, whole + ".")) for each in objects(place[0], path[1].split(".")))

    def meant(self, field: Any, place: Place) -> list[str]:
        if field[0] == "text":
            return [field[1]]
        return [name for name in self.present(place) if values.fits(field[1], name)]

    def present(self, place: Place) -> list[str]:
        return sorted({name for name, _ in leaves(place[0])})

    def hidden(self, name: str, place: Place) -> bool:
        parts = name.split(".")
        prefixes = [".".join(parts[: count + 1]) for count in range(len(parts))]
        return any(self.type_of(place[1] + prefix) == "nested" for prefix in prefixes)

    def indexed(self, name: str, place: Place) -> list[Any]:
        """The values of a field: those of the field it is a view of, for a multi-field without its own."""
        es_type = self.type_of(place[1] + name)
        found = [
            value
            for leaf, value in leaves(place[0])
            if leaf == name or (es_type == "flattened" and leaf.startswith(name + "."))
        ]
        found = [value for value in found if not too_long(value, es_type)]
        parent, _, last = name.rpartition(".")
        if not found and parent and last in ("text", "caseless") and last == es_type:
            found = [value for leaf, value in leaves(place[0]) if leaf == parent and not too_long(value, es_type)]
        return found

    def exists(self, name: str, place: Place) -> bool:
        es_type = self.type_of(place[1] + name)
        if es_type in _CHOOSY:
            return any(self.stored(value, es_type) for value in self.indexed(name, place))
        below = [(leaf, value) for leaf, value in leaves(place[0]) if leaf.startswith(name + ".")]
        return bool(self.indexed(name, place)) or any(
            not too_long(value, self.type_of(place[1] + leaf)) for leaf, value in below
        )

    def stored(self, value: Any, es_type: str) -> bool:
        """Whether a field that does not take every value holds this one."""
        if es_type == "ip":
            return values.address(value) is not None
        if es_type == "date":
            return values.stored_date(value) is not None
        if es_type == "boolean":
            return json_text(value) in ("true", "false")
        return values.stored_number(value, es_type) is not None

    def now(self, place: Place) -> int | None:
        moments = [] if place[1] else [values.stored_date(value) for value in self.indexed("@timestamp", place)]
        return next((moment for moment in moments if moment is not None), None)

    def compare(self, name: str, operand: Any, place: Place) -> bool:
        es_type = self.type_of(place[1] + name)
        if operand[0] == "wild":
            return self.compare_wild(name, es_type, operand[1], place)
        if operand[0] == "constant":
            if operand[1] is None:
                return False
            operand = ("text", json.dumps(operand[1]), False)
        verdicts = [self.equal(value, es_type, operand, place) for value in self.indexed(name, place)]
        return any(verdicts)

    def compare_wild(self, name: str, es_type: str, chunks: list[str], place: Place) -> bool:
        found = self.indexed(name, place)
        if es_type in ("keyword", "constant_keyword", "unknown"):
            return any(values.fits(chunks, json_text(value)) for value in found)
        if es_type == "caseless":
            return any(values.fits([each.lower() for each in chunks], json_text(value).lower()) for value in found)
        verdicts = []
        for word in values.words_of_pattern(chunks):
            if word == ["", ""]:
                verdicts.append(self.exists(name, place))
            elif len(word) == 1:
                if not values.takes(es_type, word[0]):
                    return False
                verdicts.append(any(self.equal(value, es_type, ("text", word[0], False), place) for value in found))
            elif es_type in ("text", "match_only_text"):
                lowered = [each.lower() for each in word]
                verdicts.append(any(values.fits(lowered, token) for value in found for token in tokens(value)))
            elif es_type in _TEXT_TYPES:
                verdicts.append(any(values.fits(word, json_text(value)) for value in found))
            elif es_type != "object":
                return False
        return any(verdicts)

    def equal(self, value: Any, es_type: str, operand: Any, place: Place) -> bool:
        _, wanted, quoted = operand
        have = json_text(value)
        if es_type in ("object", "geo_point"):
            return False
        if es_type in ("text", "match_only_text"):
            return values.in_order(tokens(value), values.tokens(wanted), adjacent=quoted)
        if es_type == "caseless":
            return have.lower() == wanted.lower()
        if es_type == "unknown":
            number = values.number(wanted)
            return have == wanted or (is_number(value) and number is not None and value == number)
        if es_type in _TEXT_TYPES:
            return have == wanted
        if es_type == "ip":
            return values.address_in(value, wanted)
        if es_type == "date":
            span = values.date_span(wanted, self.now(place))
            moment = values.stored_date(value)
            return span is not None and moment is not None and span[0] <= moment <= span[1]
        if es_type == "boolean":
            return wanted in ("true", "false") and have == wanted
        have_number, number = values.stored_number(value, es_type), values.operand_number(wanted, es_type)
        return have_number is not None and number is not None and have_number == number

    def lies(self, name: str, sign: str, operand: Any, place: Place) -> bool:
        es_type = self.type_of(place[1] + name)
        bound = "*".join(operand[1]) if operand[0] == "wild" else operand[1]
        if operand[0] == "constant":
            if bound is None:
                return False
            bound = json.dumps(bound)
        return any(self.beyond(value, es_type, sign, bound, place) for value in self.indexed(name, place))

    def beyond(self, value: Any, es_type: str, sign: str, bound: str, place: Place) -> bool:
        have: Any = json_text(value)
        limit: Any = bound
        if es_type in ("object", "geo_point"):
            return False
        if es_type in ("text", "match_only_text"):
            return any(values.compare(token, sign, bound.lower()) for token in tokens(value))
        if es_type == "caseless":
            have, limit = have.lower(), bound.lower()
        elif es_type == "unknown":
            if is_number(value) and values.number(bound) is not None:
                have, limit = value, values.number(bound)
        elif es_type in _TEXT_TYPES:
            pass
        elif es_type == "ip":
            have, limit = values.address(value), values.address(bound)
        elif es_type == "date":
            span = values.date_span(bound, self.now(place))
            have = values.stored_date(value)
            limit = None if span is None else span[1] if sign in (">", "<=") else span[0]
        elif es_type == "boolean":
            order = ["false", "true"]
            have = order.index(have) if have in order else None
            limit = order.index(bound) if bound in order else None
        else:
            have, limit = values.stored_number(value, es_type), values.operand_number(bound, es_type)
        return have is not None and limit is not None and values.compare(have, sign, limit)


def leaves(node: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of a document that is not null, with its dotted name."""
    if isinstance(node, dict):
        for key, child in node.items():
            yield from leaves(child, f"{name}.{key}" if name else key)
    elif isinstance(node, list):
        for child in node:
            yield from leaves(child, name)
    elif node is not None:
        yield name, node


def objects(node: Any, steps: list[str]) -> Iterator[Any]:
    """The objects that a path leads to; every number of its steps may be one key, and a key may go on after it."""
    if isinstance(node, list):
        for child in node:
            yield from objects(child, steps)
    elif isinstance(node, dict):
        if not steps:
            yield node
            return
        for count in range(1, len(steps) + 1):
            key = ".".join(steps[:count])
            if key in node:
                yield from objects(node[key], steps[count:])
        start = ".".join(steps) + "."
        yield from ({key[len(start) :]: child} for key, child in node.items() if key.startswith(start))


def too_long(value: Any, es_type: str) -> bool:
    return isinstance(value, str) and len(value.encode("utf-16-le")) // 2 > _LIMITED.get(es_type, 2**31)


def json_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def tokens(value: Any) -> list[str]:
    return values.tokens(json_text(value))


def is_number(value: Any) -> bool:
    return type(value) in (int, float)
