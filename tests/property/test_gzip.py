"""What holds for every compressed body, whole, cut, changed or hostile."""

from __future__ import annotations

import contextlib
import gzip as reference
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstseen.errors import ProtocolError
from firstseen.forward import compression
from firstseen.forward.compression import Plain, gunzip, gzip
from support.frames import generators

large = st.tuples(generators, st.integers(1, 35_000)).map(lambda case: case[0].randbytes(case[1]).hex().encode())
members = st.lists(st.one_of(st.just(b""), st.binary(max_size=50), large), max_size=5)


@st.composite
def gzipped(draw: st.DrawFn) -> tuple[list[bytes], list[bytes]]:
    """Plain members, and each as gzip."""
    plain, level = draw(members), draw(st.integers(0, 9))
    return plain, [reference.compress(each, level, mtime=0) for each in plain]


@given(gzipped(), st.sampled_from([1, 3, 1 << 14]), st.sampled_from([5, 1 << 20]))
def test_gunzip_reads_every_member(case, window, piece):
    """Any number of members, empty ones too, inflate to their concatenation, however little is inflated at a time."""
    plain, packed = case
    joined = b"".join(plain)
    if len(joined) > 5000:
        window, piece = 1000 * window, 1000 * piece
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compression, "WINDOW", window)
        patch.setattr(compression, "PIECE", piece)
        assert gunzip(b"".join(packed), len(joined)) == Plain(joined, len(packed))


@given(st.data(), gzipped())
def test_broken_gzip_is_refused(data, case):
    """A cut anywhere but between members raises ProtocolError; a changed byte does, or changes nothing that is read."""
    plain, packed = case
    body = b"".join(packed)
    ends = [sum(map(len, packed[:count])) for count in range(len(packed) + 1)]
    stop = data.draw(st.one_of(st.sampled_from(ends), st.integers(0, len(body))))
    if stop in ends:
        assert gunzip(body[:stop], 1 << 20).data == b"".join(plain[: ends.index(stop)])
    else:
        with pytest.raises(ProtocolError):
            gunzip(body[:stop], 1 << 20)
    if body:
        flipped = bytearray(body)
        flipped[data.draw(st.integers(0, len(body) - 1))] ^= data.draw(st.integers(1, 255))
        with contextlib.suppress(ProtocolError):
            assert gunzip(flipped, 1 << 20).data == b"".join(plain)


@given(gzipped(), st.integers(0, 200_000))
def test_gunzip_stops_at_the_limit(case, limit):
    """More than the limit raises ProtocolError, exactly the limit does not."""
    plain, packed = case
    joined = b"".join(plain)
    if limit < len(joined):
        with pytest.raises(ProtocolError):
            gunzip(b"".join(packed), limit)
    else:
        assert gunzip(b"".join(packed), limit).data == joined


@given(st.binary(max_size=300))
def test_any_bytes_as_gzip(body):
    """Any bytes inflate or raise ProtocolError."""
    with contextlib.suppress(ProtocolError):
        gunzip(b"\x1f\x8b\x08\x00" + body, 1 << 16)


@given(st.lists(st.binary(max_size=5000), max_size=5))
def test_gzip_makes_one_member(parts):
    """What is compressed here is one member that everybody reads, and that reads back here."""
    packed = gzip(parts)
    assert zlib.decompress(packed, 31) == b"".join(parts)
    assert gunzip(packed, 1 << 20) == Plain(b"".join(parts), 1)
