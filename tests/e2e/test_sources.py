"""Each tag is read as its first pattern says; what is not to be read is not looked at."""

import gzip
from pathlib import Path

import pytest

from support.agent import AgentProcess
from support.peer_frames import compressed, entry_v1, packed
from support.peers import Sink, Source
from support.rulebook import call
from support.weather import TIME_NS, configure, frame

pytestmark = pytest.mark.e2e

ADA = "arn:aws:iam::111122223333:user/ada"


def test_tags_are_read_as_the_first_pattern_that_fits_says(tmp_path: Path) -> None:
    sources = '"aws.quiet*" = "none"\n"aws.*" = "cloudtrail"\n"aws.quieter" = "auto"\n"ecs.*" = "ecs"\n'
    with Sink() as sink:
        config = configure(tmp_path, sink.address, sources=sources)
        with AgentProcess(config) as agent, Source(agent.port) as client:
            for number, tag in enumerate(("aws.quiet", "aws.quieter", "ecs.trail", "aws.trail", "other")):
                client.send(frame(f"{number}", call(ADA, f"e-{number}"), tag=tag))
                assert client.ack() == str(number)
            totals = agent.stop()

    labelled = {entry.tag: "alerts" in entry.record for entry in sink.entries}
    assert labelled == {
        "aws.quiet": False,
        "aws.quieter": False,
        "ecs.trail": False,
        "aws.trail": True,
        "other": False,
    }
    assert (totals["matches"], totals["alerts"], totals["suppressed"]) == (2, 1, 1)


def test_none_costs_no_look_whatever_the_shape(tmp_path: Path) -> None:
    entry = entry_v1(call(ADA, "e-1"), TIME_NS)
    shapes = [
        frame("forward", call(ADA, "e-1")),
        packed("aws", [entry], chunk="packed"),
        packed("aws", [entry], as_str=True, chunk="str"),
        compressed("aws", [entry], chunk="gzip"),
    ]
    with Sink() as sink:
        config = configure(tmp_path, sink.address, sources='"*" = "none"\n')
        with AgentProcess(config) as agent, Source(agent.port) as client:
            for shape in shapes:
                client.send(shape)
                client.ack()
            client.send(compressed("aws", [entry, entry], members=2, chunk="members"))
            assert client.ack() == "members"
            totals = agent.stop()

    assert [each.raw for each in sink.frames[:-1]] == shapes
    assert sink.frames[-1].mode == "packed", "a default Fluent Bit reads the first member only"
    assert not any("alerts" in each.record for each in sink.entries)
    assert (totals["candidates"], totals["matches"], totals["chunks_out"]) == (0, 0, 5)
    assert gzip.compress(entry, compresslevel=1, mtime=0) in sink.frames[3].raw


def test_what_passes_unread_and_cannot_be_converted_is_told_of_once(tmp_path: Path) -> None:
    with Sink(count_only=True) as sink:
        config = configure(tmp_path, sink.address, sources='"*" = "none"\n')
        v1 = f'servers = [{{address = "{sink.address}", entries = "v1"}}]'
        config.write_text(config.read_text().replace(f'servers = ["{sink.address}"]', v1))
        with AgentProcess(config) as agent, Source(agent.port) as client:
            for number in range(30):
                client.send(packed("aws", [b"\x92\x00"], chunk=f"{number}"))
                assert client.ack() == str(number)
            told = [each for each in agent.events if each["event"] == "frame_not_converted"]
            assert len(told) <= 3
            assert told[0]["tag"] == "aws"
        assert sink.chunks == 30, "they go on as they came"
