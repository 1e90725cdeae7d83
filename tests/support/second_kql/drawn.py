"""Queries as text, and documents, drawn by chance from what the two evaluators might see differently."""

from __future__ import annotations

from random import Random
from typing import Any

_FLAT = "aws.cloudtrail.flattened.request_parameters"
_BLOCK = "threat.enrichments"

TYPES = {
    "event.action": "keyword",
    "event.dataset": "constant_keyword",
    "process.name": "keyword",
    "process.name.text": "text",
    "process.name.caseless": "caseless",
    "url.full": "wildcard",
    "message": "match_only_text",
    "source.ip": "ip",
    "destination.port": "long",
    "event.risk_score": "float",
    "tls.established": "boolean",
    "@timestamp": "date",
    "event.created": "date",
    "source.geo.location": "geo_point",
    "labels": "object",
    _FLAT: "flattened",
    f"{_FLAT}.key": "flattened_key",
    f"{_FLAT}.a.b": "flattened_key",
    _BLOCK: "nested",
    f"{_BLOCK}.indicator.ip": "ip",
    f"{_BLOCK}.indicator.name": "keyword",
    f"{_BLOCK}.indicator.port": "long",
    f"{_BLOCK}.indicator.file.elf.sections": "nested",
    f"{_BLOCK}.indicator.file.elf.sections.name": "keyword",
    "labels.x": "unknown",
    "deltas": "unknown",
    "deltas.role": "unknown",
    "deltas.count": "unknown",
}

TOP = tuple(name for name in TYPES if not name.startswith(f"{_BLOCK}."))
BELOW = {
    _BLOCK: ("indicator.ip", "indicator.name", "indicator.port"),
    "deltas": ("role", "count"),
}
_SECTIONS = "indicator.file.elf.sections"
_OBJECTS = {name.rsplit(".", count)[0] for name in TYPES for count in range(1, name.count(".") + 1)}

TEXTS = (
    *(
        "",
        "foo",
        "Foo",
        "foo bar",
        "Foo Bar.baz",
        "foo.bar",
        "it's 1,5",
        "a*b",
        "cmd.exe",
        "CMD.EXE",
        "null",
        "é\u00a0x",
    ),
    *("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.200", "2001:db8::1", "2001:DB8:0::1", "192.0.2.01"),
    *("22", "22.0", "22.5", "-3", "1e2", "100", "4625", "9223372036854775808"),
    *("true", "false", "True", "not", "or x", "2026-05-24", "2026-05", "2026-05-24T09:12:33Z"),
    *("2026-05-24T11:12:33.500+02:00", "1779613953000", "C:\\Windows\\x", 'say "x"'),
)
SCALARS: tuple[Any, ...] = (22, 22.0, 22.5, -3, 100, 4625, True, False, 0, 1779613953000, 2**63, 1e16)
OPERANDS_ONLY = (
    *(
        "192.0.2.0/24",
        "192.0.2.0/33",
        "::/0",
        "1e999",
        "1.",
        "2026",
        "now",
        "now-1d/d",
        "now+1M",
        "2026-05||+1M/w",
        "now-",
    ),
)


def type_of(name: str) -> str:
    """The type of any field name, by what is known of fields."""
    if name in TYPES:
        return TYPES[name]
    if name.startswith(f"{_FLAT}."):
        return "flattened_key"
    last = name.rpartition(".")[2]
    if name in _OBJECTS:
        return "object"
    if last == "ip" or (last in ("text", "caseless") and "." in name):
        return last
    return "keyword" if name.startswith("aws.cloudtrail.") else "unknown"


class Draw:
    """Everything drawn comes from one ``Random``."""

    def __init__(self, random: Random) -> None:
        self.random = random

    def case(self) -> tuple[str, dict[str, Any]]:
        """A query and a document; a few of the queries are broken."""
        document = self.document()
        query = self.chain(lambda: self.condition(document), 3)
        if self.random.random() < 0.15:
            at = self.random.randrange(len(query) + 1)
            query = (
                query[:at]
                + self.random.choice(("", "(", ")", '"', "\\", " not ", ":", "}", "or ", "*"))
                + query[at + 1 :]
            )
        return query, document

    def chain(self, leaf: Any, most: int) -> str:
        """Some conditions or values, joined; sometimes in brackets and sometimes negated."""
        random = self.random
        parts = []
        for _ in range(random.choice((1, 1, 1, 2, most))):
            part = f"({self.blank()}{self.chain(leaf, 2)}{self.blank()})" if random.random() < 0.12 else leaf()
            parts.append(f"{random.choice(('not', 'NOT', 'not '))} {part}" if random.random() < 0.2 else part)
        joined = parts[0]
        for part in parts[1:]:
            joined += f" {self.blank()}{random.choice(('and', 'or', 'AND', 'Or'))}{self.blank()} {part}"
        return joined

    def blank(self) -> str:
        return self.random.choice(("", "", "", " ", "\n  ", "\t", "\u00a0"))

    def condition(self, document: dict[str, Any]) -> str:
        random = self.random
        kind = random.random()
        if kind < 0.1:
            path = random.choice((*BELOW, *BELOW, "event.action", "labels"))
            child = self.chain(
                lambda: self.comparison(random.choice(BELOW.get(path, ("x",))), document, relative=False), 2
            )
            if path == _BLOCK and random.random() < 0.4:
                section = self.comparison("name", document, relative=False)
                child += f" {random.choice(('and', 'or'))} {_SECTIONS}:{{ {section} }}"
            return f"{path}{self.blank()}:{self.blank()}{{{self.blank()}{child}{self.blank()}}}"
        if kind < 0.16:
            return self.value(document, relative=False)
        if kind < 0.22:
            name = random.choice(("event.*", "*", "*.ip", "process*name", "deltas.*", "*.key"))
        elif kind < 0.25:
            name = f"{_BLOCK}.indicator.name"
        else:
            name = random.choice(TOP)
        return self.comparison(name, document, relative=True)

    def comparison(self, name: str, document: dict[str, Any], *, relative: bool) -> str:
        random = self.random
        spelt = f'"{name}"' if random.random() < 0.05 and "*" not in name else name
        kind = random.random()
        if kind < 0.12:
            return f"{spelt}{self.blank()}:{self.blank()}*"
        if kind < 0.27:
            sign = random.choice(("<", "<=", ">", ">="))
            return f"{spelt}{self.blank()}{sign}{self.blank()}{self.value(document, relative=relative)}"
        if kind < 0.45:
            values = self.chain(lambda: self.value(document, relative=relative), 3)
            return f"{spelt}{self.blank()}:{self.blank()}({self.blank()}{values}{self.blank()})"
        return f"{spelt}{self.blank()}:{self.blank()}{self.value(document, relative=relative)}"

    def value(self, document: dict[str, Any], *, relative: bool) -> str:
        """A value as a query spells it; mostly one that the document holds."""
        random = self.random
        held = [value for value in document.get("held", ()) if value is not None]
        if held and random.random() < 0.6:
            chosen = random.choice(held)
            text = chosen if isinstance(chosen, str) else str(chosen).lower()
        else:
            text = random.choice(TEXTS + OPERANDS_ONLY)
        if text.startswith("now") and not relative:
            text = "22"
        if random.random() < 0.4:
            return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
        if random.random() < 0.3:
            first, last = sorted(random.randrange(len(text) + 1) for _ in range(2))
            return (
                self.plain(text[:first])
                + "*"
                + self.plain(text[random.choice((first, last)) :])
                + random.choice(("", "*"))
            )
        return self.plain(text) or '""'

    def plain(self, text: str) -> str:
        """``text`` without quotes: what would end it is escaped, nearly always."""
        special = '\\():<>"*{}'
        escaped = "".join(f"\\{each}" if each in special and self.random.random() < 0.98 else each for each in text)
        return escaped.replace("f", "\\u0066", 1) if self.random.random() < 0.05 else escaped

    def document(self) -> dict[str, Any]:
        """A document with some of the fields, nested, dotted or mixed; ``held`` repeats its values under one name."""
        random = self.random
        document: dict[str, Any] = {}
        held: list[Any] = []
        for name in random.sample(TOP, random.randrange(1, 8)):
            if name in BELOW and random.random() < 0.8:
                self.put(document, name, [self.element(name, held) for _ in range(random.randrange(3))])
            else:
                self.put(document, name, self.some(held))
        if random.random() < 0.5:
            document["@timestamp"] = "2026-05-24T09:12:33Z"
        document["held"] = held
        return document

    def element(self, path: str, held: list[Any]) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for name in BELOW[path]:
            if self.random.random() < 0.7:
                self.put(made, name, self.some(held))
        if path == _BLOCK and self.random.random() < 0.5:
            self.put(made, _SECTIONS, [{"name": self.some(held)} for _ in range(self.random.randrange(3))])
        return made

    def some(self, held: list[Any]) -> Any:
        random = self.random
        found = [random.choice(TEXTS + SCALARS + (None,)) for _ in range(random.choice((1, 1, 1, 2, 3)))]
        if random.random() < 0.02:
            found.append("x" * random.choice((1024, 1025)))
        held.extend(found)
        return found[0] if len(found) == 1 else found

    def put(self, into: dict[str, Any], name: str, value: Any) -> None:
        """Put ``value`` at ``name``, cut into keys anywhere; what is in the way is left, and the name stays dotted."""
        parts = name.split(".")
        count = self.random.randrange(1, len(parts) + 1)
        first, rest = ".".join(parts[:count]), ".".join(parts[count:])
        if not rest or not isinstance(into.get(first, {}), dict):
            into[name] = value
        else:
            self.put(into.setdefault(first, {}), rest, value)
