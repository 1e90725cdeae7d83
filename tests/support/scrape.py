"""Metrics as Prometheus reads them, by a reader that shares no line with what writes them."""

from __future__ import annotations

import re
from dataclasses import dataclass

_LINE = re.compile(r"^(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(?P<labels>.*)\})? (?P<value>\S+)$")
_LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"(?:,|$)')


@dataclass(frozen=True)
class Value:
    name: str
    labels: dict[str, str]
    value: float


class Scrape:
    """What was scraped; raises `AssertionError` for a line that is none."""

    def __init__(self, text: str) -> None:
        self.names: list[str] = []
        self.values: list[Value] = []
        for line in text.splitlines():
            if line.startswith("# HELP "):
                self.names.append(line.split()[2])
            elif not line.startswith("# TYPE "):
                self.values.append(self._read(line))

    @staticmethod
    def _read(line: str) -> Value:
        match = _LINE.match(line)
        assert match, line
        labels = match["labels"] or ""
        assert "".join(found[0] for found in re.finditer(_LABEL, labels)) == labels, line
        return Value(match["name"], dict(_LABEL.findall(labels)), float(match["value"]))

    def total(self, name: str, **labels: str) -> float:
        """The sum of all of that name with those labels; fails where there is none."""
        found = [each.value for each in self.values if each.name == name and labels.items() <= each.labels.items()]
        assert found, f"no {name} {labels}"
        return sum(found)

    def assert_sums(self) -> None:
        """What an operator would be woken for does not hold."""
        total = self.total
        assert total("firstseen_input_records_total") == (
            total("firstseen_output_proc_records_total")
            + total("firstseen_output_dropped_records_total")
            + total("firstseen_records_in_flight")
        )
        assert total("firstseen_input_chunks_total") == (
            total("firstseen_output_chunks_total")
            + total("firstseen_chunks_rejected_total")
            + total("firstseen_chunks_quarantined_total")
            + total("firstseen_duplicate_chunks_total")
            + total("firstseen_chunks_in_flight")
        )
        for rule in {each.labels["rule_id"] for each in self.values if "rule_id" in each.labels}:
            assert total("firstseen_rule_matches_total", rule_id=rule) == (
                total("firstseen_alerts_total", rule_id=rule) + total("firstseen_alerts_suppressed_total", rule_id=rule)
            )
