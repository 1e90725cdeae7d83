"""The configurations for Fluentd in ``conf/``, as they are shipped: a day of CloudTrail through all programs."""

import json
from pathlib import Path

from support import fluentd
from support.agent import AgentProcess, write_config
from support.calls import without_alerts
from support.corpus import day
from support.files import Lines
from support.fluentbit import free_port
from support.fluentd import Fluentd

pytestmark = fluentd.marks

CONF = Path(__file__).parents[2] / "conf/fluentd"
RECORDS = 1_500


def test_a_day_of_cloudtrail(tmp_path: Path) -> None:
    events = day(records=RECORDS)
    firsts: dict[str, str] = {}
    for event in events:
        if event["eventName"] == "GetCallerIdentity":
            firsts.setdefault(event["userIdentity"]["arn"], event["eventID"])
    port = free_port()
    server = f'{{address = "127.0.0.1:{port}", entries = "v1"}}'
    config = write_config(tmp_path / "c.toml", downstream=server, state=tmp_path / "state")
    config.write_text(config.read_text().replace(json.dumps(server), server))
    behind = {"LISTEN": "127.0.0.1", "PORT": str(port), "STATE": str(tmp_path / "behind"), "FILES": str(tmp_path)}
    trail = tmp_path / "trail.json"
    trail.write_text("".join(json.dumps(event) + "\n" for event in events))

    with Fluentd(CONF / "downstream.conf", **behind), AgentProcess(config) as agent:
        before = {
            "FIRSTSEEN_HOST": "127.0.0.1",
            "FIRSTSEEN_PORT": str(agent.port),
            "TRAIL_FILES": str(trail),
            "STATE": str(tmp_path / "before"),
        }
        with Fluentd(CONF / "upstream.conf", **before):
            records = [json.loads(line) for line in Lines(tmp_path / "aws.cloudtrail.log").wait_for(RECORDS)]
        totals = agent.stop()

    assert totals["records_in"] == totals["records_out"] == RECORDS
    assert totals["chunks_rejected"] == totals["delivery_retries"] == 0
    assert {record["eventID"] for record in records if "alerts" in record} == set(firsts.values())
    assert [without_alerts(record) for record in records] == events
