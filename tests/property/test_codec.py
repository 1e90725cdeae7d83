from __future__ import annotations

import contextlib
import math

from hypothesis import given
from hypothesis import strategies as st

from firstseen.detect.new_terms import Sighting
from firstseen.detect.suppression import Window
from firstseen.detect.threshold import DIGEST_SIZE, Bucket, Mark
from firstseen.store.codec import last_seen_in, pack_memory, repacked, unpack_memory

texts = st.text(st.characters(), max_size=20) | st.uuids().map(str) | st.uuids().map(lambda uuid: str(uuid).upper())
scalars = st.one_of(texts, st.integers(), st.booleans(), st.floats())
times = st.integers(-(2**70), 2**70)
counts = st.integers(0, 2**63) | st.sampled_from([1, 2, 2**24 - 1, 2**24])
ids = st.uuids().map(str)
recent = st.integers(1_356_998_400_000, 1_356_998_400_000 + 2**40)
sightings = st.builds(Sighting, st.integers(), st.integers(), counts, texts, texts) | st.builds(
    Sighting, recent, recent, counts, ids, ids
)
windows = st.builds(Window, times, times, texts, st.integers(0, 2**63))
digests = st.binary(min_size=DIGEST_SIZE, max_size=DIGEST_SIZE)


@st.composite
def buckets(draw: st.DrawFn) -> Bucket:
    run_ms = draw(times)
    marks = draw(
        st.lists(st.tuples(st.integers(-(2**40), 2**40), digests, st.frozensets(digests, max_size=3)), max_size=5)
    )
    may_be = st.none() | times
    return Bucket(
        first_seen=draw(times),
        last_seen=draw(times),
        events=draw(st.integers(0, 2**63)),
        event=draw(texts),
        run_ms=run_ms,
        spent_ms=draw(may_be),
        alerted_ms=draw(may_be),
        alert_run_ms=draw(may_be),
        marks=tuple(Mark(run_ms - before, event, values) for before, event, values in marks),
    )


def plain(value: object) -> tuple[type, object]:
    return type(value), "nan" if isinstance(value, float) and math.isnan(value) else value


@given(sightings, st.lists(scalars, min_size=1, max_size=4).map(tuple))
def test_what_is_kept_comes_back(sighting, terms):
    """Any sighting of any terms that a record can have comes back from its bytes as it was, types included."""
    back, terms_back = unpack_memory(pack_memory(sighting, terms))
    assert back == sighting
    assert last_seen_in(pack_memory(sighting, terms)) == sighting.last_seen
    assert repacked(pack_memory(sighting, terms)) == pack_memory(sighting, terms)
    assert list(map(plain, terms_back)) == list(map(plain, terms))


@given(windows | buckets(), st.lists(st.none() | scalars, max_size=4).map(tuple))
def test_what_other_laws_keep_comes_back(memory, terms):
    """The same of what other laws remember, whose terms may be missing."""
    back, terms_back = unpack_memory(pack_memory(memory, terms))
    assert back == memory
    assert last_seen_in(pack_memory(memory, terms)) == memory.last_seen
    assert list(map(plain, terms_back)) == list(map(plain, terms))


@given(st.binary(max_size=60))
def test_anything_else_is_refused(raw):
    """Any bytes are a memory or raise `ValueError`; never anything else."""
    try:
        memory, terms = unpack_memory(raw)
    except ValueError:
        with contextlib.suppress(ValueError):
            assert isinstance(last_seen_in(raw), int)
        return
    assert last_seen_in(raw) == memory.last_seen
    assert isinstance(memory, Sighting | Bucket | Window)
    assert terms or not isinstance(memory, Sighting)
