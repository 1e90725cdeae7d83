from __future__ import annotations

import random

import msgpack
import pytest

from firstseen.packing import Head, Kind, array_header, bin_header, map_header, read_head, resized, str_header
from support import oddpack

SIZES = (0, 1, 15, 16, 31, 32, 255, 256, 65535, 65536, 2**32 - 1)


@pytest.mark.parametrize(
    ("raw", "head"),
    [
        ("00", Head(Kind.INT, 0, 1)),
        ("7f", Head(Kind.INT, 0, 1)),
        ("e0", Head(Kind.INT, 0, 1)),
        ("ff", Head(Kind.INT, 0, 1)),
        ("80", Head(Kind.MAP, 0, 1)),
        ("8f", Head(Kind.MAP, 15, 1)),
        ("90", Head(Kind.ARRAY, 0, 1)),
        ("9f", Head(Kind.ARRAY, 15, 1)),
        ("a0", Head(Kind.STR, 0, 1)),
        ("bf", Head(Kind.STR, 31, 1)),
        ("c0", Head(Kind.NIL, 0, 1)),
        ("c1", Head(Kind.NEVER, 0, 1)),
        ("c2", Head(Kind.BOOL, 0, 1)),
        ("c3", Head(Kind.BOOL, 0, 1)),
        ("c4 02", Head(Kind.BIN, 2, 2)),
        ("c5 01 00", Head(Kind.BIN, 256, 3)),
        ("c6 00 01 00 00", Head(Kind.BIN, 65536, 5)),
        ("c7 02 05", Head(Kind.EXT, 2, 3)),
        ("c8 01 00 05", Head(Kind.EXT, 256, 4)),
        ("c9 ff ff ff ff 05", Head(Kind.EXT, 2**32 - 1, 6)),
        ("ca", Head(Kind.FLOAT, 4, 1)),
        ("cb", Head(Kind.FLOAT, 8, 1)),
        *((f"{0xCC + power:02x}", Head(Kind.INT, 1 << power, 1)) for power in range(4)),
        *((f"{0xD0 + power:02x}", Head(Kind.INT, 1 << power, 1)) for power in range(4)),
        *((f"{0xD4 + power:02x} 05", Head(Kind.EXT, 1 << power, 2)) for power in range(5)),
        ("d9 20", Head(Kind.STR, 32, 2)),
        ("da 01 00", Head(Kind.STR, 256, 3)),
        ("db 00 00 00 00", Head(Kind.STR, 0, 5)),
        ("dc 00 10", Head(Kind.ARRAY, 16, 3)),
        ("dd ff ff ff ff", Head(Kind.ARRAY, 2**32 - 1, 5)),
        ("de 00 10", Head(Kind.MAP, 16, 3)),
        ("df 00 00 00 00", Head(Kind.MAP, 0, 5)),
    ],
)
def test_read_head(raw, head):
    data = b"\xc1" + bytes.fromhex(raw) + b"\xff"
    expected = head._replace(payload=head.payload + 1)
    for each in (data, bytearray(data), memoryview(data)):
        assert read_head(each, 1, len(data)) == expected
    for end in range(expected.payload):
        assert read_head(data, 1, end) is None, "it is not all there"
    assert read_head(data, 1, expected.payload) == expected


def test_every_first_byte_has_a_head():
    heads = [read_head(bytes((first, *bytes(5))), 0, 6) for first in range(256)]
    assert [number for number, head in enumerate(heads) if head is None or head.kind is Kind.NEVER] == [0xC1]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("write", "kind", "oddly", "pack"),
    [
        (array_header, Kind.ARRAY, oddpack.array_header, msgpack.Packer().pack_array_header),
        (map_header, Kind.MAP, oddpack.map_header, msgpack.Packer().pack_map_header),
        (str_header, Kind.STR, oddpack.str_header, None),
        (bin_header, Kind.BIN, oddpack.bin_header, None),
    ],
)
def test_headers_are_minimal_and_read_back(size, write, kind, oddly, pack):
    header = write(size)
    assert read_head(header, 0, len(header)) == Head(kind, size, len(header))
    assert len(header) == min(len(oddly(size, random.Random(seed))) for seed in range(50))
    if pack is not None:
        assert header == pack(size)


@pytest.mark.parametrize(
    ("header", "size", "expected"),
    [
        ("91", 0, "90"),
        ("91", 15, "9f"),
        ("9f", 16, "dc 00 10"),
        ("dc 00 10", 15, "dc 00 0f"),
        ("dc ff ff", 65536, "dd 00 01 00 00"),
        ("dd 00 01 00 00", 1, "dd 00 00 00 01"),
        ("8f", 16, "de 00 10"),
        ("de ff ff", 65536, "df 00 01 00 00"),
        ("df 00 00 00 00", 1, "df 00 00 00 01"),
        ("bf", 32, "d9 20"),
        ("d9 20", 255, "d9 ff"),
        ("d9 ff", 256, "da 01 00"),
        ("da 01 00", 3, "da 00 03"),
        ("da ff ff", 65536, "db 00 01 00 00"),
        ("c4 01", 256, "c5 01 00"),
        ("c5 01 00", 0, "c5 00 00"),
        ("c5 ff ff", 65536, "c6 00 01 00 00"),
    ],
)
def test_resized_keeps_the_width_while_it_fits(header, size, expected):
    assert resized(memoryview(bytes.fromhex(header)), size) == bytes.fromhex(expected)


def test_every_kind_has_words():
    words = {kind: kind.words for kind in Kind}
    assert (words[Kind.NEVER], words[Kind.ARRAY], words[Kind.NIL]) == ("the byte c1", "array", "nil")
