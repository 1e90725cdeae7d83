"""What a default Fluent Bit loses if it is sent as it came: frames too large for it, and compression it reads halfway.

It acks what it drops, so only what comes out behind it counts.
"""

import gzip
from collections.abc import Sequence
from pathlib import Path

import pytest
import zstandard

from support import fluentbit
from support.agent import AgentProcess, write_config
from support.calls import FIRST, TIME_NS, event, events, without_alerts
from support.fluentbit import FluentBit, forward, free_port
from support.peer_frames import entry_v2, packed
from support.peer_frames import forward as forward_frame
from support.peers import Sink, Source

pytestmark = fluentbit.marks

CHUNK = "one chunk of the client"


def gzipped(entries: Sequence[bytes]) -> bytes:
    """A member for each entry, and one with nothing in it, as Fluentd's buffer makes them."""
    return b"".join(gzip.compress(entry, compresslevel=1, mtime=0) for entry in [*entries[:9], b"", *entries[9:]])


def in_one(entries: Sequence[bytes]) -> bytes:
    return zstandard.ZstdCompressor(level=1).compress(b"".join(entries))


def in_many(entries: Sequence[bytes]) -> bytes:
    return b"".join(zstandard.ZstdCompressor(level=1).compress(entry) for entry in entries)


def frame(kind: str, entries: Sequence[bytes]) -> bytes:
    match kind:
        case "forward":
            return forward_frame("aws", entries, chunk=CHUNK, size=len(entries))
        case "packed":
            return packed("aws", entries, chunk=CHUNK)
        case "gzip" | "gzip in members":
            blob = gzipped(entries) if "members" in kind else gzip.compress(b"".join(entries), compresslevel=1)
            return packed("aws", [blob], chunk=CHUNK, compressed="gzip")
        case _:
            return packed("aws", [(in_many if "frames" in kind else in_one)(entries)], chunk=CHUNK, compressed="zstd")


@pytest.mark.parametrize(
    ("kind", "records", "fill"),
    [
        ("forward", 110, 100_000),
        ("packed", 110, 100_000),
        ("gzip", 110, 100_000),
        ("gzip in members", 60, 20_000),
        ("zstd in frames", 60, 20_000),
        ("zstd", 110, 100_000),
    ],
)
def test_a_chunk_arrives_whole_and_is_acked_once(
    kind: str, records: int, fill: int, tmp_path: Path, sink: Sink
) -> None:
    port = free_port()
    config = write_config(tmp_path / "c.toml", downstream=f"127.0.0.1:{port}", state=tmp_path / "state")
    entries = [entry_v2(event(number, fill), TIME_NS + number) for number in range(records)]

    with (
        FluentBit.between(tmp_path, "downstream", forward(port), forward(sink.port)),
        AgentProcess(config) as agent,
        Source(agent.port) as source,
    ):
        source.send(frame(kind, entries))
        assert source.ack() == CHUNK
        sink.wait_for(records)
        assert source.is_silent()
        totals = agent.stop()

    # Fluent Bit sends its own chunks over several connections at a time.
    arrived = sorted(sink.entries, key=lambda entry: entry.time_ns)
    assert [without_alerts(entry.record) for entry in arrived] == events(records, fill)
    assert [entry.time_ns - TIME_NS for entry in arrived] == [*range(records)]
    assert [entry.record["eventID"] for entry in arrived if "alerts" in entry.record] == FIRST
    assert (totals["records_out"], totals["delivery_retries"], totals["chunks_rejected"]) == (records, 0, 0)
