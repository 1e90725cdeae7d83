"""Runs the cases in ``forward/*.toml``; each file says at its head what its cases look like.

Hex is written with blanks wherever they help; ``91*1100`` is a piece repeated, and what follows a # is a remark.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from firstseen.errors import ProtocolError
from firstseen.forward.buffers import Pool
from firstseen.forward.client import AckReader
from firstseen.forward.content import content_of
from firstseen.forward.conversion import as_v1, with_event_time
from firstseen.forward.entries import walk
from firstseen.forward.groups import bracketed, groups
from firstseen.forward.messages import Chunk, Mode
from firstseen.forward.outgoing import Body, forward_frame, outgoing
from firstseen.forward.server import Receiver, ack
from firstseen.record.spans import decode_record, entry_span, entry_time_ms, message_span
from support import oddpack
from support.wire import chunk_of, feed, pieces

CASES = Path(__file__).parent / "forward"

MAX_FRAME = 1 << 16
MAX_DECOMPRESSED = 1 << 16


def cases(*names: str) -> list[Any]:
    return [
        pytest.param(case, id=f"{name} {case['point']}: {case['name']}")
        for name in names
        for case in tomllib.loads((CASES / f"{name}.toml").read_text("utf-8"))["case"]
    ]


def unhex(text: str) -> bytes:
    data = b""
    for word in re.sub(r"#.*", "", text).split():
        piece, _, times = word.partition("*")
        data += bytes.fromhex(piece) * int(times or 1)
    return data


def splittings(data: bytes) -> Iterable[Iterable[bytes]]:
    """Whole, in two at every position, and byte by byte."""
    for cut in range(len(data)):
        yield pieces(data, [cut])
    yield pieces(data, range(len(data)))


def event_of(chunk: Chunk) -> dict[str, Any]:
    """All that a case may say of a chunk."""
    tag = chunk.tag.encode("utf-8", "backslashreplace").decode()  # TOML has no words for odd bytes
    event: dict[str, Any] = {"mode": chunk.mode.value, "tag": tag, "signal": chunk.options.signal}
    if chunk.options.chunk is not None:
        event["ack"] = ack(chunk.options.chunk).hex()
    if chunk.options.signal:
        return event
    entries = content_of(chunk, MAX_DECOMPRESSED).entries
    data = entries.data
    if chunk.mode is Mode.MESSAGE:
        spans = [message_span(data, entries.start, entries.stop)]
    else:
        found = [entry_span(data, start, stop) for start, stop in entries.every()]
        spans = [span for span in found if span is not None]
    event["count"], event["body"] = entries.count, bytes(data[entries.start : entries.stop]).hex()
    times = [entry_time_ms(data, span) for span in spans]
    event["times_ms"] = ["none" if time is None else time for time in times]
    event["records"] = [decode_record(data, span) for span in spans]
    return event


def outcome(sent: Iterable[bytes], max_frame: int) -> dict[str, Any]:
    """The events on a connection, then its error, or whether it waits for more."""
    receiver = Receiver(Pool(), max_frame)
    result: dict[str, Any] = {"events": []}
    try:
        for piece in sent:
            for received in feed(receiver, piece):
                result["events"].append(event_of(received.chunk))
                received.slab.release()
    except ProtocolError as error:
        return {**result, "error": str(error)}
    if receiver.error is not None:
        result["error"] = str(receiver.error)
    elif receiver.inside_frame:
        result["waits"] = True
    return result


def expected_outcome(case: dict[str, Any]) -> dict[str, Any]:
    events = [dict(event) for event in case.get("events", [])]
    for event in events:
        for key in ("ack", "body"):
            if key in event:
                event[key] = unhex(event[key]).hex()
        if "records" in event:
            event["records"] = [json.loads(record) for record in event["records"]]
    return {"events": events, **{key: case[key] for key in ("error", "waits") if key in case}}


def narrowed(result: dict[str, Any], expected: dict[str, Any]) -> dict[str, Any]:
    """``result`` with no more of each event than the case speaks of, but always with its ack."""
    if len(result["events"]) != len(expected["events"]):
        return result
    events = [
        {key: value for key, value in event.items() if key in wanted or key == "ack"}
        for event, wanted in zip(result["events"], expected["events"], strict=True)
    ]
    return {**result, "events": events}


def test_every_file_of_cases_is_run():
    names = {"golden", "modes", "compressed", "groups", "options", "streams", "refused", "outgoing", "acks", "own"}
    others = {"brackets", "conversion", "handshake"}  # the last by test_handshake.py
    assert {path.stem for path in CASES.glob("*.toml")} == names | others


@pytest.mark.parametrize("case", cases("golden", "modes", "compressed", "groups", "options", "streams", "refused"))
def test_received(case):
    data = unhex(case["hex"])
    max_frame = case.get("max_frame", MAX_FRAME)
    expected = expected_outcome(case)
    whole = outcome([data], max_frame)
    shown = narrowed(whole, expected)
    assert shown == expected, f"\ncase     {case['name']}\nexpected {expected}\nresult   {shown}"
    for number, sent in enumerate(splittings(data) if len(data) < 1000 else [pieces(data, range(len(data)))]):
        split = outcome(sent, max_frame)
        assert split == whole, f"\ncase     {case['name']}, splitting {number}\nwhole    {whole}\nsplit    {split}"


@pytest.mark.parametrize("case", cases("outgoing"))
def test_passed_on(case):
    body = case.get("body")
    frame = outgoing(
        chunk_of(unhex(case["hex"])),
        require_ack=case.get("require_ack", True),
        random_bytes=lambda size: bytes(range(size)),
        body=None if body is None else Body(**{**body, "pieces": tuple(map(unhex, body["pieces"]))}),
        tag=case.get("tag"),
    )
    sent, expected = b"".join(frame.pieces), unhex(case["sent"] if "sent" in case else case["hex"])
    shown = f"\ncase     {case['name']}\nexpected {expected.hex(' ')}\nresult   {sent.hex(' ')}"
    assert (sent, frame.chunk) == (expected, case.get("chunk")), shown
    assert frame.size == len(sent)
    assert frame.tag == oddpack.read(sent)[0][0].data.decode("utf-8", "surrogateescape")


@pytest.mark.parametrize("case", cases("own"))
def test_our_own_frame(case):
    entries = tuple(map(unhex, case["entries"]))
    frame = forward_frame(case["tag"], Body(entries, len(entries)), case.get("chunk"))
    sent, expected = b"".join(frame.pieces), unhex(case["sent"])
    shown = f"\ncase     {case['name']}\nexpected {expected.hex(' ')}\nresult   {sent.hex(' ')}"
    assert (sent, frame.chunk, frame.size) == (expected, case.get("chunk"), len(expected)), shown


@pytest.mark.parametrize("case", cases("brackets"))
def test_cut_out_of_groups(case):
    named = {
        name: unhex(entry) for name, entry in tomllib.loads((CASES / "brackets.toml").read_text())["entries"].items()
    }
    data, spans = b"", {}
    for name in case["chunk"].split():
        spans[name] = (len(data), len(data) + len(named[name]))
        data += named[name]
    kept = []
    for run in case["kept"]:
        names = [name.partition("=") for name in run.split()]
        content = b"".join(named[other or name] for name, _, other in names)
        kept.append((spans[names[0][0]][0], spans[names[-1][0]][1], content))
    result = bracketed(data, groups(walk(data, 0, len(data))), kept)
    sent, expected = b"".join(result.pieces), b"".join(named[name] for name in case["sent"].split())
    shown = f"\ncase     {case['name']}\nexpected {expected.hex(' ')}\nresult   {sent.hex(' ')}"
    assert (sent, result.added) == (expected, case.get("added", 0)), shown


@pytest.mark.parametrize("case", cases("conversion"))
def test_converted(case):
    frame = outgoing(chunk_of(unhex(case["hex"])), require_ack=False, random_bytes=bytes)
    for name, result in (("v1", as_v1(frame, MAX_DECOMPRESSED)), ("event_time", with_event_time(frame))):
        assert (result is frame) == (name not in case)
        sent, expected = b"".join(result.pieces), unhex(case.get(name, case["hex"]))
        shown = f"\ncase     {case['name']}\nexpected {expected.hex(' ')}\nresult   {sent.hex(' ')}"
        assert (sent, result.size) == (expected, len(expected)), shown


@pytest.mark.parametrize("case", cases("acks"))
def test_ack_read(case):
    data = unhex(case["hex"])
    expected = {"ids": case.get("ids", []), **({"error": case["error"]} if "error" in case else {})}
    for sent in splittings(data) if len(data) < 1000 else [[data]]:
        result = acks_of(sent)
        assert result == expected, f"\ncase     {case['name']}\nexpected {expected}\nresult   {result}"


def acks_of(sent: Iterable[bytes]) -> dict[str, Any]:
    reader = AckReader()
    result: dict[str, Any] = {"ids": []}
    try:
        for piece in sent:
            for chunk_id in reader.feed(piece):
                result["ids"].append(chunk_id)
    except ProtocolError as error:
        result["error"] = str(error)
    return result
