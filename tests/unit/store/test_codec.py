from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import msgpack
import pytest

from firstseen.detect.new_terms import Sighting
from firstseen.detect.suppression import Window
from firstseen.detect.threshold import Bucket, Mark
from firstseen.model import Scalar, TermValue
from firstseen.store.base import History, Memory, RuleState
from firstseen.store.codec import (
    last_seen_in,
    pack_history,
    pack_memory,
    pack_term,
    repacked,
    unpack_history,
    unpack_memory,
    unpack_term,
)

UUID = "6f1c6a1e-0d3b-4c55-9c6a-0123456789ab"
OTHER_UUID = "00000000-0000-0000-0000-000000000000"
ONCE = Sighting(100, 100, 1, "e1", "e1")
SINCE = 1_356_998_400_000
ARN = "arn:aws:iam::111122223333:user/team-02/00000001"
SHORT = Sighting(SINCE + 258, SINCE + 258, 1, UUID, UUID)
"""One that lies in short; `ONCE` does not."""


def spelt(terms: Sequence[Scalar]) -> list[tuple[type, str]]:
    """``terms`` in a form that tells True, 1 and 1.0 apart, and -0.0 from 0.0, and takes NaN for itself."""
    return [(type(term), repr(term)) for term in terms]


@pytest.mark.parametrize(
    "terms",
    [
        ("",),
        ("a", "b"),
        ("ab", ""),
        ("a\0b",),
        ("é", "e\u0301", "\U0001f600"),
        ("\ud800",),
        ("\udcff", "\udcc3\udca9"),
        ("\ud83d\ude00",),
        ("x" * 70_000,),
        (True, 1, 1.0, "1"),
        (False, 0, 0.0, -0.0, ""),
        (-(1 << 63), (1 << 63) - 1, (1 << 64) - 1),
        (1 << 64, -(1 << 63) - 1, -(1 << 64)),
        (10**400, -(10**400)),
        (0.1, 1e308, 5e-324, math.inf, -math.inf, math.nan),
    ],
    ids=lambda terms: ascii(terms)[:40],
)
def test_terms_come_back_as_they_were(terms: tuple[Scalar, ...]) -> None:
    for written in (ONCE, SHORT):
        sighting, read = unpack_memory(pack_memory(written, terms))

        assert sighting == written
        assert spelt(read) == spelt(terms)


@pytest.mark.parametrize(
    "event",
    [
        UUID,
        OTHER_UUID,
        UUID.upper(),
        UUID + "\n",
        UUID.replace("-", ""),
        "\N{ARABIC-INDIC DIGIT ONE}" + UUID[1:],
        "sixteen bytes ok",
        "",
        "\ud800",
        "shardId-000000000000:4954",
    ],
    ids=ascii,
)
def test_event_ids_come_back_as_they_were(event: str) -> None:
    for sighting in (
        ONCE._replace(event=event),
        ONCE._replace(last_event=event),
        Sighting(1, 1, 1, event, event),
        SHORT._replace(event=event),
        SHORT._replace(last_event=event),
    ):
        assert unpack_memory(pack_memory(sighting, ("x",)))[0] == sighting


@pytest.mark.parametrize(
    "sighting",
    [
        Sighting(0, 0, 1, "e1", "e1"),
        Sighting(-1, 1_790_000_000_000, 2, "e1", "e2"),
        Sighting(-(1 << 70), 1 << 70, 1 << 60, "e1", "e1"),
    ],
)
def test_times_of_any_size_come_back_as_they_were(sighting: Sighting) -> None:
    assert unpack_memory(pack_memory(sighting, ("x",)))[0] == sighting


FIRST, ID, OTHER_ID = b"\0\0\0\1\2", bytes.fromhex(UUID.replace("-", "")), bytes(16)


@pytest.mark.parametrize(
    ("sighting", "terms", "packed"),
    [
        (SHORT, ("x",), b"\0" + FIRST + ID + b"x"),
        (SHORT, (ARN,), b"\0" + FIRST + ID + b"\x80" + (111122223333).to_bytes(5, "big") + b"team-02/00000001"),
        (SHORT._replace(count=3), ("x",), b"\1" + FIRST + ID + bytes(5) + b"\0\0\3" + b"x"),
        (
            SHORT._replace(last_seen=SINCE + 260, count=2, last_event=OTHER_UUID),
            ("x",),
            b"\3" + FIRST + ID + b"\0\0\0\0\2\0\0\2" + OTHER_ID + b"x",
        ),
        (SHORT._replace(last_event=OTHER_UUID), ("x",), b"\2" + FIRST + ID + OTHER_ID + b"x"),
        (SHORT, (True,), b"\4" + FIRST + ID + b"\x91\xc3"),
        (SHORT, ("x", 7), b"\4" + FIRST + ID + b"\x92\xc4\1x\7"),
    ],
)
def test_what_lies_on_disk_in_short(sighting: Sighting, terms: tuple[TermValue, ...], packed: bytes) -> None:
    assert pack_memory(sighting, terms) == packed
    assert unpack_memory(packed) == (sighting, terms)
    assert last_seen_in(packed) == sighting.last_seen


def test_the_arn_of_a_user_takes_44_bytes() -> None:
    assert len(pack_memory(SHORT, (ARN,))) == 44


@pytest.mark.parametrize(
    "sighting",
    [
        SHORT._replace(first_seen=SINCE - 1),
        SHORT._replace(first_seen=SINCE + (1 << 40), last_seen=SINCE + (1 << 40)),
        SHORT._replace(last_seen=SHORT.first_seen - 1),
        SHORT._replace(last_seen=SHORT.first_seen + (1 << 40)),
        SHORT._replace(count=1 << 24),
        SHORT._replace(event="no UUID"),
        SHORT._replace(last_event="no UUID"),
    ],
)
def test_what_finds_no_place_in_short_is_plain(sighting: Sighting) -> None:
    packed = pack_memory(sighting, ("x",))

    assert len(msgpack.unpackb(packed)) == 6
    assert unpack_memory(packed) == (sighting, ("x",))
    assert repacked(packed) == packed


def test_what_an_earlier_version_wrote_is_read_and_written_in_short() -> None:
    plain = msgpack.packb([SINCE + 258, 0, 1, ID, None, ARN])

    assert unpack_memory(plain) == (SHORT, (ARN,))
    assert repacked(plain) == pack_memory(SHORT, (ARN,))
    assert len(repacked(plain)) < len(plain) * 0.6


def test_what_nobody_can_read_is_left_as_it_is() -> None:
    assert repacked(b"\xc1") == b"\xc1"


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"\0" + bytes(20), "it is no sighting"),
        (b"\1" + bytes(28), "it is no sighting"),
        (b"\3" + bytes(44), "it is no sighting"),
        (b"\x08" + bytes(40), "it is no msgpack"),
        (b"\0" + bytes(21) + b"\xff", "invalid start byte"),
        (b"\4" + bytes(21), "it is no msgpack"),
        (b"\4" + bytes(21) + b"\1", "its terms are no terms"),
        (b"\4" + bytes(21) + b"\x90", "its terms are no terms"),
        (b"\4" + bytes(21) + b"\x91\xc0", "its terms are no terms"),
        (b"\4" + bytes(21) + b"\x91\xa1x", "its terms are no terms"),
        (b"\4" + bytes(21) + b"\x91\x90", "its terms are no terms"),
        (b"\4" + bytes(21) + b"\x91\xc4\1\xff", "invalid start byte"),
    ],
)
def test_bytes_that_are_no_short_sighting_are_refused(raw: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        unpack_memory(raw)


def test_what_lies_on_disk_in_plain() -> None:
    packed = pack_memory(Sighting(100, 105, 2, UUID, "e2"), ("x", True, 1 << 64))

    big = msgpack.ExtType(1, b"\1" + bytes(8))
    assert msgpack.unpackb(packed) == [100, 5, 2, bytes.fromhex(UUID.replace("-", "")), "e2", "x", True, big]


def test_the_last_event_is_not_written_twice() -> None:
    assert msgpack.unpackb(pack_memory(ONCE, ("x",))) == [100, 0, 1, "e1", None, "x"]


NO_EVENT = "its event is no event"
NO_MSGPACK = "it is no msgpack"
NO_NUMBERS = "its numbers are no numbers"
NO_MEMORY = "it is no memory"
NO_SIGHTING = "it is no sighting"
NO_TERMS = "its terms are no terms"


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (None, NO_MEMORY),
        ({"first_seen": 1}, NO_MEMORY),
        ([], NO_MEMORY),
        ([1, 0, 1, "e1", None], NO_SIGHTING),
        ([None, 0, 1, "e1", None, "x"], NO_NUMBERS),
        ([1, 0.5, 1, "e1", None, "x"], NO_NUMBERS),
        ([1, 0, True, "e1", None, "x"], NO_NUMBERS),
        ([1, 0, 1, "e1", None, None], NO_TERMS),
        ([1, 0, 1, "e1", None, "x", b"x"], NO_TERMS),
        ([1, 0, 1, "e1", None, ["x"]], NO_TERMS),
        ([1, 0, 1, "e1", None, msgpack.Timestamp(0)], NO_TERMS),
        ([1, 0, 1, None, None, "x"], NO_EVENT),
        ([1, 0, 1, bytes(15), None, "x"], NO_EVENT),
        ([1, 0, 1, "e1", bytes(17), "x"], NO_EVENT),
        ([1, 0, 1, "e1", 1, "x"], NO_EVENT),
        ([1, 0, 1, "e1", None, msgpack.ExtType(2, b"\1")], "ext type 2 is unknown"),
    ],
)
def test_values_that_are_no_sighting_are_refused(values: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        unpack_memory(msgpack.packb(values))


BUCKET = Bucket(
    first_seen=1_000,
    last_seen=9_000,
    events=4,
    event=UUID,
    run_ms=10_000,
    spent_ms=None,
    alerted_ms=9_000,
    alert_run_ms=10_000,
    marks=(Mark(1_000, b"8 bytes."), Mark(9_000, b"another.", frozenset((b"a value.", b"a second")))),
)


@pytest.mark.parametrize(
    "memory",
    [
        BUCKET,
        BUCKET._replace(event="", spent_ms=5, alerted_ms=None, alert_run_ms=None, marks=()),
        Window(1_000, 2_000, UUID, 7),
        Window(-(1 << 70), 1 << 70, "e", 0),
    ],
)
@pytest.mark.parametrize("terms", [(), ("x", 1, None), (None,)])
def test_what_other_laws_remember_comes_back_as_it_was(memory: Memory, terms: tuple[TermValue, ...]) -> None:
    assert unpack_memory(pack_memory(memory, terms)) == (memory, terms)


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (["sequence", [], "x"], "it is no memory of a law of 'sequence'"),
        (["suppression", [1, 2, "e"], "x"], "it is no memory of a law of 'suppression'"),
        (["suppression", [1, "2", "e", 0], "x"], "it is no memory of a law of 'suppression'"),
        (["suppression", [1, 2, None, 0], "x"], "its event is no event"),
        (["suppression", [1, 2, "e", 0], b"x"], "its terms are no terms"),
        (["threshold", [1, 2, 3, "e", 4, None, None, None], "x"], "it is no memory of a law of 'threshold'"),
        (["threshold", [1, 2, 3, "e", 4, "5", None, None, []], "x"], "its times are no times"),
        (["threshold", [1, 2, 3, "e", 4, None, None, None, None], "x"], "its times are no times"),
        (["threshold", [1, 2, 3, "e", 4, None, None, None, [[0, b""]]], "x"], "its marks are no marks"),
        (["threshold", [1, 2, 3, "e", 4, None, None, None, [[0, b"7 bytes"]]], "x"], "its marks are no marks"),
    ],
)
def test_values_that_no_other_law_remembers_are_refused(values: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        unpack_memory(msgpack.packb(values))


BROKEN = {
    "empty": b"",
    "cut off": pack_memory(ONCE, ("x",))[:-1],
    "something behind it": pack_memory(ONCE, ("x",)) + b"\0",
    "no type of msgpack": b"\xc1",
    "nested for ever": b"\x91" * 5_000,
    "text that is no text": b"\xa1\xff",
    "a map with a list as a key": b"\x81\x90\x01",
}


@pytest.mark.parametrize("raw", BROKEN.values(), ids=BROKEN.keys())
def test_bytes_that_are_no_msgpack_are_refused(raw: bytes) -> None:
    for unpack in (unpack_memory, unpack_term, partial(unpack_history, b"8 bytes.")):
        with pytest.raises(ValueError, match=NO_MSGPACK):
            unpack(raw)


@pytest.mark.parametrize(
    ("rule_id", "name", "since_ms", "reach_ms"),
    [("rule", "Rule", 1_790_000_000_000, 10), ("", "", 0, None), ("\ud800", "Ünïcode \U0001f600", -(1 << 70), 1 << 70)],
)
def test_a_history_comes_back_as_it_was(rule_id: str, name: str, since_ms: int, reach_ms: int | None) -> None:
    history = History(RuleState(b"8 bytes.", rule_id, name, reach_ms), since_ms)

    assert unpack_history(b"8 bytes.", pack_history(history)) == history


def test_a_history_of_the_first_schema_has_no_reach() -> None:
    written = msgpack.packb({"id": "rule", "name": "Rule", "created_ms": 7})

    assert unpack_history(b"8 bytes.", written) == History(RuleState(b"8 bytes.", "rule", "Rule", None), 7)


@pytest.mark.parametrize(
    "values",
    [
        None,
        [],
        {},
        {"id": "rule", "name": "Rule"},
        {"id": "rule", "name": None, "created_ms": 1},
        {"id": b"rule", "name": "Rule", "created_ms": 1},
        {"id": "rule", "name": "Rule", "created_ms": 1.5},
        {"id": "rule", "name": "Rule", "created_ms": 1, "reach_ms": "10d"},
    ],
)
def test_values_that_are_no_history_are_refused(values: Any) -> None:
    with pytest.raises(ValueError, match="it is no rule"):
        unpack_history(b"8 bytes.", msgpack.packb(values))


@pytest.mark.parametrize("term", ["x", "\ud800", True, 1.5, 1 << 70, None])
def test_a_term_by_itself_comes_back(term: TermValue) -> None:
    assert unpack_term(pack_term(term)) == term
    with pytest.raises(ValueError, match="it is no term"):
        unpack_term(msgpack.packb([1]))
