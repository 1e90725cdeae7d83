from __future__ import annotations

import gzip as reference
import random
import subprocess
import sys
import time
import tracemalloc
import zlib

import pytest
import zstandard

from firstseen.errors import ProtocolError
from firstseen.forward.compression import (
    HARMLESS,
    MANY_PARTS,
    MAX_RATIO,
    MAX_WINDOW,
    PIECE,
    WINDOW,
    Algorithm,
    Plain,
    algorithm,
    deflate,
    inflate,
    travels,
)

GZIP, ZSTD = Algorithm.GZIP, Algorithm.ZSTD
BOTH = pytest.mark.parametrize("kind", list(Algorithm))

NOISE = random.Random(1).randbytes((1 << 20) + 1)
EMPTY_FRAME = bytes.fromhex("28b52ffd 20 00 010000")
SKIPPABLE = bytes.fromhex("5a2a4d18 03000000 616263")
LIMIT = 64 << 20


def member(plain: bytes, level: int = 6) -> bytes:
    return reference.compress(plain, level, mtime=0)


def frame(plain: bytes, **settings: int) -> bytes:
    return zstandard.ZstdCompressor(
        compression_params=zstandard.ZstdCompressionParameters(**{"write_checksum": 1, **settings})
    ).compress(plain)


PACKERS = {GZIP: member, ZSTD: frame}


def plain(data: bytes, members: int) -> Plain:
    return Plain(bytearray(data), members)


def refusal(kind: Algorithm, body: bytes, limit: int = LIMIT) -> str:
    with pytest.raises(ProtocolError) as caught:
        inflate(kind, body, limit)
    return str(caught.value)


@pytest.mark.parametrize("named", [None, "gzip", "zstd", "GZIP", ""])
@pytest.mark.parametrize(
    ("blob", "expected"),
    [
        (b"\x1f\x8b", GZIP),
        (b"\x1f\x8b\x08\x00\x00", GZIP),
        (b"\x28\xb5\x2f\xfd", ZSTD),
        (EMPTY_FRAME, ZSTD),
        (b"\x50\x2a\x4d\x18", ZSTD),
        (b"\x5f\x2a\x4d\x18\x00\x00\x00\x00", ZSTD),
    ],
)
def test_magic_wins_over_the_name(named, blob, expected):
    assert algorithm(named, blob) is expected
    assert algorithm(named, memoryview(bytearray(blob))) is expected


@pytest.mark.parametrize(
    "blob", [b"", b"\x1f", b"\x28\xb5\x2f", b"\x60\x2a\x4d\x18", b"\x92\x01\x80", b"\xdc\x00\x02\x01\x80", b"\xdd"]
)
def test_without_magic_the_name_is_believed(blob):
    assert [algorithm(named, blob) for named in (None, "gzip", "zstd")] == [None, GZIP, ZSTD]
    for named in ("lz4", "", "GZIP", "gzip\udcff"):
        with pytest.raises(ProtocolError, match="neither gzip nor zstd"):
            algorithm(named, blob)


@BOTH
@pytest.mark.parametrize("buffer", [bytes, bytearray, memoryview])
def test_one_member(kind, buffer):
    assert inflate(kind, buffer(PACKERS[kind](b"plain")), 100) == plain(b"plain", 1)


@BOTH
def test_no_member(kind):
    assert inflate(kind, b"", 100) == plain(b"", 0)


@BOTH
@pytest.mark.parametrize("plains", [[b""], [b"", b""], [b"a", b"", b"b"], [b"", b"a"], [b"a"] * 50])
def test_members_behind_each_other(kind, plains):
    body = b"".join(map(PACKERS[kind], plains))
    assert inflate(kind, body, 100) == plain(b"".join(plains), len(plains))


@BOTH
@pytest.mark.parametrize("size", [PIECE - 1, PIECE, PIECE + 1, 1 << 20, (1 << 20) + 1])
@pytest.mark.parametrize("level", [0, 1, 9])
def test_members_larger_than_what_is_inflated_at_a_time(kind, size, level):
    pack = member if kind is GZIP else lambda plain, level: frame(plain, compression_level=level or -9)
    for content in (NOISE[:size], bytes(size)):
        assert inflate(kind, pack(content, level) + pack(b"end", 1), size + 3) == plain(content + b"end", 2)


@pytest.mark.parametrize("before", range(WINDOW - 25, WINDOW + 25))
def test_members_at_the_edge_of_a_window(before):
    stored = zlib.compressobj(0, zlib.DEFLATED, 31)
    first = stored.compress(NOISE[: before - 23]) + stored.flush()
    assert len(first) == before
    assert inflate(GZIP, first + member(b"") + member(b"end"), WINDOW * 2) == plain(NOISE[: before - 23] + b"end", 3)


def test_a_gzip_header_with_everything_in_it():
    extra = b"\x1f\x8b\x08\x1c" + bytes(6) + b"\x03\x00abc" + b"name\x00" + b"comment\x00"
    assert inflate(GZIP, extra + member(b"plain")[10:], 100) == plain(b"plain", 1)


@pytest.mark.parametrize("size", [0, 1, 255, 256, 65_791, 65_792, 1 << 20])
@pytest.mark.parametrize("settings", [{}, {"write_content_size": 0}, {"write_checksum": 0}, {"window_log": 10}])
def test_zstd_headers_of_every_width(size, settings):
    body = frame(NOISE[:size], **settings)
    assert inflate(ZSTD, body + body, 1 << 22) == plain(NOISE[:size] * 2, 2)


def test_zstd_frames_that_are_skipped_are_frames():
    assert inflate(ZSTD, SKIPPABLE, 100) == plain(b"", 1)
    assert inflate(ZSTD, SKIPPABLE + frame(b"a") + SKIPPABLE + frame(b"b"), 100) == plain(b"ab", 4)


@pytest.mark.parametrize(
    ("kind", "body", "whole"),
    [
        (GZIP, [member(b"plain text, plain text"), member(b"")], 2),
        (ZSTD, [frame(b"plain text, plain text"), SKIPPABLE, EMPTY_FRAME, frame(b"a", write_checksum=0)], 4),
    ],
)
def test_every_cut_is_noticed(kind, body, whole):
    joined, ends = b"".join(body), {sum(map(len, body[:count])) for count in range(whole)}
    for cut in set(range(len(joined))) - ends:
        assert refusal(kind, joined[:cut]) == f"{kind.value} that is cut short"


@BOTH
def test_every_changed_byte_is_noticed_or_means_nothing(kind):
    body = PACKERS[kind](b"plain text, plain text")
    silent = []
    for at in range(len(body)):
        changed = bytearray(body)
        changed[at] ^= 0x55
        try:
            assert inflate(kind, changed, 1000).data == b"plain text, plain text"
        except ProtocolError:
            continue
        silent.append(at)
    assert set(silent) <= ({4, 5, 6, 7, 8, 9} if kind is GZIP else set()), "time, flags of speed, system"


@pytest.mark.parametrize(
    ("kind", "body", "reason"),
    [
        (GZIP, b"\x00", "broken gzip: no member begins at byte 0"),
        (GZIP, b"\x92\x01\x80", "broken gzip: no member begins at byte 0"),
        (GZIP, zlib.compress(b"a"), "broken gzip: no member begins at byte 0"),
        (GZIP, b"nonsense" * 9, "broken gzip: no member begins at byte 0"),
        (GZIP, member(b"a") + b"\x00", "broken gzip: no member begins at byte 21"),
        (GZIP, member(b"a")[:-8] + bytes(8), "broken gzip: Error -6 Incorrect checksum found"),
        (ZSTD, b"\x00", "broken zstd: no frame begins at byte 0"),
        (ZSTD, b"\x92\x01\x80", "broken zstd: no frame begins at byte 0"),
        (ZSTD, EMPTY_FRAME + member(b"a"), "broken zstd: no frame begins at byte 9"),
        (ZSTD, frame(b"a")[:-4] + bytes(4), "broken zstd: Restored data doesn't match checksum"),
        (ZSTD, bytes.fromhex("28b52ffd 20 01 010000"), "broken zstd: Data corruption detected"),
        (ZSTD, bytes.fromhex("28b52ffd 00 00 070000"), "broken zstd: Data corruption detected"),
        (ZSTD, bytes.fromhex("28b52ffd 21 07 00 010000"), "broken zstd: Dictionary mismatch"),
    ],
)
def test_what_is_broken(kind, body, reason):
    assert refusal(kind, body) == reason


@pytest.mark.parametrize(
    ("header", "window"),
    [
        ("28b52ffd 00 69", MAX_WINDOW + (1 << 20)),
        ("28b52ffd 00 ff", 15 << 38),
        ("28b52ffd a0 01008000", MAX_WINDOW + 1),
        ("28b52ffd e0 ffffffffffffffff", (1 << 64) - 1),
    ],
)
def test_a_window_is_refused_before_it_is_allocated(header, window):
    body = bytes.fromhex(header) + b"\x01\x00\x00"
    assert refusal(ZSTD, body) == f"zstd with a window of {window} bytes, of which at most {MAX_WINDOW} are read"


def test_the_largest_window():
    assert inflate(ZSTD, frame(b"a" * 1000, window_log=23, write_content_size=0), 1000) == plain(b"a" * 1000, 1)


@BOTH
@pytest.mark.parametrize("limit", [0, 1, 999, 1000])
def test_the_limit_is_for_all_members_together(kind, limit):
    body = PACKERS[kind](b"x" * 500) + PACKERS[kind](b"x" * 501)
    expected = f"{kind.value} that inflates to more than {limit} bytes (input.max_decompressed)"
    assert refusal(kind, body, limit) == expected
    assert len(inflate(kind, body, 1001).data) == 1001


def zeros(count: int) -> bytes:
    """A zstd frame of ``count`` blocks, each of them four bytes for 128 KiB."""
    blocks = [((1 << 17) << 3 | 2 | (number == count - 1)).to_bytes(3, "little") + b"\0" for number in range(count)]
    return bytes.fromhex("28b52ffd 00 58") + b"".join(blocks)


@pytest.mark.parametrize(("kind", "bomb"), [(GZIP, member(bytes(20 << 20), 1)), (ZSTD, zeros(160))])
def test_what_is_beyond_the_limit_takes_no_more_memory(kind, bomb):
    tracemalloc.start()
    try:
        assert "inflates to more" in refusal(kind, bomb, 1 << 20)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 << 20


@pytest.mark.parametrize(("kind", "bomb"), [(GZIP, member(bytes(20 << 20), 9)), (ZSTD, zeros(160))])
def test_a_bomb_within_the_limit(kind, bomb):
    reason = refusal(kind, bomb)
    assert reason.startswith(f"a {kind.value} bomb: ")
    consumed, size = (int(word) for word in reason.split() if word.isdigit())
    assert HARMLESS < size <= HARMLESS + 2 * PIECE
    assert size > MAX_RATIO * consumed


@pytest.mark.parametrize(("kind", "zeroed"), [(GZIP, member(bytes(HARMLESS))), (ZSTD, zeros(128))])
def test_no_bomb(kind, zeroed):
    assert len(inflate(kind, zeroed, LIMIT).data) == HARMLESS
    paid = deflate(kind, [NOISE[: 1 << 17]])
    assert len(inflate(kind, paid + zeroed, LIMIT).data) == HARMLESS + (1 << 17)


@pytest.mark.parametrize(
    ("kind", "opening", "part"),
    [
        (GZIP, b"", member(b"")),
        (ZSTD, b"", EMPTY_FRAME),
        (ZSTD, b"", b"\x50\x2a\x4d\x18" + bytes(4)),
        (ZSTD, bytes.fromhex("28b52ffd 00 58"), bytes(3)),
    ],
)
def test_a_bomb_of_parts(kind, opening, part):
    assert f"in {MANY_PARTS} parts and more" in refusal(kind, opening + part * (MANY_PARTS + 2))


@BOTH
def test_many_parts_that_are_worth_it(kind):
    body = PACKERS[kind](NOISE[:70]) * (MANY_PARTS + 1)
    assert inflate(kind, body, LIMIT).members == MANY_PARTS + 1


MEASURE = """
import re, sys
from firstseen.forward.compression import Algorithm, deflate, inflate

def kib(name):  # not getrusage: its peak begins with that of the process that forked this one
    with open("/proc/self/status") as status:
        return int(re.search(name + r":\\s+(\\d+) kB", status.read())[1])

body, kind = sys.stdin.buffer.read(), Algorithm(sys.argv[1])
inflate(kind, deflate(kind, [b"warm"]), 1 << 26)
before = kib("VmRSS")
assert len(inflate(kind, body, 1 << 26).data) == 1 << 26
print(kib("VmHWM") - before)
"""


@pytest.mark.parametrize("settings", [None, {}, {"window_log": 23}], ids=["gzip", "zstd", "zstd, largest window"])
def test_as_much_as_may_be_inflated_is_in_memory_once(settings):
    content = NOISE[: 1 << 19].hex().encode()
    part = member(content, 1) if settings is None else frame(content * 8, write_content_size=0, **settings)
    body = part * (64 if settings is None else 8)
    kind = GZIP if settings is None else ZSTD
    command = [sys.executable, "-c", MEASURE, kind.value]
    grown = int(subprocess.run(command, input=body, capture_output=True, check=True).stdout)
    assert grown < 80 << 10


def test_small_members_do_not_pay_for_what_lies_behind_them():
    small, large = member(b"x" * 100) * 4000, member(NOISE * 8, 0)
    alone, before_large = (seconds(body) for body in (small, small + large))
    assert before_large < 10 * alone + 1, "each copies the rest of the body"


def seconds(body: bytes) -> float:
    begin = time.process_time()
    inflate(GZIP, body, 1 << 24)
    return time.process_time() - begin


@BOTH
def test_what_is_deflated_is_one_member_that_everybody_reads(kind):
    packed = deflate(kind, iter([b"a" * 1000, memoryview(b"b" * 1000), bytearray(b"c")]))
    read = reference.decompress if kind is GZIP else zstandard.ZstdDecompressor().decompress
    assert read(packed) == b"a" * 1000 + b"b" * 1000 + b"c"
    assert len(packed) < 100
    assert inflate(kind, packed, 2001).members == 1
    assert inflate(kind, deflate(kind, []), 0) == plain(b"", 1)


def test_our_zstd_frames_have_size_and_checksum():
    parameters = zstandard.get_frame_parameters(deflate(ZSTD, [b"ab", b"c"]))
    assert (parameters.content_size, parameters.has_checksum) == (3, True)


@pytest.mark.parametrize(("kind", "most"), [(GZIP, 6_000_000), (ZSTD, 1_000_000)])
def test_what_a_default_fluent_bit_reads_whole(kind, most):
    assert [travels(kind, most, 1), travels(kind, most + 1, 1)] == [True, False]
    assert [travels(kind, 10, members) for members in (0, 1, 2)] == [False, True, False]
