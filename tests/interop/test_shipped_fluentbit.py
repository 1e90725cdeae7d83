"""The configurations for Fluent Bit in ``conf/``, as they are shipped: a day of CloudTrail through all programs."""

import json
import shutil
from pathlib import Path

import pytest

from support import fluentbit
from support.agent import AgentProcess, write_config
from support.authority import Certificates
from support.calls import FIRST, events, without_alerts
from support.corpus import day, firsts
from support.files import Lines
from support.fluentbit import FluentBit, free_port
from support.shipped import CONF, lay_out, our_side, secured

pytestmark = fluentbit.marks

RECORDS = 1_500


def behind(folder: Path, port: int) -> dict[str, str]:
    return {"LISTEN": "127.0.0.1", "PORT": str(port), "STATE": str(folder / "behind"), "FILES": str(folder)}


def before(folder: Path, host: str, port: int) -> dict[str, str]:
    return {
        "FIRSTSEEN_HOST": host,
        "FIRSTSEEN_PORT": str(port),
        "TRAIL_FILES": str(folder / "*.json"),
        "STATE": str(folder / "before"),
    }


@pytest.mark.parametrize("form", ["yaml", "conf"])
def test_a_day_of_cloudtrail(form: str, tmp_path: Path) -> None:
    sent = day(records=RECORDS)
    port = free_port()
    config = write_config(tmp_path / "c.toml", downstream=f"127.0.0.1:{port}", state=tmp_path / "state")
    trail = tmp_path / "trail.json"
    trail.write_text("".join(json.dumps(event) + "\n" for event in sent[:-1]))
    arrived = Lines(tmp_path / "aws.cloudtrail")

    with (
        FluentBit(CONF / f"fluent-bit/downstream.{form}", **behind(tmp_path, port)),
        AgentProcess(config) as agent,
    ):
        variables = before(tmp_path, "127.0.0.1", agent.port)
        with FluentBit(CONF / f"fluent-bit/upstream.{form}", **variables):
            arrived.wait_for(RECORDS - 1)
        with trail.open("a") as file:
            file.write(json.dumps(sent[-1]) + "\n")
        with FluentBit(CONF / f"fluent-bit/upstream.{form}", **variables):  # goes on where it was killed
            records = [json.loads(line) for line in arrived.wait_for(RECORDS)]
        totals = agent.stop()

    unique = {record["eventID"]: record for record in records}
    assert [without_alerts(unique[event["eventID"]]) for event in sent] == sent
    assert len(unique) == RECORDS
    assert {event_id for event_id, record in unique.items() if "alerts" in record} == firsts(sent)
    assert totals["records_in"] == totals["records_out"] == len(records)
    assert totals["chunks_rejected"] == totals["delivery_retries"] == 0


@pytest.mark.parametrize("form", ["yaml", "conf"])
def test_with_what_their_comments_say_of_keys_and_tls(form: str, tmp_path: Path, certificates: Certificates) -> None:
    port = free_port()
    config = write_config(
        tmp_path / "c.toml",
        downstream=f"tls://127.0.0.1:{port}",
        state=tmp_path / "state",
        listen="tls://127.0.0.1:0",
        extra=our_side(certificates),
    )
    shutil.copy(CONF / "fluent-bit/parsers.conf", tmp_path)
    (tmp_path / "trail.json").write_text("".join(json.dumps(event) + "\n" for event in events(24)))
    secrets = lay_out(certificates, tmp_path)

    with (
        FluentBit(secured(CONF / f"fluent-bit/downstream.{form}", tmp_path), **behind(tmp_path, port), **secrets),
        AgentProcess(config) as agent,
        FluentBit(
            secured(CONF / f"fluent-bit/upstream.{form}", tmp_path),
            **before(tmp_path, "localhost", agent.port),
            **secrets,
        ),
    ):
        records = [json.loads(line) for line in Lines(tmp_path / "aws.cloudtrail").wait_for(24)]
        totals = agent.stop()

    assert [without_alerts(record) for record in records] == events(24)
    assert [record["eventID"] for record in records if "alerts" in record] == FIRST
    assert totals["connections_refused"] == totals["delivery_retries"] == 0
