import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest

from firstseen.engine import Engine
from firstseen.errors import ProtocolError, StoreError
from firstseen.forward.outgoing import Frame
from firstseen.metrics import Counts
from firstseen.pipeline import Outcome, Pipeline, Shape
from firstseen.store.lmdb import LmdbStore
from support.rulebook import ARN, call, rule_id, rule_set, rule_text
from support.wire import chunk_of

NOW_MS = 1_790_000_000_000
TIME = msgpack.ExtType(0, bytes.fromhex("6553f100075bcd15"))


ADA, BOB = "arn:aws:iam::111122223333:user/ada", "arn:aws:iam::111122223333:user/bob"
OTHER = {"log": "nothing to see", "n": 1}


class Bench:
    """A pipeline on a state of its own, fed with frames."""

    def __init__(self, path: Path, **shape: Any) -> None:
        self.counts = Counts()
        self.store = LmdbStore.open(path, 1 << 24, durable=False)
        rules = rule_set(rule_text())
        engine = Engine(rules, self.store, self.counts, lambda: NOW_MS)
        settings = {"key": "alerts", "tag_prefix": "", "require_ack": True, "max_decompressed": 1 << 20, **shape}
        self.pipeline = Pipeline(engine, Shape(**settings), self.counts, bytes)

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


def compressed(*members: bytes) -> bytes:
    body = b"".join(map(gzip.compress, members))
    return msgpack.packb(["aws", body, {"compressed": "gzip", "chunk": "c-3"}])


def test_gzip_of_one_member_without_a_match_leaves_as_it_came(bench: Bench) -> None:
    frame = compressed(blob(OTHER, OTHER))

    outcome = bench.process(frame)

    assert [raw(out) for out in outcome.frames] == [frame]
    assert outcome.records == 2


def test_gzip_with_a_match_is_one_member_again(bench: Bench) -> None:
    ((_, out, options),) = bench.take(compressed(blob(OTHER), b"", blob(call(ADA, "e-1"))))

    assert options == {"compressed": "gzip", "chunk": "c-3"}
    assert [alerts(record) for record in _entries(gzip.decompress(out))] == [[], [ADA]]


def test_gzip_of_several_members_leaves_plain(bench: Bench) -> None:
    content = (blob(OTHER), blob(OTHER, OTHER))

    ((tag, out, options),) = bench.take(compressed(*content))

    assert (tag, out, options) == ("aws", b"".join(content), {"chunk": "c-3"})


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
        (b"\x01\x02", {}, r"no \[time, record\]"),
        (b"nonsense" * 9, {"compressed": "gzip"}, "broken gzip"),
        (gzip.compress(blob(OTHER))[:-4], {"compressed": "gzip"}, "cut short"),
        (gzip.compress(bytes(2 << 20)), {"compressed": "gzip"}, "more than 1048576 bytes"),
        (b"\x28\xb5\x2f\xfd", {"compressed": "zstd"}, "zstd"),
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


def test_group_markers_and_broken_entries_are_no_records_to_rules(bench: Bench) -> None:
    start = msgpack.ExtType(0, bytes.fromhex("ffffffff00000000"))
    entries = [[[start, {}], call(ADA, "e-1")], [1, 5], [TIME, call(BOB, "e-2")]]

    ((_, out, _),) = bench.take(msgpack.packb(["aws", entries, {"chunk": "c"}]))

    assert [alerts(record) if isinstance(record, dict) else None for _, record in out] == [[], None, [BOB]]


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
    bench.pipeline._engine.use(rules)

    ((_, entries, _),) = bench.take(forward(call(ADA, "e-1"), OTHER, call(ADA, "e-2", "AssumeRole")))
    bench.store.close()

    assert [alerts(record) for _, record in entries] == [["GetCallerIdentity"], [], ["AssumeRole"]]


def test_a_record_that_is_too_large_passes_unseen_and_is_counted(bench: Bench) -> None:
    large = {**call(ADA, "e-1"), "padding": "x" * (4 << 20)}
    frame = forward(large, call(BOB, "e-2"))

    ((_, [[_, first], [_, second]], _),) = bench.take(frame)

    assert first == large
    assert alerts(second) == [BOB]
    assert bench.counts.records_unseen == 1


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
