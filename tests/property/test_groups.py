"""Log groups in chunks, and in what is cut out of them, whatever legal encodings came in."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import groupby, pairwise

from hypothesis import given
from hypothesis import strategies as st

from firstseen.forward.entries import walk
from firstseen.forward.groups import Group, bracketed, groups
from firstseen.record.spans import entry_span
from support import oddpack
from support.frames import MARKER, any_time, generators
from support.oddpack import Ext, Pairs

END = Ext(0, b"\xff\xff\xff\xfe\0\0\0\0")

SPARE = b"\x92\x01\x80"
"""A record that is in no group unless one was left open."""

Chunk = tuple[bytes, list[tuple[int, int]]]


def group_entry(rng: random.Random) -> bytes:
    """A marker, a record, or a record that holds a marker's bytes."""
    inside = Pairs([("m", rng.choice((MARKER, END, [MARKER, Pairs([])])))])
    record = rng.choice((oddpack.any_map(rng), inside))
    time = rng.choice((MARKER, MARKER, END, END, rng.getrandbits(30), any_time(rng)))
    return oddpack.encode([rng.choice((time, [time, inside], [time, Pairs([])])), record], rng)


@st.composite
def chunks(draw: st.DrawFn) -> Chunk:
    """Entries one behind the other, and where each lies."""
    count, rng = draw(st.integers(0, 40)), draw(generators)
    data, spans = b"", []
    for _ in range(count):
        entry = group_entry(rng)
        spans.append((len(data), len(data) + len(entry)))
        data += entry
    return data, spans


def grouped(data: bytes) -> list[tuple[bytes, bytes | None]]:
    """Each record's entry, and the start marker of its group, as a reader sees them that knows nothing of ours."""
    found: list[tuple[bytes, bytes | None]] = []
    at, group = 0, None
    while at < len(data):
        value, stop = oddpack.read(data, at)
        entry, at = data[at:stop], stop
        time = value[0][0] if isinstance(value[0], list) else value[0]
        if time == MARKER:
            group = entry
        elif time == END:
            group = None
        else:
            found.append((entry, group))
    return found


def group_around(found: Sequence[Group], offset: int) -> Group | None:
    """The one group whose records lie around ``offset``."""
    around = [group for group in found if group.opening[1] <= offset < group.stop]
    assert len(around) <= 1
    return around[0] if around else None


@given(chunks())
def test_groups_are_those_that_a_reader_sees(chunk: Chunk) -> None:
    """Each record lies in the group whose start marker was the last marker before it, and in none behind an end."""
    data, spans = chunk
    found = groups(walk(data, 0, len(data)))
    ours = []
    for start, stop in spans:
        if entry_span(data, start, stop) is not None:
            group = group_around(found, start)
            ours.append((data[start:stop], data[slice(*group.opening)] if group else None))
    assert ours == grouped(data)


@given(chunks(), generators, st.floats(0, 1))
def test_what_is_kept_is_in_the_group_it_was_in(chunk: Chunk, rng: random.Random, share: float) -> None:
    """Whatever entries are kept, markers or not, alone or in runs: each record is there, in order and in its group, and
    no group stays open; nothing is there besides but the markers that are counted."""
    data, spans = chunk
    kept = [span for span in spans if rng.random() < share]
    runs = kept[:1]
    for start, stop in kept[1:]:
        joined = runs[-1][1] == start and rng.random() < 0.5
        runs[-1:] = [(runs[-1][0], stop)] if joined else [runs[-1], (start, stop)]

    result = bracketed(data, groups(walk(data, 0, len(data))), [(*run, data[slice(*run)]) for run in runs])
    sent = b"".join(result.pieces)

    records = [span for span in spans if entry_span(data, *span)]
    inside = [each for span, each in zip(records, grouped(data), strict=True) if span in kept]
    assert grouped(sent) == inside
    assert grouped(sent + SPARE)[-1] == (SPARE, None)
    assert walk(sent, 0, len(sent)).count == len(kept) + result.added


@given(chunks(), generators)
def test_records_without_their_markers_get_one_pair_for_a_group(chunk: Chunk, rng: random.Random) -> None:
    """Where records only are kept, two markers are added for each sequence of records of one group."""
    data, spans = chunk
    found = groups(walk(data, 0, len(data)))
    kept = [span for span in spans if entry_span(data, *span) and rng.random() < 0.5]
    sequences = [group for group, _ in groupby(group_around(found, start) for start, _ in kept) if group]
    assert bracketed(data, found, [(*span, data[slice(*span)]) for span in kept]).added == 2 * len(sequences)


@given(chunks(), st.integers(0, 40), st.integers(0, 40))
def test_a_chunk_cut_in_three(chunk: Chunk, first: int, second: int) -> None:
    """Runs cut out of a chunk hold its records in their groups, whichever entries they begin at."""
    data, spans = chunk
    found = groups(walk(data, 0, len(data)))
    ends = [0, *(stop for _, stop in spans)]
    cuts = sorted((0, ends[min(first, len(spans))], ends[min(second, len(spans))], len(data)))
    runs = [(start, stop) for start, stop in pairwise(cuts) if start < stop]
    sent = [bracketed(data, found, [(start, stop, data[start:stop])]) for start, stop in runs]
    assert [each for part in sent for each in grouped(b"".join(part.pieces))] == grouped(data)
    assert all(part.added <= 2 for part in sent)
