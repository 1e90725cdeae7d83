"""Finding things in a state as people ask for them: by rule, by term, by time. One pass over it, nothing kept."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from msgspec import Struct

from firstseen.detect.keys import state_key
from firstseen.kql.globs import glob_expression
from firstseen.notation import spelled
from firstseen.store.base import Entry, History, StateReader
from firstseen.store.texts import verbatim

Matches = Callable[[str], bool]

_ONLY_IN_TEXTS = re.compile(r"[^0-9A-Za-z+.\-]")
"""What no number and no other word of JSON has in it."""


def key_of(entry: Entry) -> bytes:
    """The key under which it is kept."""
    return state_key(entry.rule_key, entry.terms)


def named(histories: Iterable[History], name: str) -> list[History]:
    """The histories that ``name`` is the id, the name or the key of (in hexadecimal), or a pattern of id or name."""
    fits = globbed(name)
    return [
        history
        for history in histories
        if fits(history.rule.rule_id) or fits(history.rule.name) or history.rule.key.hex() == name
    ]


def globbed(pattern: str) -> Matches:
    """Whether a whole text fits ``pattern``, in which ``*`` is anything, ``?`` one character, and all else itself."""
    expression = glob_expression(pattern.replace("\\", "\\\\"), caseless=False)
    return lambda text: expression.fullmatch(text) is not None


class Selection(Struct, frozen=True):
    """What is looked for: of these rules (None: all), with such a term, last seen in [``since_ms``, ``until_ms``].

    ``holding`` is what `StateReader.entries` takes it for.
    """

    rule_keys: tuple[bytes, ...] | None = None
    term: Matches | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    holding: bytes = b""

    @classmethod
    def of_term(cls, term: str, rule_keys: tuple[bytes, ...] | None) -> Selection:
        """Everything that has exactly this term, a number or a word by its spelling, among its terms."""
        return cls(rule_keys, term.__eq__, holding=b"" if _is_json(term) else verbatim(term))

    @classmethod
    def of_pattern(
        cls, pattern: str | None, rule_keys: tuple[bytes, ...] | None, since_ms: int | None, until_ms: int | None
    ) -> Selection:
        """What has a term that fits the pattern, or in which it is, where it has neither ``*`` nor ``?``."""
        if pattern is None:
            return cls(rule_keys, None, since_ms, until_ms)
        if set(pattern) & set("*?"):
            return cls(rule_keys, globbed(pattern), since_ms, until_ms)
        holding = verbatim(pattern) if _ONLY_IN_TEXTS.search(pattern) and pattern.isprintable() else b""
        return cls(rule_keys, lambda text: pattern in text, since_ms, until_ms, holding)

    def entries(self, reader: StateReader, after: bytes = b"") -> Iterator[Entry]:
        """What there is of it, by key, behind the key ``after``."""
        keys = [b""] if self.rule_keys is None else sorted(self.rule_keys)
        for rule_key in keys:
            if rule_key and after[: len(rule_key)] > rule_key:
                continue
            yield from filter(self._takes, reader.entries(rule_key, after, self.holding))

    def _takes(self, entry: Entry) -> bool:
        last_seen = entry.memory.last_seen
        if self.since_ms is not None and last_seen < self.since_ms:
            return False
        if self.until_ms is not None and last_seen > self.until_ms:
            return False
        return self.term is None or any(self.term(spelled(term)) for term in entry.terms)


class Extent(Struct):
    """How much there is of one history: terms, and the earliest and the latest sighting."""

    entries: int = 0
    first_seen: int | None = None
    last_seen: int | None = None

    def add(self, entry: Entry) -> None:
        """One more."""
        self.entries += 1
        first, last = entry.memory.first_seen, entry.memory.last_seen
        self.first_seen = first if self.first_seen is None else min(self.first_seen, first)
        self.last_seen = last if self.last_seen is None else max(self.last_seen, last)


def extents(reader: StateReader) -> Mapping[bytes, Extent]:
    """By the key of each history that anything is remembered of."""
    found: dict[bytes, Extent] = {}
    for entry in reader.entries():
        found.setdefault(entry.rule_key, Extent()).add(entry)
    return found


def current(histories: Iterable[History]) -> frozenset[bytes]:
    """The keys of the histories that began last, one a rule: the others are what it knew before it changed."""
    latest: dict[str, History] = {}
    for history in histories:
        known = latest.get(history.rule.rule_id)
        if known is None or (history.since_ms, history.rule.key) > (known.since_ms, known.rule.key):
            latest[history.rule.rule_id] = history
    return frozenset(history.rule.key for history in latest.values())


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
