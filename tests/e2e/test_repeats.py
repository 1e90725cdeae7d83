"""Chunks that come again: the same one is delivered once, and whatever differs in anything is another."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.agent import AgentProcess
from support.peer_frames import packed
from support.peers import Sink, Source, acked, held
from support.rulebook import call
from support.weather import Wire, configure, frame

pytestmark = pytest.mark.e2e

ADA = "arn:aws:iam::111122223333:user/ada"


def let_go(sink: Sink) -> None:
    sink.use(acked)
    sink.release()


@pytest.fixture(scope="module")
def sink() -> Iterator[Sink]:
    with Sink() as made:
        yield made


@pytest.fixture(scope="module")
def agent(sink: Sink, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentProcess]:
    with AgentProcess(configure(tmp_path_factory.mktemp("agent"), sink.address)) as made:
        yield made


def times(sink: Sink, chunk: str) -> int:
    return [each.chunk for each in sink.frames].count(chunk)


def test_one_that_is_on_its_way_waits_for_the_first_and_one_that_was_delivered_is_acked_again(
    sink: Sink, agent: AgentProcess
) -> None:
    one = frame("one", call(ADA, "e-1"))
    sink.use(held)
    with Source(agent.port) as first, Source(agent.port) as second, Source(agent.port) as other:
        first.send(one)
        sink.wait_until(lambda: times(sink, "one") == 1)
        second.send(one + frame("behind", {"n": 1}))
        sink.wait_until(lambda: times(sink, "behind") == 1)
        other.send(frame("other", {"n": 1}))
        sink.wait_until(lambda: times(sink, "other") == 1)
        assert second.is_silent()
        let_go(sink)
        assert (first.ack(), second.ack(), second.ack(), other.ack()) == ("one", "one", "behind", "other")
        second.send(one + one)
        assert (second.ack(), second.ack()) == ("one", "one")
    assert times(sink, "one") == 1


def test_the_sender_may_be_gone_before_the_repeat_comes(sink: Sink, agent: AgentProcess) -> None:
    one = frame("gone", {"n": 1})
    sink.use(held)
    with Source(agent.port) as first:
        first.send(one)
        sink.wait_until(lambda: times(sink, "gone") == 1)
    with Source(agent.port) as second:
        second.send(one)
        let_go(sink)
        assert second.ack() == "gone"
    assert times(sink, "gone") == 1


def test_whatever_differs_is_another_chunk(sink: Sink, agent: AgentProcess) -> None:
    with Source(agent.port) as client, Wire.at(agent.port, "127.0.0.2") as neighbour:
        for sender, sent in (
            (client, frame("c", {"n": 1})),
            (client, frame("c", {"n": 2})),
            (client, frame("c", {"n": 1}, {"n": 1})),
            (client, frame("c", {"n": 1}, tag="aws.other")),
            (neighbour, frame("c", {"n": 1})),
        ):
            sender.send(sent)
            assert sender.ack() == "c"
        before = sink.records
        for _ in range(2):
            client.send(frame(None, {"n": 3}))
        sink.wait_for(before + 2)
    assert times(sink, "c") == 5


def test_it_can_be_turned_off(tmp_path: Path) -> None:
    one = frame("c", {"n": 1})
    with Sink(held) as sink:
        config = configure(tmp_path, sink.address, extra='input: repeat_window = "0s"')
        with AgentProcess(config) as agent, Source(agent.port) as first, Source(agent.port) as second:
            first.send(one)
            second.send(one)
            sink.wait_until(lambda: sink.chunks == 2)
            let_go(sink)
            assert (first.ack(), second.ack()) == ("c", "c")
            first.send(one)
            assert first.ack() == "c"
            assert agent.stop()["chunks_repeated"] == 0
        assert sink.chunks == 3


def test_one_that_is_delivered_longer_ago_is_delivered_again(tmp_path: Path) -> None:
    one = frame("c", {"n": 1})
    with Sink() as sink:
        config = configure(tmp_path, sink.address, extra='input: repeat_window = "1ms"')
        with AgentProcess(config) as agent, Source(agent.port) as client:
            while sink.chunks < 2:
                client.send(one)
                assert client.ack() == "c"


def test_repeats_wait_while_the_quarantine_takes_the_first_in(tmp_path: Path) -> None:
    poison = packed("aws", [b"\x92\x00"], chunk="p")
    folder = tmp_path / "quarantine"
    with Sink() as sink:
        config = configure(tmp_path, sink.address, extra=f'input: quarantine = "{folder}"')
        with AgentProcess(config) as agent, Source(agent.port) as first, Source(agent.port) as second:
            first.send(poison * 20)
            second.send(poison * 20)
            assert [first.ack() for _ in range(20)] + [second.ack() for _ in range(20)] == ["p"] * 40
            totals = agent.stop()

    assert (totals["chunks_quarantined"], totals["chunks_repeated"]) == (1, 39)
    assert len(list(folder.glob("*.msgpack"))) == 1
    assert sink.frames == []
