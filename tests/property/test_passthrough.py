"""What leaves the pipeline, byte for byte, whatever legal encodings came in."""

import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstseen.engine import Engine
from firstseen.forward.shapes import Shaper
from firstseen.metrics import Counts
from firstseen.pipeline import Pipeline
from firstseen.store.lmdb import LmdbStore
from support import oddpack
from support.oddpack import Ext, Pairs, Text
from support.rulebook import rule_set, rule_text
from support.wire import chunk_of

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.binary(max_size=20)
    | st.binary(max_size=8).map(Text)
    | st.builds(Ext, st.integers(-128, 127), st.binary(max_size=9))
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.lists(st.tuples(LEAVES | inner, inner), max_size=3).map(Pairs),
    max_leaves=8,
)
OTHERS = st.lists(st.tuples(LEAVES, VALUES), max_size=5)
TIMES = (
    st.integers(0, 2**32 - 1)
    | st.floats(0, 1e10)
    | st.builds(lambda data: Ext(0, data), st.binary(min_size=8, max_size=8).filter(lambda data: data[0] != 0xFF))
)
ENTRIES = st.lists(st.tuples(TIMES, st.booleans(), OTHERS, st.none() | st.integers(0, 3)), max_size=12)


class Bench:
    """One pipeline on a state that is thrown away."""

    def __init__(self, folder: Path) -> None:
        self.store = LmdbStore.open(folder, 1 << 24, durable=False)
        engine = Engine(rule_set(rule_text()), self.store, Counts(), lambda: 0)
        self.pipeline = Pipeline(
            engine,
            Shaper(1 << 24, tag_prefix="", require_ack=True, random_bytes=bytes),
            Counts(),
            key="alerts",
            max_decompressed=1 << 24,
            mode_of=lambda tag: "auto",
        )


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with tempfile.TemporaryDirectory() as folder:
        made = Bench(Path(folder))
        yield made
        made.store.close()


def call(user: int, others: list[tuple[Any, Any]]) -> Pairs:
    """A record that the rule matches, its own pairs among others."""
    known = [
        ("eventSource", "sts.amazonaws.com"),
        ("eventName", "GetCallerIdentity"),
        ("userIdentity", Pairs([("arn", f"arn:aws:iam::111122223333:user/{user}")])),
    ]
    names = {name for name, _ in known} | {"Records", "detail", "alerts"}
    return Pairs([*((key, value) for key, value in others if spelled(key) not in names), *known])


def spelled(key: Any) -> Any:
    """A key as records are read: also by a name in bytes."""
    raw = key.data if isinstance(key, Text) else key
    return raw.decode("utf-8", "replace") if isinstance(raw, bytes) else raw


def entry(time: Any, with_metadata: bool, record: Pairs) -> list[Any]:
    return [[time, Pairs([])] if with_metadata else time, record]


@given(ENTRIES, st.sampled_from(["forward", "bin", "str"]), st.randoms(use_true_random=False))
def test_all_but_the_labels_is_what_came(
    bench: Bench, plan: list[tuple[Any, bool, Any, int | None]], mode: str, rng: random.Random
) -> None:
    """Entries without a label leave with identical bytes and in order; a labelled one keeps all its bytes but the
    header of its map, and has exactly one pair more."""
    encoded = [
        oddpack.encode(entry(time, meta, Pairs(others) if user is None else call(user, others)), rng)
        for time, meta, others, user in plan
    ]
    option = oddpack.encode(Pairs([("chunk", "c-1"), ("size", len(plan))]), rng)
    content = b"".join(encoded)
    carrier = {
        "forward": lambda: oddpack.array_header(len(plan), rng),
        "bin": lambda: oddpack.bin_header(len(content), rng),
        "str": lambda: oddpack.str_header(len(content), rng),
    }[mode]()
    frame = oddpack.array_header(3, rng) + oddpack.encode("aws", rng) + carrier + content + option

    outcome = bench.pipeline.process(chunk_of(frame), 0)
    bench.store.release(outcome.claims)
    if not encoded:
        assert not outcome.frames
        return
    (out,) = outcome.frames
    data = b"".join(map(bytes, out.pieces))

    left = list(entries_of(data, mode))
    labels = {user for _, _, _, user in plan if user is not None}
    assert len(left) == len(encoded)
    assert data.endswith(option)
    if not labels:
        assert data == frame
    labelled = 0
    for before, after in zip(encoded, left, strict=True):
        if before == after:
            continue
        labelled += 1
        assert_labelled(before, after)
    assert labelled == len(labels)


def entries_of(frame: bytes, mode: str) -> Iterator[bytes]:
    """The bytes of each entry of a frame."""
    chunk = chunk_of(frame)
    data, at = bytes(chunk.data), chunk.body
    while at < chunk.body_stop:
        _, stop = oddpack.read(data, at)
        yield data[at:stop]
        at = stop


def assert_labelled(before: bytes, after: bytes) -> None:
    old, _ = oddpack.read(before)
    new, _ = oddpack.read(after)
    assert new[0] == old[0]
    assert list(new[1].pairs[:-1]) == list(old[1].pairs)
    key, labels = new[1].pairs[-1]
    assert (text(key), len(labels)) == ("alerts", 1)
    # Behind the map's header every byte is the same.
    assert before[-40:] in after


def text(value: object) -> object:
    return value.data.decode() if isinstance(value, Text) else value
