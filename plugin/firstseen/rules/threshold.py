"""What makes matches of a rule of type threshold an alert, from the values in its file."""

from __future__ import annotations

from firstseen.rules.rule import Cardinality, Threshold
from firstseen.rules.rulefile import RuleFile
from firstseen.toml import KeyPath

_MAX_FIELDS = 5
_MOST = 10**9
_TABLE: KeyPath = ("rule", "threshold")


def threshold(file: RuleFile) -> Threshold | None:
    """The threshold; None where there is none, which is a fault."""
    if not file.table(*_TABLE):
        if file.value(*_TABLE) is None:
            file.fault("missing", *_TABLE)
        return None
    count = file.number(*_TABLE, "value", least=1, most=_MOST)
    return Threshold(_fields(file), count, _cardinality(file))


def _fields(file: RuleFile) -> tuple[str, ...]:
    """A list of fields, or a single one; an empty text is none, as in rules that were written for older versions."""
    value = file.value(*_TABLE, "field")
    if isinstance(value, str):
        return (value,) if value.strip() else ()
    return file.names((*_TABLE, "field"), least=0, most=_MAX_FIELDS)


def _cardinality(file: RuleFile) -> Cardinality | None:
    """The first in the list: Elastic's engine looks at no other. A count of 0 asks for nothing."""
    tables = file.tables(*_TABLE, "cardinality")
    if not tables:
        return None
    field = file.text(*tables[0], "field")
    count = file.number(*tables[0], "value", most=_MOST)
    return Cardinality(field, count) if count else None
