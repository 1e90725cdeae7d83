import gzip
import io
import json
from pathlib import Path

import pytest

from firstseen.backfill import blocks
from firstseen.backfill.blocks import read_blocks
from firstseen.errors import InputError
from firstseen.eventfiles import opened, read_events

A, B = b'{"eventName":"A"}', b'{"eventName":"B"}'
LINES = b"\n".join(b'{"n":%d,"pad":"%s"}' % (number, b"x" * (number % 50)) for number in range(300)) + b"\n"


@pytest.mark.parametrize(
    "content",
    [
        b'{"Records":[' + A + b"," + B + b"]}",
        b'{"Records":[' + A + b"," + B + b"]}\n",
        b"[" + A + b",\n" + B + b"]",
        A,
        A + b"\n",
        b"\n \n" + A + b"\n\r\n\n" + B,
        A + b"\r\n" + B + b"\r\n",
        b'{"_index":"i","_source":' + A + b'}\n{"_index":"i","_source":' + B + b"}\n",
        b'{"hits":{"hits":[{"_index":"i","_source":' + A + b"}]}}",
        b'{"Records":[' + A + b']}\n{"Records":[' + B + b"]}\n",
        b'{\n "Records": [\n  {\n   "eventName": "A"\n  },\n  {"eventName": "B"}]}',
        b"",
        b" \n\n",
        LINES,
        LINES[:-1],
    ],
)
@pytest.mark.parametrize("size", [7, 64, 1 << 20])
def test_the_events_are_those_of_the_file(
    tmp_path: Path, content: bytes, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "BLOCK", size)
    path = tmp_path / "events.json.gz"
    path.write_bytes(gzip.compress(content))

    with opened(str(path)) as (stream, _):
        found = [json.loads(event) for block in read_blocks(stream, "it") for event in block.events]

    assert found == [event.decode() for event in read_events(str(path))]


def test_reading_begins_anew_behind_any_block_of_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK", 100)
    made = list(read_blocks(io.BytesIO(LINES), "it"))

    for number, block in enumerate(made):
        rest = list(read_blocks(io.BytesIO(LINES), "it", block.stop))
        assert [event for each in rest for event in each.events] == [
            event for each in made[number + 1 :] for event in each.events
        ]
    assert len(made) > 20
    assert made[-1].stop == len(LINES)


@pytest.mark.parametrize("start", [0, 36])
def test_a_broken_line_is_named_once_what_stands_before_it_is_given(start: int) -> None:
    found = []

    with pytest.raises(InputError, match=r"^it:4: this is no JSON"):
        found.extend(read_blocks(io.BytesIO(A + b"\n" + B + b"\n" + A + b"\nbroken\n" + B), "it", start))

    assert [(list(events), stop) for events, stop in found] == [([A, B, A][start // 18 :], 54)]


def test_a_file_that_has_become_shorter_is_told_of() -> None:
    with pytest.raises(InputError, match=r"^it: it has become shorter"):
        list(read_blocks(io.BytesIO(A), "it", 100))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"[" + b",".join([A] * 200_000) + b"]", "it:1: a line of more than 1 MiB"),
        (b"[\n" + b",\n".join([A] * 200_000) + b"]", "it: a JSON document of more than 1 MiB"),
        (A + b"\n[" + b",".join([A] * 200_000) + b"]\n", "it:2: a line of more than 1 MiB"),
    ],
    ids=["array on one line", "array on many", "line behind others"],
)
def test_what_does_not_fit_into_memory_is_refused(content: bytes, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK", 1 << 16)

    with pytest.raises(InputError) as caught:
        list(read_blocks(io.BytesIO(content), "it", most=1 << 20))

    assert str(caught.value).startswith(what)
    assert "jq -c" in str(caught.value)
