import gzip
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgpack
import pytest
import zstandard

from firstseen import pipeline
from firstseen.candidates import STRETCH
from firstseen.engine import Engine
from firstseen.errors import ProtocolError, StoreError
from firstseen.forward.outgoing import Frame
from firstseen.forward.shapes import Shaper
from firstseen.metrics import Counts
from firstseen.pipeline import Outcome, Pipeline
from firstseen.record.view import Mode
from firstseen.store.lmdb import LmdbStore
from support.rulebook import ARN, call, rule_id, rule_set, rule_text
from support.wire import chunk_of

NOW_MS = 1_790_000_000_000
TIME = msgpack.ExtType(0, bytes.fromhex("6553f100075bcd15"))


ADA, BOB = "arn:aws:iam::111122223333:user/ada", "arn:aws:iam::111122223333:user/bob"
OTHER = {"log": "nothing to see", "n": 1}


class Bench:
    """A pipeline on a state of its own, fed with frames."""

    def __init__(
        self,
        path: Path,
        *,
        tag_prefix: str = "",
        require_ack: bool = True,
        max_frame: int = 1 << 22,
        modes: Mapping[str, Mode | None] = MappingProxyType({}),
        rest: str = "",
    ) -> None:
        self.counts = Counts()
        self.store = LmdbStore.open(path, 1 << 24, durable=False)
        rules = rule_set(rule_text() + rest)
        self.engine = Engine(rules, self.store, self.counts, lambda: NOW_MS)
        self.pipeline = Pipeline(
            self.engine,
            Shaper(max_frame, tag_prefix, require_ack, bytes),
            self.counts,
            key="alerts",
            max_decompressed=1 << 20,
            mode_of=lambda tag: modes.get(tag, "auto"),
        )

    def process(self, frame: bytes, now_ms: int = NOW_MS) -> Outcome:
        return self.pipeline.process(chunk_of(frame), now_ms)

    def take(self, frame: bytes, now_ms: int = NOW_MS) -> list[list[Any]]:
        """The frames that leave, decoded; their claims are confirmed."""
        outcome = self.process(frame, now_ms)
        self.store.confirm(outcome.claims).result()
        return [decoded(out) for out in outcome.frames]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "state")
    yield made
    made.store.close()


def raw(frame: Frame) -> bytes:
    return b"".join(bytes(piece) for piece in frame.pieces)


def decoded(frame: Frame) -> list[Any]:
    value: list[Any] = msgpack.unpackb(raw(frame), strict_map_key=False)
    assert frame.size == len(raw(frame))
    if frame.chunk is not None:
        assert value[-1]["chunk"] == frame.chunk
    return value


def forward(*records: dict[str, Any], tag: str = "aws") -> bytes:
    return msgpack.packb([tag, [[TIME, record] for record in records], {"chunk": "c-1", "size": len(records)}])


def blob(*records: dict[str, Any]) -> bytes:
    return b"".join(msgpack.packb([TIME, record]) for record in records)


def alerts(record: dict[str, Any]) -> list[str]:
    return [label["new_terms"]["values"][0] for label in record.get("alerts", [])]


def test_a_chunk_without_a_match_leaves_as_it_came(bench: Bench) -> None:
    frame = forward(OTHER, call(ADA, "e-1", "AssumeRole"))

    outcome = bench.process(frame)

    assert [raw(out) for out in outcome.frames] == [frame]
    assert not outcome.claims
    assert outcome.records == 2


def test_the_first_sighting_is_labelled_and_the_second_is_not(bench: Bench) -> None:
    frame = forward(OTHER, call(ADA, "e-1"), call(BOB, "e-2"), call(ADA, "e-3"))

    ((_, entries, options),) = bench.take(frame)

    assert [alerts(record) for _, record in entries] == [[], [ADA], [BOB], []]
    assert options == {"chunk": "c-1", "size": 4}
    assert (bench.counts.matches, bench.counts.alerts, bench.counts.suppressed) == (3, 2, 1)


def test_the_label_tells_everything(bench: Bench) -> None:
    ((_, [[_, record]], _),) = bench.take(forward(call(ADA, "e-1")))

    (label,) = record["alerts"]
    assert list(label) == ["id", "status", "time", "reason", "rule", "new_terms"]
    assert len(label["id"]) == 32
    assert label["status"] == "open"
    assert label["time"] == "2026-09-21T08:00:00.000Z"
    assert label["reason"] == f"A rule for tests: {ADA} not seen in the 10 days before"
    assert label["new_terms"] == {"fields": [ARN], "values": [ADA], "window": "10d", "last_seen": None}


def test_what_was_confirmed_is_known_and_last_seen_tells_when_the_window_is_over(bench: Bench) -> None:
    day_ms = 86_400_000
    bench.take(forward(call(ADA, "e-1")))

    ((_, [[_, soon]], _),) = bench.take(forward(call(ADA, "e-2")), NOW_MS + 9 * day_ms)
    ((_, [[_, late]], _),) = bench.take(forward(call(ADA, "e-3")), NOW_MS + 19 * day_ms)

    assert "alerts" not in soon
    assert late["alerts"][0]["new_terms"]["last_seen"] == "2026-09-30T14:13:20.000Z"


def test_what_was_not_confirmed_alerts_again_with_the_same_id(tmp_path: Path) -> None:
    ids = []
    for _ in range(2):
        bench = Bench(tmp_path / "state")
        (out,) = bench.process(forward(call(ADA, "e-1"))).frames
        ids.append(decoded(out)[1][0][1]["alerts"][0]["id"])
        bench.store.close()

    assert ids[0] == ids[1]


def test_every_byte_around_a_labelled_record_stays(bench: Bench) -> None:
    odd = b"\x92\xd7\x00" + bytes(8) + b"\xdf\x00\x00\x00\x02\xa1f\xca\x3f\x80\x00\x00\xd9\x01k\xc7\x03\x63abc"
    hit = msgpack.packb([TIME, call(ADA, "e-1")])
    frame = b"\x93\xa3aws\xdd\x00\x00\x00\x03" + odd + hit + odd + b"\x81\xa5chunk\xa1c"

    (out,) = bench.process(frame).frames

    data = raw(out)
    start = len(b"\x93\xa3aws\xdd\x00\x00\x00\x03")
    assert data[: start + len(odd)] == frame[: start + len(odd)]
    assert data.endswith(odd + b"\x81\xa5chunk\xa1c")
    assert data[start + len(odd) :][:11] == hit[:11]


@pytest.mark.parametrize("kind", ["bin", "str"])
def test_packed_entries_are_labelled_in_place(bench: Bench, kind: str) -> None:
    content = blob(OTHER, call(ADA, "e-1"), OTHER)
    body = msgpack.packb(content) if kind == "bin" else b"\xdb" + len(content).to_bytes(4, "big") + content
    frame = b"\x93\xa3aws" + body + msgpack.packb({"chunk": "c-2", "compressed": "text"})

    ((_, out, options),) = bench.take(frame)

    assert [alerts(record) for record in _entries(out)] == [[], [ADA], []]
    assert options == {"chunk": "c-2", "compressed": "text"}


def _entries(content: bytes) -> Iterator[dict[str, Any]]:
    unpacker = msgpack.Unpacker(strict_map_key=False)
    unpacker.feed(content)
    return (record for _, record in unpacker)


PACKERS = {"gzip": gzip.compress, "zstd": zstandard.ZstdCompressor(write_checksum=True).compress}
UNPACKERS = {"gzip": gzip.decompress, "zstd": zstandard.ZstdDecompressor().decompress}
BOTH = pytest.mark.parametrize("kind", list(PACKERS))


def compressed(kind: str, *members: bytes, named: bool = True) -> bytes:
    body = b"".join(map(PACKERS[kind], members))
    return msgpack.packb(["aws", body, {**({"compressed": kind} if named else {}), "chunk": "c-3"}])


@BOTH
def test_one_member_without_a_match_leaves_as_it_came(bench: Bench, kind: str) -> None:
    frame = compressed(kind, blob(OTHER, OTHER))

    outcome = bench.process(frame)

    assert [raw(out) for out in outcome.frames] == [frame]
    assert outcome.records == 2


@BOTH
def test_members_with_a_match_are_one_member_again(bench: Bench, kind: str) -> None:
    ((_, out, options),) = bench.take(compressed(kind, blob(OTHER), b"", blob(call(ADA, "e-1"))))

    assert options == {"compressed": kind, "chunk": "c-3"}
    assert [alerts(record) for record in _entries(UNPACKERS[kind](out))] == [[], [ADA]]


@BOTH
def test_several_members_leave_plain(bench: Bench, kind: str) -> None:
    content = (blob(OTHER), blob(OTHER, OTHER))

    ((tag, out, options),) = bench.take(compressed(kind, *content))

    assert (tag, out, options) == ("aws", b"".join(content), {"chunk": "c-3"})


@BOTH
def test_what_only_its_content_shows_to_be_compressed_leaves_plain(bench: Bench, kind: str) -> None:
    ((_, plain, options),) = bench.take(compressed(kind, blob(OTHER), named=False))
    ((_, labelled, _),) = bench.take(compressed(kind, blob(OTHER, call(ADA, "e-1")), named=False))

    assert (plain, options) == (blob(OTHER), {"chunk": "c-3"})
    assert [alerts(record) for record in _entries(labelled)] == [[], [ADA]]


@BOTH
def test_a_tag_prefix_leaves_the_rest_compressed(tmp_path: Path, kind: str) -> None:
    bench = Bench(tmp_path / "state", tag_prefix="alert.")

    (_, (tag, rest, options)) = bench.take(compressed(kind, blob(OTHER, call(ADA, "e-1"))))
    bench.store.close()

    assert (tag, UNPACKERS[kind](rest), options) == ("aws", blob(OTHER), {"compressed": kind, "chunk": "c-3"})


def test_a_message_is_labelled(bench: Bench) -> None:
    ((tag, time, record, options),) = bench.take(msgpack.packb(["aws", TIME, call(ADA, "e-1")]))

    assert (tag, time, alerts(record), list(options)) == ("aws", TIME, [ADA], ["chunk"])


def test_json_in_a_string_is_seen_through_even_with_escapes(bench: Bench) -> None:
    plain = json.dumps(call(ADA, "e-1"))
    hidden = json.dumps(call(BOB, "e-2")).replace("GetCallerIdentity", "\\u0047etCallerIdentity")

    ((_, entries, _),) = bench.take(forward({"log": plain}, {"message": hidden}))

    assert [alerts(record) for _, record in entries] == [[ADA], [BOB]]
    assert [record.get("log") or record.get("message") for _, record in entries] == [plain, hidden]


def test_each_event_of_an_envelope_counts(bench: Bench) -> None:
    ((_, [[_, record]], _),) = bench.take(forward({"Records": [call(ADA, "e-1"), call(BOB, "e-2"), call(ADA, "e-3")]}))

    assert alerts(record) == [ADA, BOB]


@pytest.mark.parametrize("others", [0, 2])
def test_a_tag_prefix_sends_labelled_records_on_their_own(tmp_path: Path, others: int) -> None:
    bench = Bench(tmp_path / "state", tag_prefix="alert.")
    frame = forward(call(ADA, "e-1"), *[OTHER] * others, call(BOB, "e-2"))

    outcome = bench.process(frame)
    labelled, *rest = map(decoded, outcome.frames)
    bench.store.close()

    assert labelled[0] == "alert.aws"
    assert [alerts(record) for _, record in labelled[1]] == [[ADA], [BOB]]
    assert [(tag, [record for _, record in entries]) for tag, entries, _ in rest] == (
        [("aws", [OTHER] * 2)] if others else []
    )
    assert all("size" not in options for _, _, options in rest)


def test_a_tag_prefix_is_not_for_building_blocks(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "state", tag_prefix="alert.", rest='building_block_type = "default"\n')

    ((tag, entries, _),) = bench.take(forward(call(ADA, "e-1"), OTHER))
    ((message_tag, _, message, _),) = bench.take(msgpack.packb(["aws", TIME, call(BOB, "e-2")]))
    bench.store.close()

    assert (tag, [alerts(record) for _, record in entries]) == ("aws", [[ADA], []])
    assert (message_tag, alerts(message)) == ("aws", [BOB])
    assert entries[0][1]["alerts"][0]["building_block"] is True


def test_a_message_with_a_tag_prefix_keeps_its_mode(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "state", tag_prefix="alert.")

    ((tag, _, record, _),) = bench.take(msgpack.packb(["aws", TIME, call(ADA, "e-1")]))
    bench.store.close()

    assert (tag, alerts(record)) == ("alert.aws", [ADA])


def test_without_acks_nothing_is_added(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "state", require_ack=False)
    frame = msgpack.packb(["aws", [[TIME, OTHER]]])

    (out,) = bench.process(frame).frames
    bench.store.close()

    assert (raw(out), out.chunk) == (frame, None)


@pytest.mark.parametrize(
    ("body", "options", "reason"),
    [
        (b"\xc1", {}, "no msgpack"),
        (b"\x92\x00", {}, "middle"),
        (b"\x01\x02", {}, r"too short for a \[time, record\]"),
        (blob(OTHER) + b"\x92\x01\x05" + blob(OTHER), {}, r"entry 2 of 3 is no \[time, record\]: its record is int"),
        (b"nonsense" * 9, {"compressed": "gzip"}, "broken gzip"),
        (b"nonsense" * 9, {"compressed": "lz4"}, "neither gzip nor zstd"),
        (gzip.compress(blob(OTHER), mtime=0)[:-4], {"compressed": "gzip"}, "cut short"),
        (gzip.compress(bytes(2 << 20), mtime=0), {"compressed": "gzip"}, "more than 1048576 bytes"),
        (b"\x28\xb5\x2f\xfd", {}, "zstd that is cut short"),
    ],
)
def test_entries_that_cannot_be_read_are_refused(
    bench: Bench, body: bytes, options: dict[str, str], reason: str
) -> None:
    with pytest.raises(ProtocolError, match=reason):
        bench.process(msgpack.packb(["aws", body, {"chunk": "c", **options}]))


@pytest.mark.parametrize("signal", [1, 2, 7, "x"])
def test_metrics_and_traces_pass_unseen(bench: Bench, signal: object) -> None:
    frame = msgpack.packb(["aws", blob(call(ADA, "e-1")), {"chunk": "c", "fluent_signal": signal}])

    outcome = bench.process(frame)

    assert [raw(out) for out in outcome.frames] == [frame]
    assert (list(outcome.claims), outcome.records) == ([], 0)


START, END = (msgpack.ExtType(0, bytes.fromhex(seconds + "00000000")) for seconds in ("ffffffff", "fffffffe"))


def test_group_markers_are_no_records(bench: Bench) -> None:
    entries = [[[START, {"schema": "otlp"}], call(ADA, "e-1")], [TIME, call(BOB, "e-2")], [[END, {}], {}]]
    outcome = bench.process(msgpack.packb(["aws", entries, {"chunk": "c"}]))

    ((_, out, _),) = map(decoded, outcome.frames)

    assert [alerts(record) for _, record in out] == [[], [BOB], []]
    assert outcome.records == 1


def test_what_leaves_apart_takes_its_group_along(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "state", tag_prefix="alert.")
    resource = {"resource": {"attributes": {"host": "a"}}}
    entries = [[[START, {"schema": "otlp"}], resource], [TIME, OTHER], [TIME, call(BOB, "e-2")], [[END, {}], {}]]

    apart, rest = bench.take(msgpack.packb(["aws", entries, {"chunk": "c"}]))
    bench.store.close()

    assert [record for _, record in apart[1]][::2] == [resource, {}]
    assert alerts(apart[1][1][1]) == [BOB]
    assert [record for _, record in rest[1]] == [resource, OTHER, {}]


@pytest.mark.parametrize("entry", [[1, 5], [1, {}, {}], [None, {}], {}, [[1, 2], {}]])
def test_a_broken_entry_in_a_forward_frame_is_refused(bench: Bench, entry: object) -> None:
    with pytest.raises(ProtocolError, match=r"entry 2 of 3 is no \[time, record\]"):
        bench.process(msgpack.packb(["aws", [[TIME, OTHER], entry, [TIME, OTHER]], {"chunk": "c"}]))


@pytest.mark.parametrize("record", [5, None, []])
def test_a_message_without_a_record_is_refused(bench: Bench, record: object) -> None:
    with pytest.raises(ProtocolError, match="a Message frame without a time and a record: its record is"):
        bench.process(msgpack.packb(["aws", TIME, record, {"chunk": "c"}]))


def test_a_message_with_a_float_time_gets_one_that_every_server_reads(bench: Bench) -> None:
    ((_, time, record, _),) = bench.take(msgpack.packb(["aws", 1.5, OTHER]))

    assert (time, record) == (msgpack.ExtType(0, bytes.fromhex("000000011dcd6500")), OTHER)


@pytest.mark.parametrize("frame", [["aws", []], ["aws", b""], ["aws", b"", {"chunk": "c", "compressed": "gzip"}]])
def test_a_chunk_without_entries_goes_nowhere(bench: Bench, frame: list[Any]) -> None:
    outcome = bench.process(msgpack.packb(frame))

    assert (outcome.frames, outcome.records) == ((), 0)


def test_a_tag_may_pass_uninspected(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "state", modes={"raw": None, "flat": "ecs"})
    hit = forward(call(ADA, "e-1"), tag="raw")
    broken = msgpack.packb(["raw", b"\x01\x02", {"chunk": "c"}])
    members = msgpack.packb(["raw", 2 * gzip.compress(blob(OTHER), mtime=0), {"chunk": "c", "compressed": "gzip"}])

    passed = [raw(out) for frame in (hit, broken) for out in bench.process(frame).frames]
    ((_, plain, _),) = bench.take(members)
    ((_, [[_, flat]], _),) = bench.take(forward(call(ADA, "e-1"), tag="flat"))
    bench.store.close()

    assert passed == [hit, broken]
    assert plain == 2 * blob(OTHER)
    assert alerts(flat) == []
    assert bench.counts.alerts == 0


def test_what_the_frames_hold_beside_the_chunk_is_told(bench: Bench) -> None:
    assert bench.process(forward(OTHER)).held == 0
    assert bench.process(compressed("gzip", blob(OTHER))).held == 0
    assert bench.process(compressed("gzip", blob(OTHER), blob(OTHER))).held == 2 * len(blob(OTHER))
    assert bench.process(forward(call(ADA, "e-1"))).held > 500


def test_an_event_without_an_id_is_known_by_its_bytes(bench: Bench) -> None:
    record = call(ADA, "e-1")
    del record["eventID"]
    frame = forward(record)
    (first,) = bench.process(frame).frames
    (second,) = bench.process(frame).frames

    assert raw(first) == raw(second)
    assert alerts(decoded(first)[1][0][1]) == [ADA]


def test_a_rule_without_a_needle_sees_every_record(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "state")
    rules = rule_set(rule_text("event.outcome: success", ["event.action"], rule_id=rule_id(1)))
    bench.engine.use(bench.engine.lineup(rules))

    ((_, entries, _),) = bench.take(forward(call(ADA, "e-1"), OTHER, call(ADA, "e-2", "AssumeRole")))
    bench.store.close()

    assert [alerts(record) for _, record in entries] == [["GetCallerIdentity"], [], ["AssumeRole"]]


def test_a_record_that_is_too_large_passes_unseen_and_is_counted(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "state", max_frame=8 << 20)
    large = {**call(ADA, "e-1"), "padding": "x" * (4 << 20)}
    frame = forward(large, call(BOB, "e-2"))

    ((_, [[_, first], [_, second]], _),) = bench.take(frame)
    bench.store.close()

    assert first == large
    assert alerts(second) == [BOB]
    assert bench.counts.records_unseen == 1


def test_a_record_of_too_many_events_passes_unseen_and_is_counted(bench: Bench) -> None:
    text = json.dumps([{"eventName": "GetCallerIdentity"}] * 6_000)
    frame = forward({"log": text}, call(BOB, "e-2"))

    ((_, [[_, first], [_, second]], _),) = bench.take(frame)

    assert first == {"log": text}
    assert alerts(second) == [BOB]
    assert bench.counts.records_unseen == 1


def test_others_are_served_while_nothing_is_found(bench: Bench) -> None:
    frame = forward(*[{"note": "x" * 20_000}] * 60)
    steps = sum(1 for _ in bench.pipeline.steps(chunk_of(frame), NOW_MS))
    assert steps >= 60 * 20_000 // STRETCH > 1


def test_labels_that_take_too_much_are_the_last_of_their_chunk(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "MAX_LABELS", 2_000)
    frame = forward(*(call(f"{ADA}{number}", f"e-{number}") for number in range(20)))

    ((_, entries, _),) = bench.take(frame)

    labelled = [bool(alerts(record)) for _, record in entries]
    assert labelled == sorted(labelled, reverse=True)
    assert 1 < sum(labelled) < 5
    assert bench.counts.records_unseen == 20 - sum(labelled)


def test_where_the_state_cannot_be_read_nothing_stays_claimed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    claim, claims = bench.store.claim, 0

    def failing(*arguments: Any) -> Any:
        nonlocal claims
        claims += 1
        if claims == 3:
            raise StoreError("cannot be read")
        return claim(*arguments)

    monkeypatch.setattr(bench.store, "claim", failing)
    frame = forward(call(ADA, "e-1"), {"Records": [call(BOB, "e-2"), call(ADA, "e-3")]})
    with pytest.raises(StoreError):
        bench.process(frame)

    ((_, [_, [_, record]], _),) = bench.take(forward(OTHER, call(BOB, "e-9")))

    assert alerts(record) == [BOB]


def test_what_cannot_leave_stays_unclaimed(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "state", max_frame=1 << 16)
    large = {"log": "x" * (1 << 15)}
    with pytest.raises(ProtocolError, match="too much to repeat"):
        bench.process(msgpack.packb(["aws", [[1, call(ADA, "e-1")], [1, large]], {"chunk": "c", "x": "y" * (1 << 16)}]))

    ((_, [[_, record]], _),) = bench.take(forward(call(ADA, "e-2")))

    assert alerts(record) == [ADA]
    bench.store.close()


def test_whoever_wants_to_know_is_told_of_labels(bench: Bench) -> None:
    told: list[tuple[list[str], int]] = []
    bench.pipeline._on_labels = lambda labels, came_ms: told.append(([label["id"] for label in labels], came_ms))

    (frame,) = bench.take(forward(call(ADA, "e-1"), {"log": "x"}, call(ADA, "e-2")), NOW_MS + 5)

    (alert,) = frame[1][0][1]["alerts"]
    assert told == [([alert["id"]], NOW_MS + 5)]


@pytest.mark.parametrize(
    ("frame", "first_ms"),
    [
        (msgpack.packb(["aws", [[5, {}], [6, {}]]]), 5_000),
        (msgpack.packb(["aws", msgpack.packb([5, {}])]), 5_000),
        (msgpack.packb(["aws", 5, {}]), 5_000),
        (msgpack.packb(["aws", [[[7, {"meta": 1}], {}]]]), 7_000),
        (msgpack.packb(["aws", [[TIME, {}]]]), 0x6553F100 * 1_000 + 123),
        (msgpack.packb(["aws", TIME, {}]), 0x6553F100 * 1_000 + 123),
        (b"\x92\xa3aws\x91\xdc\x00\x02\x05\x80", None),
        (msgpack.packb(["aws", [[[msgpack.ExtType(0, b"\xff" * 4 + bytes(4)), {}], {}]]]), None),
        (msgpack.packb(["aws", []]), None),
        (msgpack.packb(["aws", 5, {}, {"fluent_signal": 1}]), None),
    ],
    ids=[
        *("forward", "packed", "message", "with metadata", "an EventTime", "of a message", "in another form"),
        *("a group", "empty", "a metric"),
    ],
)
def test_the_time_of_the_first_entry(bench: Bench, frame: bytes, first_ms: int | None) -> None:
    assert bench.process(frame).first_ms == first_ms
