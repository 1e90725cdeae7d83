from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from firstseen.detect.new_terms import Sighting
from firstseen.store.codec import pack_sighting, unpack_sighting

texts = st.text(st.characters(), max_size=20) | st.uuids().map(str) | st.uuids().map(lambda uuid: str(uuid).upper())
scalars = st.one_of(texts, st.integers(), st.booleans(), st.floats())
sightings = st.builds(Sighting, st.integers(), st.integers(), st.integers(0, 2**63), texts, texts)


def plain(value: object) -> tuple[type, object]:
    return type(value), "nan" if isinstance(value, float) and math.isnan(value) else value


@given(sightings, st.lists(scalars, min_size=1, max_size=4).map(tuple))
def test_what_is_kept_comes_back(sighting, terms):
    """Any sighting of any terms that a record can have comes back from its bytes as it was, types included."""
    back, terms_back = unpack_sighting(pack_sighting(sighting, terms))
    assert back == sighting
    assert list(map(plain, terms_back)) == list(map(plain, terms))


@given(st.binary(max_size=60))
def test_anything_else_is_refused(raw):
    """Any bytes are a sighting or raise `ValueError`; never anything else."""
    try:
        sighting, terms = unpack_sighting(raw)
    except ValueError:
        return
    assert isinstance(sighting, Sighting)
    assert terms
