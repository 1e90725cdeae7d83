import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgpack
import pytest
import uvloop

from firstseen.forward.outgoing import Frame
from firstseen.net import forwarder as module
from firstseen.net import lane as lane_module
from firstseen.net.forwarder import MOST_STRIKES
from support.deliveries import TIMEOUT_S, forwarding, frame, target
from support.loopback import Conversation, downstream


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(test())


def test_a_frame_is_delivered_when_its_ack_comes() -> None:
    async def test() -> None:
        came, go = asyncio.Event(), asyncio.Event()
        got = []

        async def script(peer: Conversation, _: int) -> None:
            got.append(await peer.frame())
            came.set()
            await go.wait()
            await peer.ack(got[0])
            await peer.until_closed()

        async with downstream(script) as port, forwarding(target(port)) as (deliveries, _):
            deliveries.submit("a", frame())
            await came.wait()
            assert deliveries.done == []
            go.set()
            await deliveries.until("a")
        assert got == [["app", [[1, {"n": "one"}]], {"chunk": "one"}]]

    run(test)


def test_what_was_submitted_before_there_was_a_connection_is_sent_first() -> None:
    async def test() -> None:
        async def script(peer: Conversation, _: int) -> None:
            while True:
                await peer.ack(await peer.frame())

        async with downstream(script) as port, forwarding(target(port)) as (deliveries, _):
            for name in "abc":
                deliveries.submit(name, frame(name))
            await deliveries.until("a", "b", "c")

    run(test)


def test_a_delivery_of_several_frames_is_done_with_the_last_of_them() -> None:
    async def test() -> None:
        async def script(peer: Conversation, _: int) -> None:
            first, second = await peer.frame(), await peer.frame()
            await peer.ack(second)
            await peer.ack(first)
            await peer.until_closed()

        async with downstream(script) as port, forwarding(target(port)) as (deliveries, _):
            deliveries.submit("both", frame("x"), frame("y"))
            await deliveries.until("both")

    run(test)


@pytest.mark.parametrize(
    "misbehave",
    [
        lambda peer: peer.write(msgpack.packb({"ack": "another"})),
        lambda peer: peer.write(msgpack.packb({"nack": 1})),
        lambda peer: peer.write(b"\xc1"),
        lambda peer: peer.write(msgpack.packb(["HELO", {"nonce": b"n"}])),
        lambda peer: asyncio.sleep(0),
    ],
    ids=["another id", "no ack", "garbage", "HELO", "end of stream"],
)
def test_everything_unsettled_is_sent_again_in_order_with_the_same_ids(
    misbehave: Callable[[Conversation], Awaitable[None]],
) -> None:
    async def test() -> None:
        sent: list[list[str]] = []

        async def script(peer: Conversation, number: int) -> None:
            sent.append([])
            for _ in range(2):
                received = await peer.frame()
                sent[number].append(received[-1]["chunk"])
                if number == 1:
                    await peer.ack(received)
            await (misbehave(peer) if number == 0 else peer.until_closed())

        async with downstream(script) as port, forwarding(target(port)) as (deliveries, retried):
            deliveries.submit("a", frame("a"))
            deliveries.submit("b", frame("b"))
            await deliveries.until("a", "b")
        assert sent == [["a", "b"], ["a", "b"]]
        assert retried[:1] == [2]

    run(test)


def test_a_frame_of_many_pieces_is_written_whole_by_the_loop_of_the_agent() -> None:
    async def test() -> None:
        counts: list[int] = []

        async def script(peer: Conversation, _: int) -> None:
            while len(counts) < 17:
                frame = await peer.frame()
                counts.append(len(frame[1]))
                await peer.ack(frame)
            await peer.until_closed()

        entry = memoryview(b"\x92\x01\x80")
        pieces = (b"\x93\xa3app\xdd\x00\x01\x44\x38", *[entry] * 83_000, b"\x81\xa5chunk\xa4many")
        frame = Frame("app", pieces, sum(map(len, pieces)), "many")
        async with downstream(script) as port, forwarding(target(port)) as (deliveries, retried):
            deliveries.submit("many", *[frame] * 17)
            await deliveries.until("many")
        assert counts == [83_000] * 17
        assert retried == []

    uvloop.run(test())


def test_no_ack_in_time_gives_the_connection_up() -> None:
    async def test() -> None:
        async def script(peer: Conversation, number: int) -> None:
            received = await peer.frame()
            if number > 0:
                await peer.ack(received)
            await peer.until_closed()

        async with downstream(script) as port, forwarding(target(port, ack_timeout_s=0.05)) as (deliveries, retried):
            deliveries.submit("a", frame())
            await deliveries.until("a")
        assert retried[:1] == [1]

    run(test)


def test_an_ack_in_pieces_is_one_ack() -> None:
    async def test() -> None:
        async def script(peer: Conversation, _: int) -> None:
            received = await peer.frame()
            for byte in msgpack.packb({"ack": received[-1]["chunk"]}):
                await peer.write(bytes((byte,)))
            await peer.until_closed()

        async with downstream(script) as port, forwarding(target(port)) as (deliveries, retried):
            deliveries.submit("a", frame())
            await deliveries.until("a")
            assert retried == []

    run(test)


def test_without_acks_a_frame_is_delivered_once_it_is_written() -> None:
    async def test() -> None:
        read = asyncio.Event()

        async def script(peer: Conversation, _: int) -> None:
            await read.wait()
            await peer.until_closed()

        big = msgpack.packb(["app", b"x" * (1 << 24)])
        async with downstream(script) as port, forwarding(target(port, require_ack=False)) as (deliveries, _):
            deliveries.submit("small", frame(None))
            await deliveries.until("small")
            deliveries.submit("big", Frame("app", (big,), len(big), None))
            deliveries.submit("behind", frame(None))
            for _ in range(100):
                await asyncio.sleep(0)
            assert deliveries.done == ["small"]
            read.set()
            await deliveries.until("small", "big", "behind")

    run(test)


def test_acks_that_nobody_asked_for_are_ignored() -> None:
    async def test() -> None:
        async def script(peer: Conversation, _: int) -> None:
            await peer.ack(await peer.frame())
            await peer.ack(await peer.frame())
            await peer.until_closed()

        async with downstream(script) as port, forwarding(target(port, require_ack=False)) as (deliveries, retried):
            sent = frame("theirs")
            deliveries.submit("a", Frame(sent.tag, sent.pieces, sent.size, None))
            deliveries.submit("b", Frame(sent.tag, sent.pieces, sent.size, None))
            await deliveries.until("a", "b")
            assert retried == []

    run(test)


class Server:
    """Acks every frame, unless `behave` says otherwise; notes the chunk ids of each connection."""

    def __init__(self) -> None:
        self.seen: list[list[str]] = []
        self._news = asyncio.Event()
        self.behave: Callable[[Conversation, list[Any]], Awaitable[bool]] | None = None

    async def __call__(self, peer: Conversation, number: int) -> None:
        self.seen.append([])
        while True:
            self._news.set()
            received = await peer.frame()
            self.seen[number].append(received[-1]["chunk"])
            if self.behave is not None and not await self.behave(peer, received):
                return
            if self.behave is None:
                await peer.ack(received)

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            while not true():
                self._news.clear()
                await self._news.wait()


async def close(peer: Conversation, received: list[Any]) -> bool:
    return False


def test_sources_go_to_servers_in_turn_and_stay_while_something_is_on_its_way() -> None:
    async def test() -> None:
        one, two = Server(), Server()
        async with (
            downstream(one) as first,
            downstream(two) as second,
            forwarding(target(first), target(second)) as (deliveries, _),
        ):
            await one.until(lambda: bool(one.seen))
            await two.until(lambda: bool(two.seen))
            deliveries.submit("a", frame("a"), source="a")
            deliveries.submit("b", frame("b"), source="b")
            deliveries.submit("a2", frame("a2"), source="a")
            await deliveries.until_true(lambda: len(deliveries.done) == 3)
            for name in ("c", "d"):
                deliveries.submit(name, frame(name), source="a")
                await deliveries.until_true(lambda name=name: name in deliveries.done)
        seen = [one.seen[0], two.seen[0]]
        assert sorted(map(len, seen)) == [2, 3]
        assert next(each for each in seen if "a" in each)[:2] == ["a", "a2"]
        assert {"c", "d"} & set(seen[0]), "both in turn"
        assert {"c", "d"} & set(seen[1])

    run(test)


def test_what_one_server_leaves_another_one_takes_under_the_same_id() -> None:
    async def test() -> None:
        good, bad = Server(), Server()
        bad.behave = close
        async with (
            downstream(good) as first,
            downstream(bad) as second,
            forwarding(target(first), target(second)) as (deliveries, _),
        ):
            for number in range(20):
                deliveries.submit(str(number), frame(str(number)), source=str(number))
            await deliveries.until_true(lambda: len(deliveries.done) == 20)
        assert sorted(good.seen[0]) == sorted(map(str, range(20)))

    run(test)


def test_a_server_that_had_trouble_gets_one_frame_until_it_takes_that() -> None:
    async def test() -> None:
        server = Server()
        server.behave = close
        async with downstream(server) as port, forwarding(target(port)) as (deliveries, _):
            for name in "abc":
                deliveries.submit(name, frame(name))
            await server.until(lambda: len(server.seen) > 3)
            server.behave = None
            await deliveries.until_true(lambda: len(deliveries.done) == 3)
        assert all(len(each) == 1 for each in server.seen[1:-1])
        assert sorted(server.seen[-1]) == ["a", "b", "c"]

    run(test)


def test_standby_servers_are_used_while_every_other_one_rests() -> None:
    async def test() -> None:
        main, other = Server(), Server()
        async with downstream(other) as standby:
            async with downstream(main) as port:
                pass
            async with forwarding(target(port), standby=[target(standby)]) as (deliveries, _):
                deliveries.submit("a", frame("a"))
                await deliveries.until("a")
                assert other.seen[0] == ["a"]
                async with downstream(main, port):
                    names = [f"b{number}" for number in range(200)]
                    for name in names:
                        deliveries.submit(name, frame(name))
                        await deliveries.until_true(lambda name=name: name in deliveries.done)
                        await asyncio.sleep(0.001)
                        if len(main.seen) and len(main.seen[0]) > 1:
                            break
                    assert len(main.seen[0]) > 1
                    before = sum(map(len, other.seen))
                    deliveries.submit("c", frame("c"))
                    await deliveries.until_true(lambda: "c" in deliveries.done)
                    assert sum(map(len, other.seen)) == before
                    assert "c" in main.seen[0]

    run(test)


def test_a_frame_that_no_server_takes_is_refused_and_holds_nobody_up() -> None:
    async def test() -> None:
        server = Server()

        async def picky(peer: Conversation, received: list[Any]) -> bool:
            if received[-1]["chunk"] == "poison":
                return False
            await peer.ack(received)
            return True

        server.behave = picky
        async with downstream(server) as port, forwarding(target(port)) as (deliveries, _):
            deliveries.submit("bad", frame("poison"), frame("never sent"), source="x")
            number = 0
            while "bad" not in deliveries.refused:
                number += 1
                name = str(number)
                deliveries.submit(name, frame(name), source=name)
                await deliveries.until_true(lambda name=name: name in deliveries.done or bool(deliveries.refused))
                await asyncio.sleep(0)
            await deliveries.until_true(lambda: len(deliveries.done) == number)
            assert deliveries.refused == {"bad": "no server takes it: closed by the server"}
            assert sum(each.count("poison") for each in server.seen) >= MOST_STRIKES
            deliveries.submit("behind", frame("behind"), source="x")
            await deliveries.until_true(lambda: "behind" in deliveries.done)

    run(test)


def test_a_frame_that_is_alone_is_never_refused() -> None:
    async def test() -> None:
        server = Server()
        server.behave = close
        async with downstream(server) as port, forwarding(target(port)) as (deliveries, _):
            deliveries.submit("a", frame("a"))
            await server.until(lambda: len(server.seen) == 3 * MOST_STRIKES)
            server.behave = None
            await deliveries.until("a")
            assert deliveries.refused == {}

    run(test)


def test_connections_are_renewed_without_losing_anything() -> None:
    async def test() -> None:
        server = Server()
        async with downstream(server) as port, forwarding(target(port, max_age_s=0.02)) as (deliveries, retried):
            number = 0
            async with asyncio.timeout(TIMEOUT_S):
                while len(server.seen) < 4:
                    deliveries.submit(str(number), frame(str(number)), source="always the same")
                    number += 1
                    await asyncio.sleep(0.001)
            await deliveries.until(*map(str, range(number)))
            assert [each for connection in server.seen for each in connection] == list(map(str, range(number)))
            assert retried == []

    run(test)


def test_how_servers_do() -> None:
    async def test() -> None:
        go = asyncio.Event()

        async def script(peer: Conversation, connection: int) -> None:
            frame = await peer.frame()
            if connection:
                await go.wait()
                await peer.ack(frame)
                await peer.until_closed()

        async with downstream(script) as port, forwarding(target(port)) as (deliveries, _):
            forwarder = deliveries.forwarder
            (server,) = forwarder.servers()
            assert (server.name, server.standby, server.connections) == (f"127.0.0.1:{port}", False, 0)
            assert (forwarder.reached, forwarder.unreachable_s() is None) == (False, False)
            deliveries.submit("a", frame())
            async with asyncio.timeout(TIMEOUT_S):
                while forwarder.servers()[0].failures == 0 or not forwarder.servers()[0].connections:  # noqa: ASYNC110
                    await asyncio.sleep(0.001)
            (server,) = forwarder.servers()
            assert (server.in_flight, server.delivered, server.delivered_s) == (1, 0, None)
            assert server.trouble
            assert server.oldest_s == forwarder.oldest_s
            assert server.oldest_s is not None
            assert forwarder.reached
            go.set()
            await deliveries.until("a")
            (server,) = forwarder.servers()
            assert (server.in_flight, server.delivered, server.trouble, server.oldest_s) == (0, 1, "", None)
            assert server.delivered_s is not None
            assert (forwarder.waiting, forwarder.oldest_s) == (0, None)

    run(test)


def test_since_when_no_server_can_be_reached() -> None:
    async def test() -> None:
        async def script(peer: Conversation, _: int) -> None:
            await peer.ack(await peer.frame())
            await peer.until_closed()

        async with downstream(script) as port, forwarding(target(port)) as (deliveries, _):
            forwarder = deliveries.forwarder
            deliveries.submit("a", frame())
            await deliveries.until("a")
            assert forwarder.unreachable_s() is None
            lane = forwarder._lanes[0]
            lane._connection.abort()
            lane.target = target(1)
            deliveries.submit("b", frame("b"))
            async with asyncio.timeout(TIMEOUT_S):
                while forwarder.unreachable_s() is None:  # noqa: ASYNC110
                    await asyncio.sleep(0.001)
            assert (forwarder.reached, forwarder.waiting) == (True, 1)
            assert forwarder.oldest_s is not None

    run(test)


async def hung_up_on(peer: Conversation, _: int) -> None:
    """What is in front of servers that are down."""


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
def test_connections_that_close_at_once_reach_nobody(busy: bool) -> None:
    async def test() -> None:
        async with downstream(hung_up_on) as port, forwarding(target(port), target(port)) as (deliveries, _):
            forwarder = deliveries.forwarder
            if busy:
                deliveries.submit("a", frame())
            told: list[float | None] = []
            end_s = asyncio.get_running_loop().time() + 1.0
            while asyncio.get_running_loop().time() < end_s:
                told.append(forwarder.unreachable_s())
                await asyncio.sleep(0.001)
            assert forwarder.reached
            late = told[len(told) // 2 :]
            assert None not in late
            assert late == sorted(late, key=float)
            assert 0.9 < late[-1] < 1.1

    run(test)


def test_a_connection_that_opened_again_counts_from_then_on_if_it_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane_module, "STEADY_S", 0.3)

    async def test() -> None:
        async def script(peer: Conversation, number: int) -> None:
            if number:
                await peer.until_closed()

        async with downstream(script) as port, forwarding(target(port)) as (deliveries, _):
            forwarder = deliveries.forwarder
            told = []
            async with asyncio.timeout(TIMEOUT_S):
                while not forwarder.reached or forwarder.unreachable_s() is None:  # noqa: ASYNC110
                    await asyncio.sleep(0.001)
                while (now_s := forwarder.unreachable_s()) is not None:
                    told.append(now_s)
                    await asyncio.sleep(0.01)
            assert len(told) > 10
            assert max(told) < 0.1

    run(test)


def test_it_is_reachable_while_connections_are_renewed() -> None:
    async def test() -> None:
        opened = 0

        async def script(peer: Conversation, number: int) -> None:
            nonlocal opened
            opened = number
            await peer.until_closed()

        async with downstream(script) as port, forwarding(target(port, max_age_s=0.02)) as (deliveries, _):
            forwarder = deliveries.forwarder
            async with asyncio.timeout(TIMEOUT_S):
                while not forwarder.reached:  # noqa: ASYNC110
                    await asyncio.sleep(0.001)
                while opened < 10:
                    assert forwarder.unreachable_s() is None
                    await asyncio.sleep(0.001)

    run(test)


def large(name: str) -> Frame:
    data = msgpack.packb(["app", b"x" * 50_000, {"chunk": name}])
    return Frame("app", (data,), len(data), name)


def test_without_acks_nothing_is_lost_where_connections_are_renewed_and_at_the_end() -> None:
    async def test() -> None:
        got: list[str] = []
        connections = set()

        async def script(peer: Conversation, number: int) -> None:
            connections.add(number)
            while True:
                received = await peer.frame()
                got.append(received[-1]["chunk"])
                await peer.ack(received)
                await asyncio.sleep(0.02)

        async with downstream(script) as port:
            slow = target(port, require_ack=False, max_age_s=0.05)
            async with forwarding(slow, target(port)) as (deliveries, retried):
                names: list[str] = []
                while len(connections) < 6:
                    for _ in range(20):
                        names.append(str(len(names)))
                        deliveries.submit(names[-1], large(names[-1]))
                    await deliveries.until_true(lambda: len(deliveries.done) == len(names))
                await deliveries.forwarder.leave(asyncio.get_running_loop().time() + TIMEOUT_S)
                assert sorted(got) == sorted(names)
                assert retried == []

    uvloop.run(test())


@pytest.mark.parametrize("hurried", ["twice", "meanwhile", "before", "not at all"])
def test_a_server_without_acks_that_does_not_hang_up_is_not_waited_for_any_longer(
    hurried: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who was impatient before has it wait for a moment only: what is acked shall have its chance to be read."""

    async def test() -> None:
        over = asyncio.Event()
        loop = asyncio.get_running_loop()
        async with (
            downstream(lambda *_: over.wait()) as port,
            forwarding(target(port, require_ack=False)) as (deliveries, _),
        ):
            deliveries.submit("a", frame())
            await deliveries.until("a")
            if hurried == "twice":
                loop.call_later(0.01, deliveries.forwarder.give_up)
                loop.call_later(0.05, deliveries.forwarder.give_up)
            else:
                monkeypatch.setattr(module, "FAREWELL_S", 0.05)
            if hurried == "meanwhile":
                loop.call_later(0.01, deliveries.forwarder.give_up)
            if hurried == "before":
                deliveries.forwarder.give_up()
            began_s = loop.time()
            async with asyncio.timeout(2):
                await deliveries.forwarder.leave(loop.time() + (0 if hurried == "not at all" else TIMEOUT_S))
            assert loop.time() - began_s >= 0.04
            deliveries.submit("b", frame())
            assert deliveries.forwarder.waiting == 1
            over.set()

    uvloop.run(test())


def test_a_server_that_takes_nothing_is_no_evidence_against_a_frame_that_another_one_takes() -> None:
    async def test() -> None:
        good, bad = Server(), Server()

        async def hang_up(peer: Conversation, received: list[Any]) -> bool:
            await asyncio.sleep(0.005)
            return False

        bad.behave = hang_up
        async with downstream(good) as first, downstream(bad) as second:
            lanes = [target(port) for _ in range(2 * MOST_STRIKES) for port in (first, second)]
            async with forwarding(*lanes) as (deliveries, _):
                names = [str(number) for number in range(400)]
                for name in names:
                    deliveries.submit(name, frame(name))
                    await deliveries.until_true(lambda name=name: name in deliveries.done)
        for name in names:
            assert sum(seen.count(name) for seen in bad.seen) <= 1, "one that can take it is asked before"

    run(test)


def test_a_frame_that_several_servers_do_not_take_is_refused_when_each_was_asked() -> None:
    async def test() -> None:
        servers = Server(), Server()

        async def picky(peer: Conversation, received: list[Any]) -> bool:
            if received[-1]["chunk"] == "poison":
                return False
            await peer.ack(received)
            return True

        for server in servers:
            server.behave = picky
        async with downstream(servers[0]) as first, downstream(servers[1]) as second:
            lanes = [target(port) for _ in range(2) for port in (first, second)]
            async with forwarding(*lanes) as (deliveries, _):
                deliveries.submit("bad", frame("poison"))
                number = 0
                while "bad" not in deliveries.refused:
                    name = str(number := number + 1)
                    deliveries.submit(name, frame(name))
                    await deliveries.until_true(lambda name=name: name in deliveries.done)
                    await asyncio.sleep(0)
        assert all(any("poison" in seen for seen in server.seen) for server in servers)
        assert sum(seen.count("poison") for server in servers for seen in server.seen) < 8 * MOST_STRIKES

    run(test)
