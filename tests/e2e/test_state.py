"""A state that is full: everything is delivered, what is not remembered is not acked, and nothing is lost."""

import contextlib
import json
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import lmdb
import pytest

from firstseen.store.lmdb import LmdbReader
from support.agent import FIRSTSEEN, AgentProcess
from support.peers import Sink, Source
from support.rulebook import call
from support.weather import configure, frame

pytestmark = pytest.mark.e2e

PER_CHUNK = 400
CHUNKS = 16


def chunk(number: int) -> bytes:
    calls = [
        call(f"arn:aws:iam::111122223333:user/{number:04}-{each:04}-{'x' * 60}", f"e-{number}-{each}")
        for each in range(PER_CHUNK)
    ]
    return frame(f"{number}", *calls)


def test_a_full_state_keeps_chunks_waiting_and_acks_nothing_that_it_does_not_remember(tmp_path: Path) -> None:
    with Sink() as sink:
        config = configure(tmp_path, sink.address, extra='input: drain_timeout = "1s"')
        large = config.read_text()
        config.write_text(large.replace("64MiB", "1MiB"))
        with AgentProcess(config) as agent:
            with Source(agent.port) as client:
                client.send(b"".join(map(chunk, range(CHUNKS))))
                told = agent.wait_for("state_not_written")
                assert "is full: its map_size of 1048576 bytes is used up; set a larger map_size" in told["reason"]
                with Source(agent.port) as other:  # what changes no state goes on
                    other.send(frame("plain", {"n": 1}))
                    assert other.ack() == "plain"
                totals = agent.stop()
                acked = list(iter_acks(client))
            assert [each["event"] for each in agent.events].count("state_not_written") == 1
            assert [each["event"] for each in agent.events][-2:] == ["stopped", "end"]
            assert totals["chunks_rejected"] == 0
        assert acked == [str(number) for number in range(len(acked))]
        assert 0 < len(acked) < CHUNKS
        assert not totals["drained"]
        with contextlib.closing(LmdbReader.open(next(tmp_path.glob("*.state")))) as reader:
            remembered = reader.stats().entries
        assert remembered >= len(acked) * PER_CHUNK, "what was acked was remembered"

        config.write_text(large)
        with AgentProcess(config) as agent, Source(agent.port) as client:
            client.send(b"".join(map(chunk, range(len(acked), CHUNKS))) + chunk(0))
            assert [client.ack() for _ in range(len(acked), CHUNKS)] == [
                str(each) for each in range(len(acked), CHUNKS)
            ]
            assert client.ack() == "0"
            totals = agent.stop()

    by_event: dict[str, list[str]] = {}
    for entry in sink.entries:
        for label in entry.record.get("alerts", ()):
            by_event.setdefault(entry.record["eventID"], []).append(label["id"])
    assert len(by_event) == CHUNKS * PER_CHUNK, "every first sighting was delivered with its alert"
    assert all(len(set(ids)) == 1 for ids in by_event.values()), "and its repeats have its id"
    assert all(len(by_event[f"e-0-{each}"]) == 1 for each in range(PER_CHUNK)), "what was acked was remembered"
    # Where the end came between a commit and its ack, that chunk is known when it comes again; so is the first one.
    assert totals["suppressed"] == remembered - (len(acked) - 1) * PER_CHUNK


def fill(agent: AgentProcess, client: Source) -> None:
    """Send more first sightings than a state of 1 MiB has room for, in no order."""
    client.send(b"".join(map(chunk, range(CHUNKS))))
    agent.wait_for("state_not_written")


@pytest.mark.parametrize("how", ["a larger map", "a compaction"])
def test_a_full_state_goes_on_without_a_restart_once_there_is_room(tmp_path: Path, how: str) -> None:
    """A compaction may be enough for all that waits, or not, by how it was cut into transactions; a larger map is."""
    with Sink() as sink:
        config = configure(tmp_path, sink.address)
        large = config.read_text()
        config.write_text(large.replace("64MiB", "1MiB"))
        with AgentProcess(config) as agent, Source(agent.port) as client:
            fill(agent, client)
            if how == "a compaction":
                told = state("compact", "-c", config, "--output", "json")
                sizes = json.loads(told.stdout)
                # Written anew it may take a page more, where a commit that was too large left little in it.
                assert 0 < sizes["after"] <= sizes["before"] + 4096, told.stderr
                assert agent.wait_for("state_compacted")["after"] == sizes["after"]
            config.write_text(large)
            agent.signal(signal.SIGHUP)
            assert agent.wait_for("state_resized")["map_size"] == "64MiB"
            agent.wait_for("state_written_again")
            assert [client.ack() for _ in range(CHUNKS)] == [str(number) for number in range(CHUNKS)]
            shown = json.loads(state("stats", "-c", config, "--output", "json").stdout)
            totals = agent.stop()
        counts = Counter(each["event"] for each in agent.events)
        assert counts["state_not_written"] == counts["state_written_again"] <= 2
    assert (shown["entries"], shown["map_size"]) == (CHUNKS * PER_CHUNK, 64 << 20)
    assert (totals["alerts"], totals["records_rejected"], totals["chunks_in"]) == (CHUNKS * PER_CHUNK, 0, CHUNKS)


@pytest.mark.slow
def test_compacting_while_records_flow_costs_none(tmp_path: Path) -> None:
    with Sink() as sink:
        config = configure(tmp_path, sink.address)
        with AgentProcess(config) as agent, Source(agent.port) as client:
            for number in range(CHUNKS):
                client.send(chunk(number))
                if number % 4 == 0:
                    assert state("compact", "-c", config).returncode == 0
            assert [client.ack() for _ in range(CHUNKS)] == [str(number) for number in range(CHUNKS)]
            totals = agent.stop()
        with contextlib.closing(LmdbReader.open(next(tmp_path.glob("*.state")))) as reader:
            assert reader.stats().entries == CHUNKS * PER_CHUNK
    assert (totals["alerts"], totals["records_rejected"]) == (CHUNKS * PER_CHUNK, 0)


@pytest.mark.parametrize("taken", [".", "lmdb"])
def test_nothing_is_acked_where_the_state_was_taken_away(tmp_path: Path, taken: str) -> None:
    """It is as lost as one that was never written: after a restart, nobody would know who was seen."""
    with Sink() as sink:
        config = configure(tmp_path, sink.address, extra='input: drain_timeout = "1s"')
        with AgentProcess(config) as agent, Source(agent.port) as client:
            client.send(frame("1", call("arn:aws:iam::111122223333:user/ada", "e-1")))
            assert client.ack() == "1"
            (next(tmp_path.glob("*.state")) / taken).resolve().rename(tmp_path / "away")
            client.send(frame("2", call("arn:aws:iam::111122223333:user/bob", "e-2")))
            assert "was taken away" in agent.wait_for("state_not_written")["reason"]
            assert not agent.stop()["drained"]
            assert list(iter_acks(client)) == []
        with AgentProcess(config) as agent, Source(agent.port) as client:
            client.send(frame("2", call("arn:aws:iam::111122223333:user/bob", "e-2")))
            assert client.ack() == "2"
    ids = [label["id"] for entry in sink.entries for label in entry.record["alerts"] if "bob" in str(entry.record)]
    assert len(ids) == 2
    assert len(set(ids)) == 1, "the alert that comes again is the same"


def test_where_a_write_comes_upon_damage_what_matches_is_refused_and_all_else_goes_on(tmp_path: Path) -> None:
    with Sink() as sink:
        config = configure(tmp_path, sink.address)
        with AgentProcess(config) as agent, Source(agent.port) as client:
            client.send(frame("1", call("arn:aws:iam::111122223333:user/ada", "e-1")))
            assert client.ack() == "1"
            database = next(tmp_path.glob("*.state")) / "lmdb"
            damage_terms(database)
            client.send(frame("2", call("arn:aws:iam::111122223333:user/ada", "e-2")))  # known without reading
            reason = agent.wait_for("state_not_written")["reason"]
            assert f"{database}/data.mdb is damaged" in reason
            assert f"move {database} away" in reason
            assert "chunks in which a rule matches are refused, and their senders keep them; all others go on" in reason
            assert agent.wait_for("chunk_rejected")["reason"] == reason
            assert list(iter_acks(client)) == []
            for number, (record, acks) in enumerate(
                [({"n": 1}, ["3"]), (call("arn:aws:iam::111122223333:user/bob", "e-3"), [])], 3
            ):
                with Source(agent.port) as other:
                    other.send(frame(str(number), record))
                    assert [other.ack()] == acks if acks else list(iter_acks(other)) == []
            agent.stop()
    assert "bob" not in str(sink.entries), "what cannot be remembered is not delivered again and again"


def damage_terms(database: Path) -> None:
    """Make the first page of the terms of a database that is in use one of no kind."""
    with lmdb.open(str(database), max_dbs=3, readonly=True, lock=False) as env, env.begin() as txn:
        root = int.from_bytes(txn.get(b"terms")[-8:], "little")
    with (database / "data.mdb").open("r+b") as file:
        file.seek(root * 4096 + 10)
        file.write(bytes(2))


def iter_acks(client: Source) -> Iterator[str]:
    """The acks that came until the server closed."""
    with contextlib.suppress(EOFError):
        while True:
            yield client.ack()


def state(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [FIRSTSEEN, "state", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_state_can_be_looked_at_while_the_agent_runs_and_mended_when_it_does_not(tmp_path: Path) -> None:
    arn = "arn:aws:iam::111122223333:user/ada"
    with Sink() as sink:
        config = configure(tmp_path, sink.address)
        with AgentProcess(config) as agent, Source(agent.port) as client:
            client.send(frame("1", call(arn, "e-1")))
            assert client.ack() == "1"
            shown = state("show", arn, "-c", config, "--output", "json")
            assert [each["event"] for each in json.loads(shown.stdout)] == ["e-1"]
            exported = state("export", "-c", config)
            assert exported.stdout.count("\n") == 3
            (tmp_path / "saved").write_text(exported.stdout)
            for refused in (["forget", arn, "--yes"], ["import", tmp_path / "saved"]):
                told = state(*refused, "-c", config)
                assert told.returncode == 1
                assert f"is in use by process {agent.pid};" in told.stderr
                assert "stop that first" in told.stderr
            agent.stop()

        assert state("forget", arn, "-c", config, "--yes").stdout == "1 forgotten\n"
        assert state("compact", "-c", config).returncode == 0
        assert state("show", arn, "-c", config).returncode == 1
        assert state("import", tmp_path / "saved", "-c", config).stdout == "1 term of 1 rule merged\n"
        with AgentProcess(config) as agent, Source(agent.port) as client:
            client.send(frame("2", call(arn, "e-2")))
            assert client.ack() == "2"
            totals = agent.stop()
    assert (totals["alerts"], totals["suppressed"]) == (0, 1)
