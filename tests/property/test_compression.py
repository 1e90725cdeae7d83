"""What holds for every compressed body, whole, cut, changed or hostile."""

from __future__ import annotations

import contextlib
import gzip
import zlib
from dataclasses import dataclass

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from firstseen.errors import ProtocolError
from firstseen.forward import compression
from firstseen.forward.compression import Algorithm, Plain, algorithm, deflate, inflate
from support.frames import generators

large = st.tuples(generators, st.integers(1, 35_000)).map(lambda case: case[0].randbytes(case[1]).hex().encode())
members = st.lists(st.one_of(st.just(b""), st.binary(max_size=50), large), max_size=5)
algorithms = st.sampled_from(Algorithm)


@dataclass(frozen=True)
class Packed:
    """Plain members, and each compressed; ``checked`` says that all have checksums."""

    algorithm: Algorithm
    plain: list[bytes]
    packed: list[bytes]
    checked: bool

    @property
    def joined(self) -> bytes:
        return b"".join(self.plain)

    @property
    def body(self) -> bytes:
        return b"".join(self.packed)


@st.composite
def bodies(draw: st.DrawFn) -> Packed:
    """Members as gzip in any level; frames with and without size and checksum, in few blocks or many, skippable ones
    among them."""
    plain, checked = draw(members), draw(st.booleans())
    if draw(algorithms) is Algorithm.GZIP:
        level = draw(st.integers(0, 9))
        return Packed(Algorithm.GZIP, plain, [gzip.compress(each, level, mtime=0) for each in plain], checked=True)
    level = draw(st.sampled_from([-50, 1, 3, 19]))
    settings = zstandard.ZstdCompressor(level=level, write_checksum=checked)
    frames = [zstd(settings, each, draw(st.booleans()), draw(st.sampled_from([7, 500, 1 << 20]))) for each in plain]
    if draw(st.booleans()):
        at, content = draw(st.integers(0, len(plain))), draw(st.binary(max_size=9))
        plain = [*plain[:at], b"", *plain[at:]]
        frames.insert(at, bytes((draw(st.integers(0x50, 0x5F)), 0x2A, 0x4D, 0x18, len(content), 0, 0, 0)) + content)
        checked = checked and not content
    return Packed(Algorithm.ZSTD, plain, frames, checked)


def zstd(settings: zstandard.ZstdCompressor, plain: bytes, sized: bool, block: int) -> bytes:
    """``plain`` in one frame, flushed after every ``block`` bytes, but not too often."""
    frame = settings.compressobj(size=len(plain)) if sized else settings.compressobj()
    block = max(block, len(plain) // 50)
    parts = []
    for at in range(0, len(plain), block):
        parts += [frame.compress(plain[at : at + block]), frame.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)]
    return b"".join([*parts, frame.flush()])


@given(bodies(), st.sampled_from([1, 3, 1 << 14]), st.sampled_from([5, 1 << 17]))
def test_every_member_is_read(case, window, piece):
    """Any number of members, empty ones too, inflate to their concatenation, however little is inflated at a time."""
    joined = case.joined
    if len(joined) > 5000:
        window, piece = 1000 * window, 1000 * piece
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compression, "WINDOW", window)
        patch.setattr(compression, "PIECE", piece)
        assert inflate(case.algorithm, case.body, len(joined)) == Plain(bytearray(joined), len(case.packed))


@given(st.data(), bodies())
def test_a_cut_is_noticed(data, case):
    """A cut anywhere but between members raises ProtocolError; between them the members before it are read."""
    ends = [sum(map(len, case.packed[:count])) for count in range(len(case.packed) + 1)]
    stop = data.draw(st.one_of(st.sampled_from(ends), st.integers(0, ends[-1])))
    if stop in ends:
        assert inflate(case.algorithm, case.body[:stop], 1 << 20).data == b"".join(case.plain[: ends.index(stop)])
    else:
        with pytest.raises(ProtocolError, match="cut short"):
            inflate(case.algorithm, case.body[:stop], 1 << 20)


@given(st.data(), bodies().filter(lambda case: case.body))
def test_a_changed_byte_is_noticed(data, case):
    """A changed byte raises ProtocolError or changes nothing that is read, where there are checksums.

    Without them it may change the content, but never take it beyond the limit. (Bits that switch a checksum off, or
    make a frame skippable, are not noticed: the format has nothing that guards them.)
    """
    flipped = bytearray(case.body)
    at = data.draw(st.integers(0, len(flipped) - 1))
    flipped[at] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(ProtocolError):
        read = inflate(case.algorithm, flipped, 1 << 20).data
        if case.checked and not (case.algorithm is Algorithm.ZSTD and in_header(case, at)):
            assert read == case.joined
        assert len(read) <= 1 << 20


def in_header(case: Packed, at: int) -> bool:
    """Whether the offset lies in a frame's magic or descriptor, or in the length of a skippable frame."""
    start = 0
    for frame in case.packed:
        if start <= at < start + len(frame):
            return at - start < (8 if frame[0] & 0xF0 == 0x50 else 5)
        start += len(frame)
    return False


@given(bodies(), st.integers(0, 200_000))
def test_the_limit_is_exact(case, limit):
    """More than the limit raises ProtocolError, exactly the limit does not."""
    if limit < len(case.joined):
        with pytest.raises(ProtocolError, match=f"more than {limit} bytes"):
            inflate(case.algorithm, case.body, limit)
    else:
        assert inflate(case.algorithm, case.body, limit).data == case.joined


@given(algorithms, st.binary(max_size=300))
def test_any_bytes(kind, body):
    """Any bytes inflate within the limit or raise ProtocolError."""
    magic = {Algorithm.GZIP: b"\x1f\x8b\x08\x00", Algorithm.ZSTD: b"\x28\xb5\x2f\xfd"}[kind]
    for each in (body, magic + body):
        with contextlib.suppress(ProtocolError):
            assert len(inflate(kind, each, 1 << 16).data) <= 1 << 16


@given(algorithms, st.lists(st.binary(max_size=5000), max_size=5))
def test_one_member_is_made(kind, parts):
    """What is compressed here is one member that everybody reads, that says what it is, and that reads back here."""
    packed, joined = deflate(kind, parts), b"".join(parts)
    if kind is Algorithm.GZIP:
        assert zlib.decompress(packed, 31) == joined
    else:
        assert zstandard.ZstdDecompressor().decompress(packed, allow_extra_data=False) == joined
    assert algorithm(None, packed) is kind
    assert inflate(kind, packed, 1 << 20) == Plain(bytearray(joined), 1)
