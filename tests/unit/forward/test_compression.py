from __future__ import annotations

import gzip as reference
import random
import time
import tracemalloc
import zlib

import pytest

from firstseen.errors import ProtocolError
from firstseen.forward.compression import PIECE, WINDOW, Plain, gunzip, gzip

NOISE = random.Random(1).randbytes(PIECE + 1)


def member(plain: bytes, level: int = 6) -> bytes:
    return reference.compress(plain, level, mtime=0)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_one_member(kind):
    assert gunzip(kind(member(b"plain")), 100) == Plain(b"plain", 1)


def test_no_member():
    assert gunzip(b"", 100) == Plain(b"", 0)


@pytest.mark.parametrize("plains", [[b""], [b"", b""], [b"a", b"", b"b"], [b"", b"a"], [b"a"] * 50])
def test_members_behind_each_other(plains):
    assert gunzip(b"".join(map(member, plains)), 100) == Plain(b"".join(plains), len(plains))


@pytest.mark.parametrize("size", [PIECE - 1, PIECE, PIECE + 1])
@pytest.mark.parametrize("level", [0, 1, 9])
def test_members_larger_than_what_is_inflated_at_a_time(size, level):
    for plain in (NOISE[:size], bytes(size)):
        assert gunzip(member(plain, level) + member(b"end"), size + 3) == Plain(plain + b"end", 2)


@pytest.mark.parametrize("before", range(WINDOW - 25, WINDOW + 25))
def test_members_at_the_edge_of_a_window(before):
    stored = zlib.compressobj(0, zlib.DEFLATED, 31)
    first = stored.compress(NOISE[: before - 23]) + stored.flush()
    assert len(first) == before
    assert gunzip(first + member(b"") + member(b"end"), WINDOW * 2) == Plain(NOISE[: before - 23] + b"end", 3)


def test_a_header_with_everything_in_it():
    extra = b"\x1f\x8b\x08\x1c" + bytes(6) + b"\x03\x00abc" + b"name\x00" + b"comment\x00"
    assert gunzip(extra + member(b"plain")[10:], 100) == Plain(b"plain", 1)


def test_every_cut_is_noticed():
    body = member(b"plain text, plain text") + member(b"")
    whole = [cut for cut in range(len(body)) if not refused(body[:cut])]
    assert whole == [0, len(member(b"plain text, plain text"))]


def test_every_changed_byte_is_noticed_or_means_nothing():
    body = member(b"plain text, plain text")
    silent = []
    for at in range(len(body)):
        changed = bytearray(body)
        changed[at] ^= 0x55
        if not refused(changed):
            silent.append(at)
            assert gunzip(changed, 1000).data == b"plain text, plain text"
    assert set(silent) <= {4, 5, 6, 7, 8, 9}, "time, flags of speed, system"


def refused(body: bytes) -> bool:
    try:
        gunzip(body, 1000)
    except ProtocolError:
        return True
    return False


@pytest.mark.parametrize("body", [b"\x00", b"\x92\x01\x80", b"\x1f\x8b", member(b"a") + b"\x00", zlib.compress(b"a")])
def test_what_is_no_gzip(body):
    assert refused(body)


@pytest.mark.parametrize("limit", [0, 1, 999, 1000])
def test_the_limit_is_for_all_members_together(limit):
    body = member(b"x" * 500) + member(b"x" * 501)
    with pytest.raises(ProtocolError, match=f"more than {limit} bytes"):
        gunzip(body, limit)
    assert len(gunzip(body, 1001).data) == 1001


def test_a_bomb_takes_no_more_memory_than_the_limit():
    bomb = member(bytes(20 << 20), 1)
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError, match="inflates to more"):
            gunzip(bomb, 1 << 20)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 << 20


def test_small_members_do_not_pay_for_what_lies_behind_them():
    small, large = member(b"x" * 100) * 4000, member(NOISE * 8, 0)
    alone, before_large = (seconds(body) for body in (small, small + large))
    assert before_large < 10 * alone + 1, "each copies the rest of the body"


def seconds(body: bytes) -> float:
    begin = time.process_time()
    gunzip(body, 1 << 24)
    return time.process_time() - begin


def test_gzip_is_one_member_that_everybody_reads():
    packed = gzip([b"a" * 1000, memoryview(b"b" * 1000), bytearray(b"c")])
    assert reference.decompress(packed) == b"a" * 1000 + b"b" * 1000 + b"c"
    assert len(packed) < 100
    assert gunzip(packed, 2001).members == 1


def test_gzip_of_nothing():
    assert reference.decompress(gzip([])) == b""
