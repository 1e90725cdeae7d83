from __future__ import annotations

import pytest

from firstseen.detect.new_terms import Sighting
from firstseen.detect.suppression import Window
from firstseen.detect.threshold import Bucket, Mark
from firstseen.store.base import Memory
from firstseen.store.redis.hashes import MEMORY, WHOLE, fields_of, memory_of, terms_in

TERMS = ("arn:aws:iam::111122223333:user/ada", 7, True, None, 1.5, "\ud800", 1 << 70)
MEMORIES: tuple[Memory, ...] = (
    Sighting(-5, 1_790_000_000_000, 12, "e-1", "half a pair: \udc00"),
    Window(1, 2, "e", 3),
    Bucket(1, 2, 3, "e", 60, None, 1, 60, (Mark(2, b"8 bytes.", frozenset({b"8 others"})),)),
)


@pytest.mark.parametrize("memory", MEMORIES)
def test_what_is_written_is_read(memory: Memory) -> None:
    fields = fields_of(memory, TERMS)
    assert list(fields) == list(WHOLE)
    assert memory_of([fields[name] for name in MEMORY]) == memory
    assert terms_in([fields[name] for name in WHOLE]) == TERMS


def test_the_numbers_of_a_sighting_are_decimal() -> None:
    fields = fields_of(MEMORIES[0], TERMS)
    assert (fields[b"f"], fields[b"l"], fields[b"c"]) == (b"-5", b"1790000000000", b"12")


def test_where_nothing_is_there_is_no_memory() -> None:
    fields = fields_of(None, TERMS)
    assert set(fields.values()) == {None}
    assert memory_of([fields[name] for name in MEMORY]) is None
    with pytest.raises(ValueError, match="its terms are missing"):
        terms_in([fields[name] for name in WHOLE])


@pytest.mark.parametrize(
    "values",
    [
        (b"1", None, b"1", b"e", b"e", None),
        (b"1", b"x", b"1", b"e", b"e", None),
        (b"1", b"2", b"1", b"\xff", b"e", None),
        (None, None, None, None, None, b"\xc1"),
    ],
)
def test_what_is_no_memory_is_told(values: tuple[bytes | None, ...]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # whose words they are is no matter
        memory_of(values)
