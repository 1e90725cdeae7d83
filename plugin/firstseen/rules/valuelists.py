"""Value lists: the texts or addresses that an exception of type ``list`` looks a field up in.

A list is a text file beside the file that names it, called by its id and ``.txt``. One value a line; blanks around it,
empty lines and lines that start with ``#`` do not count. In a list of addresses a value is an address, a network
(``192.0.2.0/24``) or a range (``192.0.2.1-192.0.2.9``).
"""

from __future__ import annotations

from pathlib import Path

from firstseen import plainfile
from firstseen.errors import Problem
from firstseen.kql.addresses import range_of
from firstseen.kql.ast import Addresses, Members
from firstseen.rules.rulefile import RuleFile
from firstseen.toml import KeyPath

TYPES = ("keyword", "ip", "ip_range")

MOST_BYTES = 256 << 20
"""Of a list: ten million addresses. One that is larger is taken for a slip, before it takes all memory there is."""


class ValueLists:
    """Reads each list once."""

    def __init__(self) -> None:
        self._read: dict[tuple[Path, str], Members | Addresses | None] = {}

    def named(self, file: RuleFile, path: KeyPath) -> Members | Addresses | None:
        """The list that the table at ``path`` names; None where it has a fault, which is noted in ``file``."""
        faults = len(file.problems)
        if not file.table(*path):
            if file.value(*path) is None:
                file.fault('missing: which list, as in {id = "vpn-exits", type = "ip_range"}', *path)
            return None
        list_id, list_type = file.text(*path, "id"), file.choice(TYPES, *path, "type")
        if len(file.problems) > faults:
            return None
        if "/" in list_id or "\0" in list_id or list_id.startswith("."):
            file.fault(f'no name of a file, got "{list_id}"', *path, "id")
            return None
        key = Path(file.document.file).parent / f"{list_id}.txt", list_type
        if key not in self._read:
            self._read[key] = _values(file, path, *key)
        return self._read[key]


def _values(file: RuleFile, path: KeyPath, source: Path, list_type: str) -> Members | Addresses | None:
    try:
        text = plainfile.read(source, MOST_BYTES).decode("utf-8-sig")
    except OSError as error:
        file.fault(f"the list {source} cannot be read: {error.strerror}", *path)
        return None
    except UnicodeDecodeError:
        file.fault(f"the list {source} is not UTF-8", *path)
        return None
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")  # `splitlines` splits at U+2028 and others too
    values = [(number, line.strip()) for number, line in enumerate(lines, start=1)]
    values = [(number, value) for number, value in values if value and not value.startswith("#")]
    if list_type == "keyword":
        return Members(source.stem, frozenset(value for _, value in values))
    odd = [
        Problem(str(source), number, f'expected an address, a network or a range of addresses, got "{value}"')
        for number, value in values
        if range_of(value) is None
    ]
    file.problems += odd
    return None if odd else Addresses(source.stem, tuple(value for _, value in values))
