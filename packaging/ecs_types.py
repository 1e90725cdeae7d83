"""Makes the table of ECS field types that the package ships with.

    python packaging/ecs_types.py path/to/ecs/generated/ecs/ecs_flat.yml

Reads the flat list of fields of the Elastic Common Schema (https://github.com/elastic/ecs, Apache-2.0) and writes
``plugin/firstseen/record/ecs_types.txt``: names and types, nothing else. Fields of one type under one name make a
group, and names with equal groups under them share a line, so that what the schema uses often is said once.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

TABLE = Path(__file__).parent.parent / "plugin/firstseen/record/ecs_types.txt"

HEAD = """\
# The types of the fields of the Elastic Common Schema (https://github.com/elastic/ecs, Apache-2.0), made by
# packaging/ecs_types.py. A line is a type, names, and what is below each of these names; a dot is the top.
"""

# In the list a field is a key at the start of a line, and its type one of its keys: its multi-fields lie deeper.
_FIELD = re.compile(r"""^'?(?P<name>[^\s'#].*?)'?:$|^  type: (?P<type>\w+)$""", re.MULTILINE)


def main(flat: str) -> None:
    """Write the table from the list at the path ``flat``."""
    types = fields_of(Path(flat).read_text("utf-8"))
    TABLE.write_text(HEAD + "".join(f"{line}\n" for line in table(types)), "utf-8")
    sys.stdout.write(f"{len(types)} fields in {TABLE.stat().st_size} bytes\n")


def fields_of(flat: str) -> dict[str, str]:
    """Return the type of each field in ``flat``, the text of the list."""
    types: dict[str, str] = {}
    name = ""
    for found in _FIELD.finditer(flat):
        if found["type"] is None:
            name = found["name"]
        else:
            types[name] = found["type"]
    return types


def table(types: dict[str, str]) -> list[str]:
    """Return the lines of the table."""
    groups: dict[tuple[str, str], list[str]] = {}
    for name, es_type in types.items():
        parent, _, last = name.rpartition(".")
        groups.setdefault((es_type, parent or "."), []).append(last)
    lines: dict[tuple[str, str], list[str]] = {}
    for (es_type, parent), lasts in groups.items():
        lines.setdefault((es_type, ",".join(sorted(lasts))), []).append(parent)
    return sorted(f"{es_type} {','.join(sorted(parents))} {lasts}" for (es_type, lasts), parents in lines.items())


if __name__ == "__main__":
    main(*sys.argv[1:])
