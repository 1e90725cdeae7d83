from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

from firstseen.detect.new_terms import Sighting
from firstseen.detect.suppression import Window
from firstseen.detect.threshold import Bucket, Mark
from firstseen.errors import InputError
from firstseen.store.base import Entry, History, RuleState
from firstseen.store.exchange import read_lines, write_lines

KEY = bytes.fromhex("0123456789abcdef")
MANUAL = Path(__file__).parents[3] / "docs/state.md"

HISTORY = History(RuleState(KEY, "id", "A name", 9), 1_764_000_000_000)
SIGHTING = Entry(KEY, ("arn:…:ada", 1), Sighting(10, 20, 3, "e1", "e2"))
BUCKET = Entry(
    KEY, (), Bucket(10, 20, 3, "e", 60, None, 15, 60, (Mark(15, b"eeeeeeee", frozenset([b"vvvvvvvv", b"aaaaaaaa"])),))
)
WINDOW = Entry(KEY, (None, "ada"), Window(10, 20, "e", 4))


def read(*values: Any) -> list[History | Entry]:
    lines = [json.dumps(value).encode() if not isinstance(value, bytes) else value for value in values]
    return list(read_lines(lines, "state.ndjson"))


HEADER = {"form": "firstseen-state", "version": 1}
LINE = {"rule": KEY.hex(), "terms": ["x"], "law": "new_terms", "first_seen": 1, "last_seen": 2, "count": 1}
LINE.update(event="e", last_event="e")


def test_the_form_is_this() -> None:
    lines = [json.loads(line) for line in write_lines([HISTORY], [SIGHTING, BUCKET, WINDOW])]

    span = {"rule": "0123456789abcdef", "first_seen": 10, "last_seen": 20}
    assert lines == [
        HEADER,
        {"rule": "0123456789abcdef", "id": "id", "name": "A name", "since": 1_764_000_000_000, "reach": 9},
        {**span, "terms": ["arn:…:ada", 1], "law": "new_terms", "count": 3, "event": "e1", "last_event": "e2"},
        {
            **span,
            "terms": [],
            "law": "threshold",
            "count": 3,
            "event": "e",
            "run": 60,
            "spent": None,
            "alerted": 15,
            "alert_run": 60,
            "marks": [[15, b"eeeeeeee".hex(), [b"aaaaaaaa".hex(), b"vvvvvvvv".hex()]]],
        },
        {**span, "terms": [None, "ada"], "law": "suppression", "event": "e", "suppressed": 4},
    ]
    assert read(*lines) == [HISTORY, SIGHTING, BUCKET, WINDOW]


def test_the_lines_in_the_manual_are_of_this_form() -> None:
    block = re.search(r"```json\n(.*?)```", MANUAL.read_text(), re.DOTALL)
    assert block is not None
    lines = block[1].encode().splitlines()

    parsed = list(read_lines(lines, "docs/state.md"))

    histories = [each for each in parsed if isinstance(each, History)]
    entries = [each for each in parsed if isinstance(each, Entry)]
    assert {type(entry.memory) for entry in entries} == {Sighting, Bucket, Window}
    assert list(map(json.loads, write_lines(histories, entries))) == list(map(json.loads, lines))


@pytest.mark.parametrize(
    "term",
    ["\ud800", "\ud83d\ude00", math.inf, -math.inf, 1 << 63, 1 << 9_000],
    ids=lambda term: ascii(term)[:9] if isinstance(term, str) else None,
)
def test_what_json_cannot_say_is_packed(term: Any) -> None:
    entry = Entry(KEY, (term,), Sighting(1, 1, 1, "\udcff", "e"))

    *_, line = write_lines([], [entry])

    assert [*json.loads(line)["terms"][0]] == ["msgpack"]
    assert read(HEADER, line.encode()) == [entry]


def test_empty_lines_are_passed_over() -> None:
    assert read(HEADER, b"\n", LINE, b"  \n") == [Entry(KEY, ("x",), Sighting(1, 2, 1, "e", "e"))]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"rule": "01"}, "16 hexadecimal digits"),
        ({"rule": "xx"}, "non-hexadecimal"),
        ({"law": "other"}, "the law 'other' is unknown"),
        ({"terms": []}, "a sighting has terms"),
        ({"terms": [None]}, "a sighting has terms"),
        ({"terms": [[1]]}, r"\[1\] is no term"),
        ({"terms": [{"msgpack": "?"}]}, "'\\?' is no base64"),
        ({"terms": [{"msgpack": "wQ=="}]}, "no msgpack"),
        ({"terms": [{"msgpack": "kA=="}]}, "no term"),
        ({"first_seen": "yesterday"}, "'yesterday' is no whole number"),
        ({"first_seen": True}, "True is no whole number"),
        ({"count": -1}, "-1 is no count"),
        ({"count": 1 << 64}, "is no count"),
        ({"event": 1}, "1 is no text"),
        (
            {"law": "threshold", "run": 1, "spent": 1, "alerted": 1, "alert_run": 1, "marks": [[1, "00", []]]},
            "a digest has",
        ),
        ({"law": "suppression"}, "lacks 'suppressed'"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(change: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=f"^state.ndjson:2: no line of an exported state: .*{says}"):
        read(HEADER, {**LINE, **change})


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([], "state.ndjson: is empty"),
        ([LINE], "state.ndjson:1: .* has to begin with"),
        ([[]], "state.ndjson:1: .* has to begin with"),
        (
            [{"form": "firstseen-state", "version": 2}],
            "state.ndjson:1: .* of version 2, .* reads 1",
        ),
        ([b"{"], "state.ndjson:1: "),
        ([HEADER, []], "state.ndjson:2: "),
        ([HEADER, b"[" * 100_000], "state.ndjson:2: "),
        ([HEADER, b"\xff"], "state.ndjson:2: "),
    ],
)
def test_anything_else_is_refused(lines: list[Any], says: str) -> None:
    with pytest.raises(InputError, match=f"^{says}"):
        read(*lines)
