"""An encoder of msgpack that chooses any legal encoding, odd values for it, and a reader that loses nothing.

Written from the msgpack specification and nothing else, so that the product and the library are checked against it.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Ext:
    """An extension of any type from -128 to 127."""

    code: int
    data: bytes


@dataclass(frozen=True)
class Text:
    """A str whose bytes need not be UTF-8."""

    data: bytes


@dataclass(frozen=True)
class Pairs:
    """A map as its pairs: keys may come twice, and may be of any kind."""

    pairs: Sequence[tuple[Any, Any]]


@dataclass(frozen=True)
class Raw:
    """One object, or several, encoded already."""

    data: bytes


@dataclass(frozen=True)
class Float:
    """A float as it lies: its header and its bytes, so that widths and kinds of NaN stay apart."""

    data: bytes


def encode(value: Any, rng: random.Random) -> bytes:
    """``value`` in one of its legal encodings."""
    match value:
        case Raw(data) | Float(data):
            return data
        case None:
            return b"\xc0"
        case bool():
            return b"\xc3" if value else b"\xc2"
        case int():
            return _integer(value, rng)
        case float():
            return _float(value, rng)
        case str():
            return encode(Text(value.encode("utf-8", "surrogateescape")), rng)
        case Text(data):
            return str_header(len(data), rng) + data
        case bytes() | bytearray():
            return bin_header(len(value), rng) + value
        case Ext(code, data):
            return _ext(code, data, rng)
        case dict():
            return encode(Pairs(list(value.items())), rng)
        case Pairs(pairs):
            return map_header(len(pairs), rng) + b"".join(encode(each, rng) for pair in pairs for each in pair)
        case list() | tuple():
            return array_header(len(value), rng) + b"".join(encode(each, rng) for each in value)
    raise TypeError(f"no msgpack for {value!r}")


def array_header(count: int, rng: random.Random) -> bytes:
    """The header of an array in any width that holds ``count``."""
    return _header(count, rng, fix=(0x90, 16), wide=(0xDC, (2, 4)))


def map_header(count: int, rng: random.Random) -> bytes:
    """The header of a map in any width that holds ``count``."""
    return _header(count, rng, fix=(0x80, 16), wide=(0xDE, (2, 4)))


def str_header(size: int, rng: random.Random) -> bytes:
    """The header of a str in any width that holds ``size``."""
    return _header(size, rng, fix=(0xA0, 32), wide=(0xD9, (1, 2, 4)))


def bin_header(size: int, rng: random.Random) -> bytes:
    """The header of a bin in any width that holds ``size``."""
    return _header(size, rng, fix=(0, 0), wide=(0xC4, (1, 2, 4)))


def _header(size: int, rng: random.Random, *, fix: tuple[int, int], wide: tuple[int, tuple[int, ...]]) -> bytes:
    base, below = fix
    first, widths = wide
    forms = [bytes((base | size,))] if size < below else []
    for number, width in enumerate(widths):
        if size < 1 << (8 * width):
            forms.append(bytes((first + number,)) + size.to_bytes(width, "big"))
    return rng.choice(forms)


def _integer(value: int, rng: random.Random) -> bytes:
    forms = [struct.pack("b", value)] if -32 <= value < 128 else []
    for power in range(4):
        bits = 8 << power
        if 0 <= value < 1 << bits:
            forms.append(bytes((0xCC + power,)) + value.to_bytes(bits // 8, "big"))
        if -(1 << (bits - 1)) <= value < 1 << (bits - 1):
            forms.append(bytes((0xD0 + power,)) + value.to_bytes(bits // 8, "big", signed=True))
    return rng.choice(forms)


def _float(value: float, rng: random.Random) -> bytes:
    forms = [b"\xcb" + struct.pack(">d", value)]
    try:
        single = struct.pack(">f", value)
    except OverflowError:
        return forms[0]
    if struct.unpack(">f", single)[0] == value or value != value:
        forms.append(b"\xca" + single)
    return rng.choice(forms)


def _ext(code: int, data: bytes, rng: random.Random) -> bytes:
    kind = struct.pack("b", code)
    size = len(data)
    forms = [bytes((0xD4 + (1, 2, 4, 8, 16).index(size),)) + kind + data] if size in (1, 2, 4, 8, 16) else []
    for number, width in enumerate((1, 2, 4)):
        if size < 1 << (8 * width):
            forms.append(bytes((0xC7 + number,)) + size.to_bytes(width, "big") + kind + data)
    return rng.choice(forms)


_SIZES = (*(0, 1, 2, 3, 4, 7, 8, 12, 16, 31, 32) * 3, 255, 256)
_FLOATS = (0.0, -0.0, 0.5, 0.1, 1e300, float("inf"), float("nan"))
_WORDS = ("", "m", "chunk", "alerts", "arn:aws:iam::111122223333:user/alice", "ключ", "\U0001f511", "\udcff", "x" * 300)


def any_leaf(rng: random.Random) -> Any:
    """Something that is no container: of every kind, and often at the border between two widths."""
    match rng.randrange(8):
        case 0:
            return rng.choice((None, False, True))
        case 1:
            return rng.choice((-1, 1)) * ((1 << rng.randrange(63)) - rng.randrange(2))
        case 2:
            return rng.choice((rng.getrandbits(64), rng.randrange(128)))
        case 3:
            return rng.choice(_FLOATS)
        case 4:
            return Text(rng.randbytes(rng.choice(_SIZES)))
        case 5:
            return rng.randbytes(rng.choice(_SIZES))
        case 6:
            return Ext(rng.randrange(-128, 128), rng.randbytes(rng.choice(_SIZES)))
    return rng.choice(_WORDS)


def any_value(rng: random.Random, depth: int = 2) -> Any:
    """Anything, of at most ``depth`` levels of containers."""
    if depth == 0 or rng.random() < 0.6:
        return any_leaf(rng)
    if rng.random() < 0.5:
        return [any_value(rng, depth - 1) for _ in range(_count(rng))]
    return any_map(rng, depth)


def any_map(rng: random.Random, depth: int = 2) -> Pairs:
    """A map whose keys are mostly text, sometimes anything at all, and may come twice."""
    keys = [rng.choice(_WORDS) if rng.random() < 0.8 else any_value(rng, depth - 1) for _ in range(_count(rng))]
    return Pairs([(key, any_value(rng, depth - 1)) for key in keys])


def _count(rng: random.Random) -> int:
    return rng.choice((0, 1, 2, 3, 14, 15, 16)) if rng.random() < 0.2 else rng.randrange(4)


def read(data: bytes, at: int = 0) -> tuple[Any, int]:
    """The object at ``at`` and the offset behind it, in the values that `encode` takes; maps come as `Pairs`.

    Every text comes as `Text` and every float as `Float`: equal results mean equal content. Raises `IndexError` where
    the bytes end too soon.
    """
    first = _take(data, at, 1)[0]
    at += 1
    if first < 0x80 or first >= 0xE0:
        return first if first < 0x80 else first - 256, at
    if first < 0x90:
        return _read_map(data, at, first & 0x0F)
    if first < 0xA0:
        return _read_array(data, at, first & 0x0F)
    if first < 0xC0:
        return Text(_take(data, at, first & 0x1F)), at + (first & 0x1F)
    return _read_wide(data, at, first)


def _read_wide(data: bytes, at: int, first: int) -> tuple[Any, int]:
    if first in (0xC0, 0xC2, 0xC3):
        return {0xC0: None, 0xC2: False, 0xC3: True}[first], at
    if first in (0xCA, 0xCB):
        size = 4 if first == 0xCA else 8
        return Float(bytes((first,)) + _take(data, at, size)), at + size
    if 0xCC <= first <= 0xD3:
        size = 1 << (first - 0xCC) % 4
        return int.from_bytes(_take(data, at, size), "big", signed=first >= 0xD0), at + size
    if 0xD4 <= first <= 0xD8:
        return _read_ext(data, at, 1 << (first - 0xD4))
    width = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xC7: 1, 0xC8: 2, 0xC9: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}.get(first)
    width = width or {0xDC: 2, 0xDD: 4, 0xDE: 2, 0xDF: 4}[first]
    size = int.from_bytes(_take(data, at, width), "big")
    at += width
    if first <= 0xC6:
        return _take(data, at, size), at + size
    if first <= 0xC9:
        return _read_ext(data, at, size)
    if first <= 0xDB:
        return Text(_take(data, at, size)), at + size
    return _read_array(data, at, size) if first <= 0xDD else _read_map(data, at, size)


def _read_ext(data: bytes, at: int, size: int) -> tuple[Ext, int]:
    (code,) = struct.unpack("b", _take(data, at, 1))
    return Ext(code, _take(data, at + 1, size)), at + 1 + size


def _read_array(data: bytes, at: int, count: int) -> tuple[list[Any], int]:
    items = []
    for _ in range(count):
        item, at = read(data, at)
        items.append(item)
    return items, at


def _read_map(data: bytes, at: int, count: int) -> tuple[Pairs, int]:
    items, at = _read_array(data, at, 2 * count)
    return Pairs(tuple(zip(items[::2], items[1::2], strict=True))), at


def _take(data: bytes, at: int, size: int) -> bytes:
    if at + size > len(data):
        raise IndexError("the bytes end too soon")
    return bytes(data[at : at + size])
