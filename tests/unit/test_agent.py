import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgpack
import pytest
import uvloop

from firstseen.agent import Agent
from firstseen.engine import Engine
from firstseen.errors import StoreError
from firstseen.forward.buffers import Pool
from firstseen.forward.repeats import Repeats
from firstseen.forward.shapes import Shaper
from firstseen.metrics import Counts, Durations
from firstseen.net.clients import Clients
from firstseen.net.delivery import Delivery
from firstseen.net.listener import Listener
from firstseen.pipeline import Pipeline
from firstseen.quarantine import Quarantine
from firstseen.store.base import Claim
from firstseen.store.lmdb import LmdbStore
from support.desk import TIMEOUT_S, ack, connect, read, read_to_end, turns
from support.logged import events
from support.rulebook import call, rule_set, rule_text

ADA, BOB = "arn:aws:iam::111122223333:user/ada", "arn:aws:iam::111122223333:user/bob"
NOW_MS = 1_790_000_000_000


def frame(chunk: str | None, *records: object, tag: str = "aws") -> bytes:
    options = {} if chunk is None else {"chunk": chunk}
    packed: bytes = msgpack.packb([tag, [[1, record] for record in records], options])
    return packed


class Outbox:
    """In place of the forwarder: the test delivers."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self._news = asyncio.Event()

    def submit(self, delivery: Delivery) -> None:
        self.deliveries.append(delivery)
        self._news.set()

    async def next(self) -> Delivery:
        """The oldest that was not taken out yet."""
        async with asyncio.timeout(TIMEOUT_S):
            while not self.deliveries:
                self._news.clear()
                await self._news.wait()
        return self.deliveries.pop(0)

    async def deliver(self) -> None:
        deliver(await self.next())


def deliver(delivery: Delivery) -> None:
    for _ in delivery.frames:
        delivery.one_delivered()


class Office:
    """An agent with everything but servers; what is held in ``commits`` is not on disk yet."""

    def __init__(self, store: LmdbStore, quarantine: Quarantine | None, window_ms: int) -> None:
        self.counts = Counts()
        self.durations = Durations()
        self.clients = Clients(asyncio.get_running_loop().time)
        self.outbox = Outbox()
        self.store = store
        self.quarantine = quarantine
        engine = Engine(rule_set(rule_text()), store, self.counts, lambda: NOW_MS)
        pipeline = Pipeline(
            engine, Shaper(1 << 20, "", True, bytes), self.counts, key="alerts", max_decompressed=1 << 20, mode_of=_auto
        )
        self.agent = agent = Agent(
            pipeline=pipeline,
            engine=engine,
            store=store,
            forwarder=self.outbox,  # type: ignore[arg-type]
            repeats=Repeats(window_ms),
            quarantine=quarantine,
            counts=self.counts,
            durations=self.durations,
            now_ms=lambda: NOW_MS,
            lags=self.clients.lags,
        )
        self.listener = Listener(
            pool=Pool(),
            max_frame=1 << 20,
            max_in_flight=1 << 20,
            clients=self.clients,
            handle=agent.handle,
            refuse=lambda unreadable: None,
            paused=lambda: None,
        )
        self.port = 0
        self.faults: list[BaseException] = []

    async def chunks_are_in(self, count: int) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            while self.counts.chunks_in < count:  # noqa: ASYNC110  # whatever the loop does, it does in its turns
                await asyncio.sleep(0)

    def hold_commits(self, monkeypatch: pytest.MonkeyPatch) -> list[Future[None]]:
        held: list[Future[None]] = []
        confirm = self.store.confirm

        def hold(claims: Sequence[Claim]) -> Future[None]:
            confirm(claims).result(TIMEOUT_S)
            held.append(Future())
            return held[-1]

        monkeypatch.setattr(self.store, "confirm", hold)
        return held

    def sums(self) -> tuple[int, int, int, int, int]:
        """Chunks in, out, rejected, repeated and quarantined; and what must always hold does."""
        counts = self.counts
        assert counts.records_in == counts.records_out + counts.records_rejected
        assert counts.matches == counts.alerts + counts.suppressed + counts.learning
        chunks = (counts.chunks_out, counts.chunks_rejected, counts.chunks_repeated, counts.chunks_quarantined)
        assert counts.chunks_in == sum(chunks)
        assert (counts.chunks_on_way, counts.records_on_way) == (0, 0)
        assert self.durations.chunk.count == counts.chunks_in - counts.chunks_repeated
        assert self.durations.delivery.count <= self.durations.processing.count <= self.durations.chunk.count
        return (counts.chunks_in, *chunks)


def _auto(tag: str) -> Any:
    return "auto"


@asynccontextmanager
async def office(path: Path, quarantine: int | None = None, window_ms: int = 60_000) -> AsyncIterator[Office]:
    """An agent at work; ``quarantine`` is how many bytes it may keep."""
    store = LmdbStore.open(path / "state", 1 << 24, durable=False)
    made = Office(store, None if quarantine is None else Quarantine.open(path / "kept", quarantine), window_ms)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: made.faults.append(context["exception"]))
    address = await made.listener.listen("127.0.0.1", 0)
    made.port = int(address.rpartition(":")[2])
    try:
        yield made
    finally:
        await made.listener.drain(0)
        store.close()


def run(test: Callable[[], Awaitable[None]]) -> None:
    uvloop.run(test())


def test_deliver_commit_ack_in_this_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with office(tmp_path) as here:
            commits = here.hold_commits(monkeypatch)
            reader, writer = await connect(here.port, frame("c", call(ADA, "e-1"), {"log": "x"}))
            delivery = await here.outbox.next()
            await turns()
            assert (commits, list(here.store.entries())) == ([], [])
            deliver(delivery)
            await turns()
            assert (len(commits), reader._buffer) == (1, b"")  # type: ignore[attr-defined]
            commits[0].set_result(None)
            assert await read(reader, len(ack("c"))) == ack("c")
            assert [entry.terms for entry in here.store.entries()] == [(ADA,)]
            assert here.sums() == (1, 1, 0, 0, 0)
            assert (here.counts.records_in, here.counts.alerts) == (2, 1)
            writer.close()

    run(test)


def test_a_chunk_that_changes_nothing_waits_for_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with office(tmp_path) as here:
            commits = here.hold_commits(monkeypatch)
            reader, writer = await connect(here.port, frame("c", {"log": "x"}) + frame("empty"))
            await here.outbox.deliver()
            expected = ack("c") + ack("empty")
            assert await read(reader, len(expected)) == expected
            assert (commits, here.outbox.deliveries) == ([], [])
            assert here.sums() == (2, 2, 0, 0, 0)
            writer.close()

    run(test)


def test_what_cannot_be_committed_is_not_acked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with office(tmp_path, quarantine=1 << 20) as here:
            commits = here.hold_commits(monkeypatch)
            reader, writer = await connect(here.port, frame("c", call(ADA, "e-1")))
            await here.outbox.deliver()
            commits[0].set_exception(StoreError("no room"))
            assert await read_to_end(reader) == b""
            assert here.sums() == (1, 0, 1, 0, 0)
            writer.close()

    run(test)


def test_what_is_let_go_of_at_the_end_is_neither_refused_nor_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is wrong with it: its sender has it, and that not all was settled is told once."""

    async def test() -> None:
        async with office(tmp_path) as here:
            commits = here.hold_commits(monkeypatch)
            reader, writer = await connect(here.port, frame("c", call(ADA, "e-1")))
            await here.outbox.deliver()
            assert not await here.listener.drain(0)
            here.agent.let_go()
            commits[0].set_exception(StoreError("no room"))
            await turns()
            assert here.listener.in_flight == 0
            assert (here.counts.chunks_in, here.counts.chunks_rejected, here.counts.records_rejected) == (1, 0, 0)
            with contextlib.suppress(ConnectionError):
                assert await read_to_end(reader) == b""
            writer.close()

    run(test)
    assert events(caplog) == []


def test_a_sighting_whose_alert_was_not_taken_is_refused_and_alerts_when_it_comes_again(tmp_path: Path) -> None:
    async def test() -> None:
        async with office(tmp_path) as here:
            first, first_writer = await connect(here.port, frame("first", call(ADA, "e-1")))
            alerting = await here.outbox.next()
            later, later_writer = await connect(here.port, frame("later", call(ADA, "e-2")))
            relying = await here.outbox.next()
            deliver(relying)
            alerting.refuse("no server takes it")
            assert [await read_to_end(reader) for reader in (first, later)] == [b"", b""]
            assert here.sums() == (2, 0, 2, 0, 0)
            again, again_writer = await connect(here.port, frame("later", call(ADA, "e-2")))
            await here.outbox.deliver()
            assert await read(again, len(ack("later"))) == ack("later")
            assert (here.sums(), here.counts.alerts) == ((3, 1, 2, 0, 0), 2)
            for writer in (first_writer, later_writer, again_writer):
                writer.close()

    run(test)


def test_where_the_state_cannot_be_read_nothing_is_delivered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> Claim:
        raise StoreError("the disk is gone")

    async def test() -> None:
        async with office(tmp_path, quarantine=1 << 20) as here:
            monkeypatch.setattr(here.store, "claim", fail)
            reader, writer = await connect(here.port, frame("c", call(ADA, "e-1"), {}))
            assert await read_to_end(reader) == b""
            assert (here.outbox.deliveries, here.sums()) == ([], (1, 0, 1, 0, 0))
            assert not list((tmp_path / "kept").iterdir()), "the chunk is sound"
            writer.close()

    run(test)


POISON = msgpack.packb(["aws", b"\x92\x01", {"chunk": "p"}])


def test_a_chunk_that_cannot_be_read_is_refused_with_peer_tag_and_reason(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        async with office(tmp_path) as here:
            reader, writer = await connect(here.port, POISON)
            assert await read_to_end(reader) == b""
            assert here.sums() == (1, 0, 1, 0, 0)
            (told,) = events(caplog, "chunk_rejected")
            host, port = writer.get_extra_info("sockname")
            assert (told["peer"], told["tag"], told["size"]) == (f"{host}:{port}", "aws", len(POISON))
            assert told["reason"] == "the entries end in the middle of one"
            assert here.counts.decode_errors == 1
            writer.close()

    run(test)


def test_a_chunk_that_cannot_be_read_is_kept_and_acked_where_there_is_a_quarantine(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        async with office(tmp_path, quarantine=1 << 20) as here:
            reader, writer = await connect(here.port, POISON + frame("c", {}))
            await here.outbox.deliver()
            expected = ack("p") + ack("c")
            assert await read(reader, len(expected)) == expected
            assert here.sums() == (2, 1, 0, 0, 1)
            (told,) = events(caplog, "chunk_quarantined")
            assert (told["tag"], told["level"]) == ("aws", "error")
            assert here.counts.decode_errors == 1
            (kept,) = (tmp_path / "kept").glob("*.msgpack")
            assert (told["file"], kept.read_bytes()) == (str(kept), POISON)
            writer.close()

    run(test)


def test_a_chunk_that_no_server_takes_is_kept_whole_and_its_terms_are_not_remembered(tmp_path: Path) -> None:
    async def test() -> None:
        async with office(tmp_path, quarantine=1 << 20) as here:
            sent = frame("c", call(ADA, "e-1"))
            reader, writer = await connect(here.port, sent)
            (await here.outbox.next()).refuse("no server takes it: closed by the server")
            assert await read(reader, len(ack("c"))) == ack("c")
            (kept,) = (tmp_path / "kept").glob("*.msgpack")
            assert kept.read_bytes() == sent
            assert "no server takes it" in kept.with_suffix(".json").read_text()
            assert (here.sums(), list(here.store.entries())) == ((1, 0, 0, 0, 1), [])
            writer.close()

    run(test)


@pytest.mark.parametrize("reason", ["quarantine_full", "quarantine_failed"])
def test_where_the_quarantine_cannot_keep_it_a_chunk_is_refused(
    tmp_path: Path, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        full = reason == "quarantine_full"
        async with office(tmp_path, quarantine=10 if full else 1 << 20) as here:
            if not full:
                (tmp_path / "kept").rmdir()
            reader, writer = await connect(here.port, POISON)
            assert await read_to_end(reader) == b""
            assert here.sums() == (1, 0, 1, 0, 0)
            assert [told["event"] for told in events(caplog)] == [reason, "chunk_rejected"]
            writer.close()

    run(test)


def test_a_chunk_that_comes_again_while_it_is_on_its_way_waits_and_shares_its_fate(tmp_path: Path) -> None:
    async def test() -> None:
        async with office(tmp_path) as here:
            sent = frame("c", call(ADA, "e-1"))
            _, gone_writer = await connect(here.port, sent)
            delivery = await here.outbox.next()
            gone_writer.transport.abort()
            waits, waits_writer = await connect(here.port, sent)
            _, left_writer = await connect(here.port, sent)
            await here.chunks_are_in(3)
            left_writer.transport.abort()
            await turns()
            assert here.outbox.deliveries == []
            deliver(delivery)
            assert await read(waits, len(ack("c"))) == ack("c")
            assert here.sums() == (3, 1, 0, 2, 0)
            waits_writer.close()
            assert await here.listener.drain(TIMEOUT_S)

    run(test)


def test_a_chunk_that_waits_for_one_that_is_refused_is_refused(tmp_path: Path) -> None:
    async def test() -> None:
        async with office(tmp_path) as here:
            first, first_writer = await connect(here.port, frame("c", {}))
            delivery = await here.outbox.next()
            second, second_writer = await connect(here.port, frame("c", {}))
            await here.chunks_are_in(2)
            delivery.refuse("no server takes it")
            assert [await read_to_end(reader) for reader in (first, second)] == [b"", b""]
            assert here.sums() == (2, 0, 1, 1, 0)
            for writer in (first_writer, second_writer):
                writer.close()

    run(test)


def test_what_a_client_sends_on_a_new_connection_does_not_overtake_what_it_sent_before(tmp_path: Path) -> None:
    async def test() -> None:
        async with office(tmp_path) as here:
            first = frame("first", *(call(f"{BOB}-{number}", f"b-{number}") for number in range(400)), call(ADA, "e-1"))
            _, gone_writer = await connect(here.port, first)
            await here.chunks_are_in(1)
            gone_writer.transport.abort()
            assert here.outbox.deliveries == [], "it was done at once, and could not be overtaken"
            reader, writer = await connect(here.port, first + frame("second", call(ADA, "e-2")))
            await here.chunks_are_in(3)
            await here.outbox.deliver()
            assert await read(reader, len(ack("first"))) == ack("first")
            await here.outbox.deliver()
            assert await read(reader, len(ack("second"))) == ack("second")
            assert (here.counts.alerts, here.counts.suppressed) == (401, 1)
            (entry,) = [entry for entry in here.store.entries() if entry.terms == (ADA,)]
            assert entry.memory.event == "e-1"
            writer.close()

    run(test)


def test_nothing_is_read_behind_a_chunk_that_will_come_again(tmp_path: Path) -> None:
    async def test() -> None:
        async with office(tmp_path) as here:
            reader, writer = await connect(here.port, frame("slow", {}) + frame("refused", call(ADA, "e-1")))
            slow, refused = await here.outbox.next(), await here.outbox.next()
            refused.refuse("no server takes it")
            writer.write(frame("behind", call(ADA, "e-2")))
            await turns()
            assert here.outbox.deliveries == []
            deliver(slow)
            assert await read_to_end(reader) == ack("slow")
            assert here.sums() == (2, 1, 1, 0, 0)
            writer.close()

    run(test)


@pytest.mark.parametrize(("window_ms", "delivered"), [(60_000, 1), (0, 2)])
def test_a_chunk_that_was_delivered_is_acked_again_and_not_delivered_again_unless_that_is_off(
    tmp_path: Path, window_ms: int, delivered: int
) -> None:
    async def test() -> None:
        async with office(tmp_path, window_ms=window_ms) as here:
            for number in range(2):
                reader, writer = await connect(here.port, frame("c", call(ADA, "e-1")))
                if number < delivered:
                    await here.outbox.deliver()
                assert await read(reader, len(ack("c"))) == ack("c")
                writer.close()
            assert here.sums() == (2, delivered, 0, 2 - delivered, 0)

    run(test)


def test_without_a_chunk_id_nothing_is_a_repeat(tmp_path: Path) -> None:
    async def test() -> None:
        async with office(tmp_path) as here:
            _, writer = await connect(here.port, frame(None, {}) * 2)
            await here.outbox.deliver()
            await here.outbox.deliver()
            assert here.sums() == (2, 2, 0, 0, 0)
            writer.close()

    run(test)


def test_a_mistake_of_ours_is_never_taken_for_a_fault_of_the_state_or_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> Path:
        raise ZeroDivisionError

    async def test() -> None:
        async with office(tmp_path, quarantine=1 << 20) as here:
            commits = here.hold_commits(monkeypatch)
            monkeypatch.setattr(here.quarantine, "keep", fail)
            reader, writer = await connect(here.port, frame("c", call(ADA, "e-1")))
            await here.outbox.deliver()
            commits[0].set_exception(KeyError("a mistake"))
            writer.write(POISON)
            async with asyncio.timeout(TIMEOUT_S):
                while len(here.faults) < 2:  # noqa: ASYNC110  # as above
                    await asyncio.sleep(0)
            assert [type(fault) for fault in here.faults] == [KeyError, ZeroDivisionError]
            assert reader._buffer == b""  # type: ignore[attr-defined]
            writer.close()

    run(test)


def test_what_is_on_its_way_is_counted_until_it_is_settled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with office(tmp_path) as here:
            commits = here.hold_commits(monkeypatch)
            counts, durations = here.counts, here.durations
            sent = frame("c", call(ADA, "e-1"), {"log": "x"})
            reader, writer = await connect(here.port, sent)
            delivery = await here.outbox.next()
            for settled in (False, True):
                assert (counts.chunks_in, counts.chunks_on_way, counts.bytes_in) == (1, 1, len(sent))
                assert (counts.records_in, counts.records_on_way, counts.records_out) == (2, 2, 0)
                assert (durations.processing.count, durations.delivery.count) == (1, int(settled))
                if not settled:
                    deliver(delivery)
                    await turns()
            assert (durations.commit.count, durations.chunk.count) == (0, 0)
            commits[0].set_result(None)
            assert await read(reader, len(ack("c"))) == ack("c")
            assert (durations.commit.count, durations.chunk.count) == (1, 1)
            assert here.sums() == (1, 1, 0, 0, 0)
            writer.close()

    run(test)


def test_how_old_the_first_record_of_a_chunk_is_is_told(tmp_path: Path) -> None:
    async def test() -> None:
        async with office(tmp_path) as here:
            reader, writer = await connect(here.port, frame("c", {"log": "x"}, {"log": "y"}))
            await here.outbox.deliver()
            assert await read(reader, len(ack("c"))) == ack("c")
            assert here.clients.lag_ms == NOW_MS - 1_000
            (client,) = here.clients
            assert (client.origin, client.lag_ms, client.chunks) == ("127.0.0.1", NOW_MS - 1_000, 1)
            writer.close()

    run(test)


def test_what_no_server_takes_is_counted(tmp_path: Path) -> None:
    async def test() -> None:
        async with office(tmp_path) as here:
            reader, writer = await connect(here.port, frame("c", call(ADA, "e-1")))
            (await here.outbox.next()).refuse("no server takes it")
            assert await read_to_end(reader) == b""
            assert (here.counts.deliveries_refused, here.sums()) == (1, (1, 0, 1, 0, 0))
            writer.close()

    run(test)
