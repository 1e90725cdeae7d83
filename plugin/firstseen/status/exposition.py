"""Metrics in Prometheus' text format, version 0.0.4.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/. Names and help are ours and need no escaping but
that of help; what stands in labels is escaped whoever wrote it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

from firstseen.metrics import Histogram

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Kind = Literal["counter", "gauge", "histogram"]


class Sample(NamedTuple):
    """One value, with the values of its family's labels."""

    value: float | Histogram
    labels: Sequence[str] = ()


class Described(NamedTuple):
    """A family of metrics: its name, kind, meaning, and the names of its labels, with its samples."""

    name: str
    kind: Kind
    help: str
    labels: Sequence[str]
    samples: Iterable[Sample]


def exposition(families: Iterable[Described]) -> bytes:
    """All of them; a family without a sample is left out."""
    return "".join(line for family in families for line in _lines(family)).encode("utf-8", "replace")


def _lines(family: Described) -> Iterator[str]:
    samples = list(family.samples)
    if not samples:
        return
    name = family.name
    told = family.help.replace("\\", "\\\\").replace("\n", "\\n")
    yield f"# HELP {name} {told}\n# TYPE {name} {family.kind}\n"
    for value, labels in samples:
        pairs = [f'{key}="{_escaped(text)}"' for key, text in zip(family.labels, labels, strict=True)]
        if isinstance(value, Histogram):
            yield from _histogram(name, pairs, value)
        else:
            yield f"{name}{_braced(pairs)} {_number(value)}\n"


def _histogram(name: str, pairs: Sequence[str], histogram: Histogram) -> Iterator[str]:
    count = 0
    for bound, more in zip((*histogram.bounds, math.inf), histogram.counts, strict=True):
        count += more
        upto = f'le="{_number(bound)}"'
        yield f"{name}_bucket{_braced([*pairs, upto])} {count}\n"
    yield f"{name}_sum{_braced(pairs)} {_number(histogram.total)}\n{name}_count{_braced(pairs)} {count}\n"


def _braced(pairs: Sequence[str]) -> str:
    return f"{{{','.join(pairs)}}}" if pairs else ""


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: float) -> str:
    if isinstance(value, bool | int):
        return str(int(value))
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return repr(value)
