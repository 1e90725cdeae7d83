"""A chunk of 100 MB, as Fluentd sends it, in frames that a default Fluent Bit takes."""

import gzip
from pathlib import Path
from typing import Any

import pytest

from support.agent import AgentProcess
from support.peer_frames import Frame, chunk_id, entry_v1, packed
from support.peers import Reply, Sink, Source, acked, held
from support.rulebook import call
from support.weather import TIME_NS, configure, frame, memory_mb

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

LARGE = 'input: max_frame = "128MiB"\ninput: max_in_flight = "128MiB"\ninput: max_decompressed = "128MiB"'
FLUENT_BIT_TAKES = 6_000_000
SIZE = 100_000_000
EVERY = 10_000
"""One record in so many is a call that alerts."""


def large_entries() -> list[bytes]:
    quiet = entry_v1({"log": "x" * 960}, TIME_NS)
    entries = [quiet] * (SIZE // len(quiet))
    for number in range(0, len(entries), EVERY):
        entries[number] = entry_v1(call(f"arn:aws:iam::111122223333:user/u{number}", f"e-{number}"), TIME_NS + number)
    return entries


@pytest.mark.parametrize("compression", ["plain", "gzip"])
def test_a_large_chunk_leaves_in_frames_that_everybody_takes(tmp_path: Path, compression: str) -> None:
    entries = large_entries()
    if compression == "gzip":
        blob = gzip.compress(b"".join(entries), compresslevel=1, mtime=0)
        sent = packed("aws", [blob], as_str=True, chunk="large", compressed="gzip")
    else:
        sent = packed("aws", entries, as_str=True, chunk="large")
    with Sink(held) as sink, AgentProcess(configure(tmp_path, sink.address, extra=LARGE)) as agent:
        with Source(agent.port) as client:
            client.send(sent)
            sink.wait_for(len(entries))
            assert client.is_silent()
            sink.release()
            assert client.ack() == "large"
            assert client.is_silent()
        print(f"{compression}: {memory_mb(agent.pid, 'VmHWM'):.0f} MB at the most")
        # The memory that it is read into is a power of two, and is moved once as it grows; content is inflated once.
        assert memory_mb(agent.pid, "VmHWM") < 33 + (128 + 64) * 1.05 + 70
        totals = agent.stop()

    assert max(each.size for each in sink.frames) <= FLUENT_BIT_TAKES
    assert len({each.chunk for each in sink.frames}) == len(sink.frames)
    assert totals["alerts"] == -(-len(entries) // EVERY)
    arrived = [entry for each in sink.frames for entry in each.entries]
    assert len(arrived) == len(entries)
    for number, (entry, original) in enumerate(zip(arrived, entries, strict=True)):
        if number % EVERY == 0:
            assert entry.record["eventID"] == f"e-{number}"
            assert len(entry.record["alerts"]) == 1
        else:
            assert entry.raw_record == original[-len(entry.raw_record) :]


def parts(count: int, chunk: str) -> bytes:
    """A chunk that leaves in so many frames."""
    entries = [entry_v1({"part": number, "log": "x" * 900_000}, TIME_NS) for number in range(count)]
    entries[1] = entry_v1(call("arn:aws:iam::111122223333:user/ada", "e-1") | {"log": "x" * 900_000}, TIME_NS)
    return packed("aws", entries, chunk=chunk)


def ids(frames: list[Frame]) -> list[Any]:
    return [each.chunk for each in frames]


def test_a_crash_between_the_parts_costs_repeats_with_the_same_ids(tmp_path: Path) -> None:
    sent = parts(10, chunk_id(b"large"))
    taken = 0

    def half(frame: Frame) -> Reply:
        nonlocal taken
        taken += 1
        return acked(frame) if taken <= 5 else Reply()

    with Sink(half) as sink:
        config = configure(tmp_path, sink.address)
        with AgentProcess(config) as agent, Source(agent.port) as client:
            client.send(sent)
            sink.wait_until(lambda: sink.chunks == 10)
            assert client.is_silent()
            agent.kill()
            assert client.closes()
        sink.use(acked)
        with AgentProcess(config) as agent, Source(agent.port) as client:
            client.send(sent)
            assert client.ack() == chunk_id(b"large")
            agent.stop()

    assert ids(sink.frames[:10]) == ids(sink.frames[10:])
    assert [each.raw for each in sink.frames[:10]] == [each.raw for each in sink.frames[10:]]


def test_a_lost_connection_between_the_parts_costs_only_those_that_were_not_acked(tmp_path: Path) -> None:
    taken = 0

    def half(frame: Frame) -> Reply:
        nonlocal taken
        taken += 1
        return Reply(close=True) if taken == 6 else acked(frame)

    with Sink(half) as sink, AgentProcess(configure(tmp_path, sink.address)) as agent:
        with Source(agent.port) as client:
            client.send(parts(10, "large") + frame("behind", {"n": 1}))
            assert (client.ack(), client.ack()) == ("large", "behind")
        agent.stop()
        (repeated,) = {each.chunk for each in sink.frames if ids(sink.frames).count(each.chunk) > 1}
        assert repeated == sink.frames[5].chunk
        assert list(dict.fromkeys(ids(sink.frames))) == [*dict.fromkeys(ids(sink.frames[:-1])), "behind"]


def test_a_message_that_could_never_be_in_flight_is_a_fault_of_the_configuration(tmp_path: Path) -> None:
    config = configure(tmp_path, "127.0.0.1:9", extra='input: max_frame = "65MiB"')
    with AgentProcess(config) as agent:
        assert agent.wait() == 78
        told = " ".join(each["text"] for each in agent.events if each["event"] == "text")
        assert f"{config}:3: input.max_frame: must not be larger than input.max_in_flight, which is 64MiB" in told
