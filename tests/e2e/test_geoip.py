"""Databases of addresses in the running agent: opened at the start, anew at SIGHUP, kept if a new one is broken."""

import os
import signal
from pathlib import Path
from typing import Any

import msgpack
import pytest

from support.agent import AgentProcess, write_config
from support.mmdb import write
from support.peers import Sink, Source
from support.rulebook import call, rule_text

pytestmark = pytest.mark.e2e

ADA, BOB, CAROL = (f"arn:aws:iam::111122223333:user/{name}" for name in ("ada", "bob", "carol"))


def networks(path: Path, organization: str) -> None:
    write(path.with_suffix(".new"), "GeoLite2-ASN", {"192.0.2.0/24": {"autonomous_system_organization": organization}})
    path.with_suffix(".new").replace(path)


def forward(chunk: str, arn: str) -> bytes:
    record = call(arn, f"e-{chunk}") | {"sourceIPAddress": "192.0.2.7"}
    return msgpack.packb(["aws", [[1_790_000_000, record]], {"chunk": chunk}])


def labelled(sink: Sink) -> list[Any]:
    return ["alerts" in entry.record for entry in sink.entries]


def test_a_rule_that_asks_for_the_network(tmp_path: Path) -> None:
    database, rule = tmp_path / "asn.mmdb", tmp_path / "rule.toml"
    networks(database, "Known Networks")
    rule.write_text(rule_text('event.action: GetCallerIdentity and not source.as.organization.name: "Known Networks"'))
    with Sink() as sink:
        config = write_config(
            tmp_path / "firstseen.toml", downstream=sink.address, state=tmp_path / "state", rules=rule
        )
        config.write_text(config.read_text() + '[geoip]\nasn = "asn.mmdb"\n')
        with AgentProcess(config) as agent, Source(agent.port) as client:
            assert agent.wait_for("geoip_opened")["type"] == "GeoLite2-ASN"
            client.send(forward("a", ADA))
            assert client.ack() == "a"
            networks(database, "Other Networks")
            agent.signal(signal.SIGHUP)
            agent.wait_for("reloaded")
            client.send(forward("b", BOB))
            assert client.ack() == "b"
            database.unlink()
            agent.signal(signal.SIGHUP)
            problem = agent.wait_for("reload_problem")["problem"]
            client.send(forward("c", CAROL))
            assert client.ack() == "c"

        assert labelled(sink) == [False, True, True]
        assert problem.startswith(f"{config}:")
        assert f"geoip.asn: {database} cannot be read" in problem


@pytest.mark.parametrize("copied", [True, False])
def test_a_database_that_is_written_over_while_it_is_in_use(tmp_path: Path, copied: bool) -> None:
    """Pages that are gone with the end of a file end whoever has mapped them: so the tree is one of many pages."""
    database, rule = tmp_path / "asn.mmdb", tmp_path / "rule.toml"
    known = {f"10.{number >> 8}.{number & 255}.0/24": {"autonomous_system_number": number} for number in range(4_000)}
    write(database, "GeoLite2-ASN", known | {"192.0.2.0/24": {"autonomous_system_organization": "Known Networks"}})
    assert database.stat().st_size > 65_536
    rule.write_text(rule_text('event.action: GetCallerIdentity and not source.as.organization.name: "Known Networks"'))
    with Sink() as sink:
        config = write_config(
            tmp_path / "firstseen.toml", downstream=sink.address, state=tmp_path / "state", rules=rule
        )
        config.write_text(f'{config.read_text()}[geoip]\nasn = "asn.mmdb"\ncopy = {str(copied).lower()}\n')
        with AgentProcess(config) as agent, Source(agent.port) as client:
            os.truncate(database, 0)
            client.send(forward("a", ADA))
            if not copied:
                assert agent.wait() == -signal.SIGBUS
                return
            assert client.ack() == "a"
            agent.signal(signal.SIGHUP)
            assert "is no database in MaxMind's format" in agent.wait_for("reload_problem")["problem"]
            agent.wait_for("reload_failed")
            client.send(forward("b", BOB))
            assert client.ack() == "b"
            write(database, "GeoLite2-ASN", {"192.0.2.0/24": {"autonomous_system_organization": "Other Networks"}})
            agent.signal(signal.SIGHUP)
            agent.wait_for("reloaded")
            client.send(forward("c", CAROL))
            assert client.ack() == "c"
            agent.stop()
        assert labelled(sink) == [False, False, True]


def test_an_agent_does_not_start_with_a_database_it_cannot_use(tmp_path: Path) -> None:
    config = write_config(tmp_path / "firstseen.toml", downstream="127.0.0.1:1", state=tmp_path / "state")
    config.write_text(config.read_text() + '[geoip]\ncity = "gone.mmdb"\n')
    with AgentProcess(config) as agent:
        assert agent.wait() == 78
        assert "geoip.city: " in agent.wait_for("text")["text"]
