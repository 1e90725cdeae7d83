"""A real Prometheus that scrapes the agent, with the alerts that are shipped."""

import json
import socket
import time
import urllib.parse
import urllib.request
from pathlib import Path
from shutil import which
from typing import Any

import pytest

from support.agent import AgentProcess, write_config
from support.calls import events, frames
from support.dashboard import expressions
from support.peers import Sink, Source
from support.program import TIMEOUT_S, Program

ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.e2e,
    pytest.mark.prometheus,
    pytest.mark.skipif(which("prometheus") is None, reason="there is no prometheus on PATH"),
]


class Prometheus:
    """One that scrapes ``target`` each second."""

    def __init__(self, folder: Path, target: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._address = f"127.0.0.1:{free.getsockname()[1]}"
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(ROOT / "packaging/prometheus/alerts.yaml")],
            "scrape_configs": [{"job_name": "firstseen", "static_configs": [{"targets": [target]}]}],
        }
        (folder / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
        self.program = Program(
            [
                "prometheus",
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'tsdb'}",
                f"--web.listen-address={self._address}",
            ]
        )
        self.program.wait_for("Server is ready to receive web requests")

    def get(self, path: str, **query: str) -> Any:
        url = f"http://{self._address}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
            return json.load(answer)["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get("query", query=expression)["result"]
        return found


def test_it_scrapes_and_finds_nothing_to_alert_of(tmp_path: Path, sink: Sink) -> None:
    config = write_config(
        tmp_path / "firstseen.toml", downstream=sink.address, state=tmp_path / "state", http="127.0.0.1:0"
    )
    with AgentProcess(config) as agent:
        prometheus = Prometheus(tmp_path, agent.http.partition("://")[2])
        with prometheus.program:
            with Source(agent.port) as client:
                for frame in frames("forward", events(300), time_ns=time.time_ns()):
                    client.send(frame)
                    client.ack()
            end_s = time.monotonic() + TIMEOUT_S
            while not prometheus.query("firstseen_input_records_total == 300 and on (instance) up == 1"):
                assert time.monotonic() < end_s
                time.sleep(0.2)
            assert [prometheus.query(expression) is not None for expression in expressions()]
            (group,) = prometheus.get("rules")["groups"]
            while any(rule["health"] == "unknown" for rule in prometheus.get("rules")["groups"][0]["rules"]):
                assert time.monotonic() < end_s
                time.sleep(0.2)
            (group,) = prometheus.get("rules")["groups"]
            assert {rule["health"] for rule in group["rules"]} == {"ok"}
            assert [rule["name"] for rule in group["rules"] if rule["state"] != "inactive"] == []
            (target,) = prometheus.get("targets")["activeTargets"]
            assert (target["health"], target["lastError"]) == ("up", "")


def test_it_alerts_of_records_that_come_late_and_of_an_agent_that_is_gone(tmp_path: Path, sink: Sink) -> None:
    config = write_config(
        tmp_path / "firstseen.toml", downstream=sink.address, state=tmp_path / "state", http="127.0.0.1:0"
    )
    with AgentProcess(config) as agent:
        prometheus = Prometheus(tmp_path, agent.http.partition("://")[2])
        with prometheus.program:
            end_s = time.monotonic() + TIMEOUT_S
            with Source(agent.port) as client:
                client.send(*frames("packed", events(3), time_ns=time.time_ns() - 3600 * 10**9))
                client.ack()
            while not prometheus.query('ALERTS{alertname="FirstseenRecordsComeLate", alertstate="pending"}'):
                assert time.monotonic() < end_s
                time.sleep(0.2)
            agent.kill()
            while not prometheus.query('ALERTS{alertname="FirstseenDown", alertstate="pending"}'):
                assert time.monotonic() < end_s
                time.sleep(0.2)
