"""Legal Forward frames in all their oddity, as hypothesis draws them: what frames are made of, and the frames.

The shape of a frame is drawn, so that examples shrink; what is inside comes from a seeded generator, because drawing
every value and every width one by one would take most of the time.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from firstseen.forward.messages import Mode
from firstseen.forward.outgoing import MAX_CHUNK_ID
from support import oddpack
from support.oddpack import Ext, Pairs, Text

generators = st.integers(0, 2**32).map(random.Random)

MARKER = Ext(0, b"\xff\xff\xff\xff\0\0\0\0")
"""The time of an entry that starts a group."""

NO_ID = object()
"""Stands for the id of a frame that has none."""


def any_time(rng: random.Random) -> Any:
    """A time as senders write it, or nearly."""
    second = rng.choice((1_700_000_000, rng.getrandbits(32), rng.getrandbits(64), -1))
    return rng.choice((second, second + 0.29, float("nan"), Ext(0, rng.randbytes(8)), MARKER))


def any_header(rng: random.Random) -> Any:
    """The time, alone or with metadata."""
    return rng.choice((any_time(rng), [any_time(rng), oddpack.any_map(rng)]))


def any_entry(rng: random.Random) -> bytes:
    """One entry, v1 or v2."""
    return oddpack.encode([any_header(rng), oddpack.any_map(rng)], rng)


@st.composite
def several_entries(draw: st.DrawFn, least: int = 0) -> list[bytes]:
    """Entries, few or some."""
    count = draw(st.one_of(st.integers(least, 3), st.integers(least, 3), st.integers(15, 34)))
    rng = draw(generators)
    few = [any_entry(rng) for _ in range(min(count, 3))]
    return [*few, *(rng.choice(few) for _ in range(count - len(few)))]


def any_options(rng: random.Random, chunk_id: Any) -> Pairs:
    """An option map with keys that mean nothing, and the id somewhere among them."""
    names = ("size", "fmt", "x" * 40, 7, None, b"size", Ext(1, b""), [1], 0.5)
    pairs = [(rng.choice(names), oddpack.any_value(rng)) for _ in range(rng.choice((0, 1, 2, 15)))]
    if chunk_id is not NO_ID:
        pairs.insert(rng.randint(0, len(pairs)), ("chunk", chunk_id))
    return Pairs(pairs)


chunk_ids = st.one_of(
    st.text("+/=ABCabc019\n", min_size=1, max_size=25),
    st.text("a", min_size=MAX_CHUNK_ID - 1, max_size=MAX_CHUNK_ID + 1),
    st.text(max_size=3),
    st.binary(max_size=3),
    st.binary(max_size=3).map(Text),
    st.none(),
)


@dataclass(frozen=True)
class Sent:
    """A frame and what it was made of: ``option`` is its option element; ``chunk_id`` is `NO_ID` where it has none."""

    frame: bytes
    mode: Mode
    tag: bytes
    entries: Sequence[bytes]
    body: bytes
    option: bytes | None
    chunk_id: Any


@st.composite
def sent_frames(draw: st.DrawFn, modes: Sequence[Mode] = tuple(Mode)) -> Sent:
    """A legal frame of any of the ``modes``, in any of its legal encodings."""
    mode = draw(st.sampled_from(modes))
    tag = draw(st.one_of(st.sampled_from([b"t", b"app.log"]), st.binary(max_size=40)))
    chunk_id = draw(st.one_of(st.just(NO_ID), chunk_ids, chunk_ids))
    entries = [] if mode is Mode.MESSAGE else draw(several_entries())
    rng = draw(generators)
    body = b"".join(entries)
    if mode is Mode.MESSAGE:
        time = rng.choice((any_time(rng), Ext(0, rng.randbytes(8))))
        carrier = body = oddpack.encode(time, rng) + oddpack.encode(oddpack.any_map(rng), rng)
    elif mode is Mode.FORWARD:
        carrier = oddpack.array_header(len(entries), rng) + body
    else:
        carrier = oddpack.encode(rng.choice((Text(body), body)), rng)
    behind = _behind(rng, chunk_id)
    head = oddpack.array_header((3 if mode is Mode.MESSAGE else 2) + len(behind), rng) + oddpack.encode(Text(tag), rng)
    frame = head + carrier + b"".join(behind)
    return Sent(frame, mode, tag, entries, body, behind[0] if behind else None, chunk_id)


def _behind(rng: random.Random, chunk_id: Any) -> list[bytes]:
    """The option element, if there is one, and elements behind it that mean nothing."""
    if chunk_id is NO_ID and rng.random() < 0.3:
        return []
    options = None if chunk_id is NO_ID and rng.random() < 0.2 else any_options(rng, chunk_id)
    elements = [options, *(oddpack.any_leaf(rng) for _ in range(rng.choice((0, 0, 1, 2))))]
    return [oddpack.encode(each, rng) for each in elements]
