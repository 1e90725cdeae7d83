"""The installed agent between two ends, over real sockets."""

import signal
import struct
from pathlib import Path
from typing import Any

import msgpack
import pytest
from fluent.sender import EventTime, FluentSender

from support.agent import AgentProcess, write_config
from support.peers import Sink, Source, acked, held
from support.rulebook import call, rule_text

pytestmark = pytest.mark.e2e

ADA, BOB = "arn:aws:iam::111122223333:user/ada", "arn:aws:iam::111122223333:user/bob"


def forward(chunk: str, *records: dict[str, Any], tag: str = "aws") -> bytes:
    return msgpack.packb([tag, [[1_790_000_000, record] for record in records], {"chunk": chunk}])


def records(sink: Sink) -> list[Any]:
    return [entry.record for entry in sink.entries]


def let_go(sink: Sink) -> None:
    """Ack what was held, and everything from now on."""
    sink.use(acked)
    sink.release()


def alerts(records: list[Any]) -> list[list[str]]:
    return [[label["new_terms"]["values"][0] for label in record.get("alerts", [])] for record in records]


@pytest.fixture
def config(tmp_path: Path, sink: Sink) -> Path:
    return write_config(tmp_path / "firstseen.toml", downstream=sink.address, state=tmp_path / "state")


def test_the_main_job_and_a_restart(config: Path, sink: Sink) -> None:
    events = [{"log": "x"}, call(ADA, "e-1"), call(BOB, "e-2"), call(ADA, "e-3"), call(ADA, "e-4", "AssumeRole")]
    for chunk in ("first", "second"):
        with AgentProcess(config) as agent:
            with Source(agent.port) as client:
                client.send(forward(chunk, *events))
                assert client.ack() == chunk
            totals = agent.stop()
        assert totals["records_in"] == totals["records_out"] == 5
        assert totals["matches"] == totals["alerts"] + totals["suppressed"] + totals["learning"] == 3

    assert alerts(records(sink)) == [[], [ADA], [BOB], [], [], [], [], [], [], []]
    assert [{k: v for k, v in record.items() if k != "alerts"} for record in records(sink)] == events * 2


def test_no_ack_goes_up_before_one_came_down(config: Path) -> None:
    with Sink(held) as sink:
        config.write_text(config.read_text().replace("servers = [", f'servers = ["{sink.address}"] #'))
        with AgentProcess(config) as agent, Source(agent.port) as client:
            client.send(forward("c", call(ADA, "e-1")))
            sink.wait_until(lambda: sink.chunks >= 1)
            assert client.is_silent()
            let_go(sink)
            assert client.ack() == "c"


def test_downstream_is_away_at_first_and_breaks_later(tmp_path: Path) -> None:
    with Sink() as placeholder:
        address = placeholder.address
    config = write_config(tmp_path / "firstseen.toml", downstream=address, state=tmp_path / "state")
    with AgentProcess(config) as agent, Source(agent.port) as client:
        client.send(forward("c", call(ADA, "e-1")))
        agent.wait_for("downstream_unreachable")
        assert client.is_silent()
        with Sink(held, port=int(address.rpartition(":")[2])) as sink:
            sink.wait_until(lambda: sink.chunks >= 1)
            sink.drop()
            sink.wait_until(lambda: sink.chunks >= 2)
            first, second = sink.frames
            assert first.raw == second.raw
            let_go(sink)
            assert client.ack() == "c"


def test_odd_bytes_arrive_as_they_were(config: Path, sink: Sink) -> None:
    record = (
        b"\xdf\x00\x00\x00\x07"  # map32
        + b"\xd9\x01f\xca\x3f\xc0\x00\x00"  # str8 key, float32
        + b"\xa1i\xcf"
        + struct.pack(">Q", 5)  # uint64 for a small number
        + b"\xa1e\xc7\x03\x63abc"  # ext8 of an unknown type
        + b"\xa1u\xa3\xff\xfe\xfd"  # text that is no UTF-8
        + b"\xa1d\x01\xa1d\x02"  # the same key twice
        + b"\x91\x01\xc0"  # an array for a key
    )
    entries = [
        b"\x92\xd7\x00" + bytes(8) + record,
        b"\x92\xc7\x08\x00" + bytes(8) + record,
        b"\x92\x92\xcf" + bytes(8) + b"\xde\x00\x00" + record,
        b"\xdc\x00\x02\xcb\x3f\xf0" + bytes(6) + record,
    ]
    content = b"".join(entries)
    option = b"\xdf\x00\x00\x00\x01\xa5chunk\xda\x00\x03odd"
    frames = [
        b"\x93\xd9\x03aws\xdd" + struct.pack(">I", len(entries)) + content + option,
        b"\xdc\x00\x03\xa3aws\xc6" + struct.pack(">I", len(content)) + content + option,
        b"\x93\xa3aws\xdb" + struct.pack(">I", len(content)) + content + option,
        b"\x94\xa3aws\xd7\x00" + bytes(8) + record + option,
    ]
    with AgentProcess(config) as agent, Source(agent.port) as client:
        for frame in frames:
            client.send(frame)
            assert client.ack() == "odd"

    assert [frame.raw for frame in sink.frames] == frames


def test_fluent_logger_is_understood(config: Path, sink: Sink) -> None:
    with AgentProcess(config) as agent:
        sender = FluentSender("aws", host="127.0.0.1", port=agent.port, nanosecond_precision=True)
        for number in range(50):
            assert sender.emit_with_time("trail", EventTime(1_790_000_000.25), call(ADA, f"e-{number}"))
        sender.close()
        sink.wait_for(50)
        assert agent.stop()["records_out"] == 50

    assert {frame.tag for frame in sink.frames} == {"aws.trail"}
    assert alerts(records(sink)) == [[ADA]] + [[]] * 49


def test_a_broken_client_does_not_disturb_the_others(config: Path, sink: Sink) -> None:
    with AgentProcess(config) as agent, Source(agent.port) as good, Source(agent.port) as bad:
        bad.send(forward("before", {"a": 1}) + b"\xc1")
        assert bad.ack() == "before"
        assert bad.closes()
        refused = agent.wait_for("connection_refused")
        assert refused["reason"] == "a frame is an array, not the byte c1"
        good.send(forward("c", {"a": 2}))
        assert good.ack() == "c"
        assert agent.stop()["connections_refused"] == 1


def test_a_chunk_that_cannot_be_read_is_refused_with_its_reason(config: Path, sink: Sink) -> None:
    with AgentProcess(config) as agent, Source(agent.port) as client:
        client.send(msgpack.packb(["aws", b"\x92\x00", {"chunk": "poison"}]))
        assert client.closes()
        rejected = agent.wait_for("chunk_rejected")
        assert (rejected["tag"], rejected["reason"]) == ("aws", "the entries end in the middle of one")
        totals = agent.stop()

    assert totals["records_in"] == totals["records_out"] + totals["records_rejected"]
    assert sink.frames == []


def test_hangup_loads_the_rules_anew_and_keeps_them_where_the_new_ones_are_broken(tmp_path: Path, sink: Sink) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    rule = rules / "rule.toml"
    rule.write_text(rule_text("event.action: AssumeRole"))
    config = write_config(tmp_path / "firstseen.toml", downstream=sink.address, state=tmp_path / "state", rules=rules)
    with AgentProcess(config) as agent, Source(agent.port) as client:
        rule.write_text(rule_text("event.action: ("))
        agent.signal(signal.SIGHUP)
        agent.wait_for("reload_failed")
        client.send(forward("a", call(ADA, "e-1"), call(ADA, "e-2", "AssumeRole")))
        assert client.ack() == "a"
        rule.write_text(rule_text())
        agent.signal(signal.SIGHUP)
        agent.wait_for("reloaded")
        client.send(forward("b", call(ADA, "e-3"), call(ADA, "e-4", "AssumeRole")))
        assert client.ack() == "b"

    assert alerts(records(sink)) == [[], [ADA], [ADA], []]


def test_hangup_loads_the_exceptions_anew(tmp_path: Path, sink: Sink) -> None:
    exceptions = tmp_path / "exceptions.toml"
    exceptions.write_text(f"[[exception]]\nquery = 'aws.cloudtrail.user_identity.arn: \"{ADA}\"'\n")
    config = write_config(tmp_path / "firstseen.toml", downstream=sink.address, state=tmp_path / "state")
    text = config.read_text()
    config.write_text(text.replace("[rules]\n", f'[rules]\nexceptions = ["{exceptions}"]\n'))
    with AgentProcess(config) as agent, Source(agent.port) as client:
        client.send(forward("a", call(ADA, "e-1"), call(BOB, "e-2")))
        assert client.ack() == "a"
        exceptions.write_text("[[exception]]\n")
        agent.signal(signal.SIGHUP)
        agent.wait_for("reload_failed")
        exceptions.write_text('[[exception]]\nquery = "event.action: nothing"\n')
        agent.signal(signal.SIGHUP)
        agent.wait_for("reloaded")
        client.send(forward("b", call(ADA, "e-3")))
        assert client.ack() == "b"

    assert alerts(records(sink)) == [[], [BOB], [ADA]]


def test_stopping_waits_for_what_is_on_its_way(config: Path) -> None:
    with Sink(held) as sink:
        config.write_text(config.read_text().replace("servers = [", f'servers = ["{sink.address}"] #'))
        with AgentProcess(config) as agent, Source(agent.port) as client:
            client.send(forward("c", call(ADA, "e-1")))
            sink.wait_until(lambda: sink.chunks >= 1)
            agent.signal(signal.SIGTERM)
            agent.wait_for("stopping")
            let_go(sink)
            assert client.ack() == "c"
            assert agent.wait() == 0
            assert agent.wait_for("stopped")["drained"] is True


def test_stopping_gives_up_at_its_deadline_and_acks_nothing(tmp_path: Path) -> None:
    with Sink(held) as sink:
        config = write_config(
            tmp_path / "firstseen.toml",
            downstream=sink.address,
            state=tmp_path / "state",
            extra='input: drain_timeout = "100ms"',
        )
        with AgentProcess(config) as agent, Source(agent.port) as client:
            client.send(forward("c", call(ADA, "e-1")))
            sink.wait_until(lambda: sink.chunks >= 1)
            agent.signal(signal.SIGTERM)
            assert client.closes()
            assert agent.wait() == 0
            assert agent.wait_for("stopped")["drained"] is False


def test_two_agents_do_not_share_a_state(config: Path) -> None:
    with AgentProcess(config) as first:
        first.wait_for("ready")
        with AgentProcess(config) as second:
            assert second.wait() == 1
            assert "in use" in second.wait_for("text")["text"]


def test_a_port_that_is_taken_is_told_of(tmp_path: Path, config: Path, sink: Sink) -> None:
    with AgentProcess(config) as first:
        other = write_config(
            tmp_path / "other.toml",
            downstream=sink.address,
            state=tmp_path / "other",
            listen=f"127.0.0.1:{first.port}",
        )
        with AgentProcess(other) as second:
            assert second.wait() == 1
            assert "input.listen" in second.wait_for("text")["text"]
