"""The configurations for Fluent Bit in ``conf/``, as they are shipped: a day of CloudTrail through all programs."""

import json
from pathlib import Path

import pytest

from support import fluentbit
from support.agent import AgentProcess, write_config
from support.calls import without_alerts
from support.corpus import day
from support.files import Lines
from support.fluentbit import FluentBit, free_port

pytestmark = fluentbit.marks

CONF = Path(__file__).parents[2] / "conf/fluent-bit"
RECORDS = 1_500


@pytest.mark.parametrize("form", ["yaml", "conf"])
def test_a_day_of_cloudtrail(form: str, tmp_path: Path) -> None:
    events = day(records=RECORDS)
    firsts: dict[str, str] = {}
    for event in events:
        if event["eventName"] == "GetCallerIdentity":
            firsts.setdefault(event["userIdentity"]["arn"], event["eventID"])
    port = free_port()
    config = write_config(tmp_path / "c.toml", downstream=f"127.0.0.1:{port}", state=tmp_path / "state")
    behind = {"LISTEN": "127.0.0.1", "PORT": str(port), "STATE": str(tmp_path / "behind"), "FILES": str(tmp_path)}
    trail = tmp_path / "trail.json"
    trail.write_text("".join(json.dumps(event) + "\n" for event in events[:-1]))

    with FluentBit(CONF / f"downstream.{form}", **behind), AgentProcess(config) as agent:
        before = {
            "FIRSTSEEN_HOST": "127.0.0.1",
            "FIRSTSEEN_PORT": str(agent.port),
            "TRAIL_FILES": str(trail),
            "STATE": str(tmp_path / "before"),
        }
        arrived = Lines(tmp_path / "aws.cloudtrail")
        with FluentBit(CONF / f"upstream.{form}", **before) as upstream:
            arrived.wait_for(RECORDS - 1)
            upstream.stop()
        with trail.open("a") as file:
            file.write(json.dumps(events[-1]) + "\n")
        with FluentBit(CONF / f"upstream.{form}", **before):  # goes on where it was
            records = [json.loads(line) for line in arrived.wait_for(RECORDS)]
        totals = agent.stop()

    assert totals["records_in"] == totals["records_out"] == RECORDS
    assert totals["chunks_rejected"] == totals["delivery_retries"] == 0
    assert {record["eventID"] for record in records if "alerts" in record} == set(firsts.values())
    assert [without_alerts(record) for record in records] == events
