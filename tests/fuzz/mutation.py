"""Changes to what peers send that flipped bits would seldom make: msgpack, frames and bodies that are nearly right."""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable, Sequence

import zstandard

from firstseen.packing import Head, Kind, read_head
from fuzz.reading import object_at
from support import oddpack
from support.frames import any_entry, any_options
from support.oddpack import Pairs, Raw, Text
from support.rulebook import call

MOST_OBJECTS = 400
"""Objects that are looked at in one input."""

LONGEST = 1 << 16
"""Bytes of what is made; a frame of that size takes every way that a larger one takes."""

LARGEST = (1 << 32) - 1
"""The largest size and count that there is."""

CONTAINERS = (Kind.ARRAY, Kind.MAP)
TEXTS = (Kind.STR, Kind.BIN)


def _ext_header(size: int, rng: random.Random) -> bytes:
    return b"\xc9" + size.to_bytes(4, "big") + rng.randbytes(1)


HEADERS = {
    Kind.EXT: _ext_header,
    Kind.ARRAY: oddpack.array_header,
    Kind.MAP: oddpack.map_header,
    Kind.STR: oddpack.str_header,
    Kind.BIN: oddpack.bin_header,
}


def mutated(data: bytes, rng: random.Random) -> bytes:
    """``data`` with one to four changes, or now and then a new frame."""
    if rng.random() < 0.05:
        return any_frame(rng)
    for _ in range(rng.choice((1, 1, 2, 4))):
        data = rng.choice(CHANGES)(data, rng)[:LONGEST]
    return data


def any_frame(rng: random.Random) -> bytes:
    """A frame of any mode with odd entries, some of them calls that the rule of the targets matches."""
    entries = [_entry(rng) for _ in range(rng.choice((0, 1, 2, 5, 17)))]
    options = any_options(rng, rng.choice(("c-1", "", b"bin", None)))
    body = b"".join(entries)
    match rng.randrange(4):
        case 0:
            carrier = oddpack.array_header(len(entries), rng) + body
        case 1:
            carrier = oddpack.encode(rng.choice((Text(body), body)), rng)
        case 2:
            carrier = oddpack.encode(packed(body, rng), rng)
            name = rng.choice(("gzip", "zstd", "text", b"gzip", 7))
            options = Pairs([*options.pairs, ("compressed", name)])
        case _:
            carrier = oddpack.encode(rng.choice((1, 1.5, oddpack.Ext(0, rng.randbytes(8)))), rng) + _record(rng)
            return b"\x94\xa3app" + carrier + oddpack.encode(options, rng)
    return oddpack.array_header(3, rng) + oddpack.encode("app", rng) + carrier + oddpack.encode(options, rng)


def _entry(rng: random.Random) -> bytes:
    if rng.random() < 0.6:
        return any_entry(rng)
    return oddpack.encode([rng.choice((1, oddpack.Ext(0, bytes(8)), [1, {}])), Raw(_record(rng))], rng)


def _record(rng: random.Random) -> bytes:
    if rng.random() < 0.5:
        return oddpack.encode(oddpack.any_map(rng), rng)
    arn = f"arn:aws:iam::111122223333:user/{rng.randrange(3)}"
    return oddpack.encode({**call(arn, f"e-{rng.randrange(9)}"), "alerts": rng.choice(([], [1], "mine"))}, rng)


def packed(plain: bytes, rng: random.Random) -> bytes:
    """``plain`` in one member or frame, or in some, empty and skippable ones among them."""
    cuts = sorted(rng.randint(0, len(plain)) for _ in range(rng.choice((0, 0, 1, 3))))
    parts = [plain[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(plain)], strict=True)]
    if rng.random() < 0.5:
        return b"".join(gzip.compress(part, rng.choice((1, 9)), mtime=0) for part in parts)
    settings = zstandard.ZstdCompressor(level=rng.choice((-5, 1, 19)), write_checksum=rng.random() < 0.5)
    frames = [settings.compress(part) for part in parts]
    if rng.random() < 0.3:
        frames.insert(rng.randint(0, len(frames)), b"\x50\x2a\x4d\x18\x02\0\0\0hi")
    return b"".join(frames)


def heads(data: bytes) -> Sequence[tuple[int, Head]]:
    """The objects in ``data`` that can be found, with their offsets; also those in blobs that look like entries."""
    found: list[tuple[int, Head]] = []
    at = 0
    while at < len(data) and len(found) < MOST_OBJECTS:
        head = read_head(data, at, len(data))
        if head is None:
            break
        found.append((at, head))
        inside = head.kind in CONTAINERS or (head.kind in TEXTS and data[head.payload : head.payload + 1] == b"\x92")
        at = head.payload if inside else head.payload + head.size
    return found


def _behind(data: bytes, at: int) -> int:
    """The offset behind the object at ``at``, or behind the first byte where it does not end."""
    found = object_at(data, at)
    return found[1] if found else at + 1


def _some(data: bytes, rng: random.Random, kinds: Sequence[Kind] = tuple(Kind)) -> tuple[int, Head] | None:
    found = [each for each in heads(data) if each[1].kind in kinds]
    return rng.choice(found) if found else None


def _resize(data: bytes, rng: random.Random) -> bytes:
    """Another count or size in some header, or the same in another width."""
    chosen = _some(data, rng, tuple(HEADERS))
    if chosen is None:
        return data
    at, head = chosen
    size = rng.choice((head.size, head.size, head.size + 1, max(head.size - 1, 0), 0, 1 << 16, LARGEST))
    return data[:at] + HEADERS[head.kind](min(size, LARGEST), rng) + data[head.payload :]


def _replace(data: bytes, rng: random.Random) -> bytes:
    chosen = _some(data, rng)
    if chosen is None:
        return data
    return data[: chosen[0]] + oddpack.encode(oddpack.any_value(rng), rng) + data[_behind(data, chosen[0]) :]


def _remove(data: bytes, rng: random.Random) -> bytes:
    chosen = _some(data, rng)
    return data if chosen is None else data[: chosen[0]] + data[_behind(data, chosen[0]) :]


def _repeat(data: bytes, rng: random.Random) -> bytes:
    chosen = _some(data, rng)
    if chosen is None:
        return data
    stop = _behind(data, chosen[0])
    return data[:stop] + data[chosen[0] : stop] * rng.choice((1, 1, 2, 40)) + data[stop:]


def _nest(data: bytes, rng: random.Random) -> bytes:
    chosen = _some(data, rng)
    if chosen is None:
        return data
    opening = rng.choice((b"\x91", b"\x81\xa1k", b"\x92\x01"))
    return data[: chosen[0]] + opening * rng.choice((1, 2, 30, 70, 1025)) + data[chosen[0] :]


def _insert(data: bytes, rng: random.Random) -> bytes:
    chosen = _some(data, rng)
    at = chosen[0] if chosen else 0
    return data[:at] + oddpack.encode(oddpack.any_leaf(rng), rng) + data[at:]


def _compress(data: bytes, rng: random.Random) -> bytes:
    chosen = _some(data, rng, TEXTS)
    if chosen is None:
        return packed(data, rng)
    at, head = chosen
    blob = packed(data[head.payload : head.payload + head.size], rng)
    return data[:at] + oddpack.encode(blob, rng) + data[head.payload + head.size :]


def _flip(data: bytes, rng: random.Random) -> bytes:
    if not data:
        return rng.randbytes(4)
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 3))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randint(0, len(data))]


def _append(data: bytes, rng: random.Random) -> bytes:
    return data + rng.choice((data, b"\xc0", rng.randbytes(3), any_frame(rng)))


CHANGES: Sequence[Callable[[bytes, random.Random], bytes]] = (
    _resize,
    _replace,
    _remove,
    _repeat,
    _nest,
    _insert,
    _compress,
    _flip,
    _flip,
    _cut,
    _append,
)
