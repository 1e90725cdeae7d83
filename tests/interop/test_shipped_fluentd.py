"""The configurations for Fluentd in ``conf/``, as they are shipped: a day of CloudTrail through all programs."""

import json
from pathlib import Path

import pytest

from support import fluentd
from support.agent import AgentProcess, write_config
from support.authority import Certificates
from support.calls import without_alerts
from support.corpus import day, firsts
from support.files import Lines
from support.fluentbit import free_port
from support.fluentd import Fluentd
from support.shipped import CONF, lay_out, our_side, secured

pytestmark = fluentd.marks

RECORDS = 1_500


@pytest.mark.parametrize("secure", [False, True])
def test_a_day_of_cloudtrail(secure: bool, tmp_path: Path, certificates: Certificates) -> None:
    sent = day(records=RECORDS)
    port = free_port()
    scheme = "tls://" if secure else ""
    config = write_config(
        tmp_path / "c.toml",
        downstream="to be set",
        state=tmp_path / "state",
        listen=f"{scheme}127.0.0.1:0",
        extra=our_side(certificates) if secure else "",
    )
    server = f'{{address = "{scheme}127.0.0.1:{port}", entries = "v1"}}'
    config.write_text(config.read_text().replace('"to be set"', server))
    (tmp_path / "trail.json").write_text("".join(json.dumps(event) + "\n" for event in sent))
    secrets = lay_out(certificates, tmp_path)
    upstream, downstream = (CONF / f"fluentd/{side}stream.conf" for side in ("up", "down"))
    if secure:
        upstream, downstream = secured(upstream, tmp_path), secured(downstream, tmp_path)
    behind = {"LISTEN": "127.0.0.1", "PORT": str(port), "STATE": str(tmp_path / "behind"), "FILES": str(tmp_path)}

    with Fluentd(downstream, **behind, **secrets), AgentProcess(config) as agent:
        before = {
            "FIRSTSEEN_HOST": "127.0.0.1",
            "FIRSTSEEN_PORT": str(agent.port),
            "FIRSTSEEN_NAME": "127.0.0.1",
            "TRAIL_FILES": str(tmp_path / "trail.json"),
            "STATE": str(tmp_path / "before"),
        }
        with Fluentd(upstream, **before, **secrets):
            records = [json.loads(line) for line in Lines(tmp_path / "aws.cloudtrail.log").wait_for(RECORDS)]
        totals = agent.stop()

    assert [without_alerts(record) for record in records] == sent
    assert {record["eventID"] for record in records if "alerts" in record} == firsts(sent)
    assert totals["records_in"] == totals["records_out"] == RECORDS
    assert totals["chunks_rejected"] == totals["delivery_retries"] == 0
