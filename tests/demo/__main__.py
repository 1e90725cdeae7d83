"""``python -m demo``: the whole job for real, on a synthetic day of CloudTrail, told to a person.

A downstream, the installed agent and ``firstseen send``; then the agent again, on the same state, with the same day.
Exit 0 if everything is as it must be, else 1.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo import terminal
from demo.checks import Alert, Arrived, Day, DeviationError, expect_alerts, expect_totals, inspect
from support import corpus
from support.agent import FIRSTSEEN, AgentProcess, write_config
from support.peers import Sink

TAG = "aws.cloudtrail"
TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Run:
    """One life of the agent: what arrived, what it counted, how long the records took."""

    arrived: Arrived
    totals: Mapping[str, Any]
    seconds: float


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--records", type=int, default=4000, help="how many the day has (%(default)s)")
    parser.add_argument("--keep", action="store_true", help="leave the files and the state where they are")
    chosen = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="firstseen-demo-"))
    try:
        _demonstrate(folder, chosen.records, chosen.keep)
    except DeviationError as error:
        terminal.bad(str(error))
        return 1
    except (AssertionError, LookupError, ValueError, OSError, subprocess.SubprocessError) as error:
        terminal.bad(f"{type(error).__name__}: {error}")
        return 1
    finally:
        if not chosen.keep:
            shutil.rmtree(folder)
    return 0


def _demonstrate(folder: Path, records: int, keep: bool) -> None:
    began = time.monotonic()
    file, state = folder / "cloudtrail.json.gz", folder / "state"
    day = Day.of(corpus.write_day(file, records=records))
    print("firstseen: has this identity ever made that call here before?")
    _tell_of(day, folder, keep)

    terminal.heading("1  An agent that has seen nobody yet")
    first = _run(folder, day)
    expect_alerts(first.arrived, day.firsts)
    expect_totals(first.totals, day, alerts=len(day.firsts))
    _tell_of_run(day, first)
    for alert in first.arrived.alerts:
        _tell_of_alert(alert)
    terminal.gap()
    terminal.line("quiet", f"{first.totals['suppressed']} further calls, by identities it knew by then")
    terminal.line("state", f"{_size_on_disk(state) / 1000:,.0f} kB of LMDB in {state}")

    terminal.heading("2  The agent restarted on that state, the same day sent again")
    second = _run(folder, day)
    expect_alerts(second.arrived, [])
    expect_totals(second.totals, day, alerts=0)
    _tell_of_run(day, second)
    terminal.line("quiet", f"all {second.totals['suppressed']} calls: the restart has forgotten nobody")
    terminal.good(f"everything is as it must be, after {time.monotonic() - began:.1f} s")


def _run(folder: Path, day: Day) -> Run:
    """One life of the agent, from its start to SIGTERM, with the whole day sent through it."""
    with Sink() as sink:
        config = write_config(folder / "firstseen.toml", downstream=sink.address, state=folder / "state")
        with AgentProcess(config) as agent:
            terminal.line("agent", f"listens on 127.0.0.1:{agent.port}, sends on to {sink.address}")
            began = time.monotonic()
            _send(folder / "cloudtrail.json.gz", agent.port)
            sink.wait_for(len(day.records), TIMEOUT_S)
            seconds = time.monotonic() - began
            totals = agent.stop()
        return Run(inspect(day, sink.entries), totals, seconds)


def _send(file: Path, port: int) -> None:
    command = [str(FIRSTSEEN), "send", "--to", f"127.0.0.1:{port}", "--tag", TAG, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if done.returncode:
        raise DeviationError(f"firstseen send ended with exit code {done.returncode}: {done.stderr.strip()}")


def _tell_of(day: Day, folder: Path, keep: bool) -> None:
    size = day.size / len(day.records) / 1000
    terminal.line(
        "the day", f"{len(day.records):,} CloudTrail records of {size:.1f} kB, {day.accounts} accounts, synthetic"
    )
    terminal.line("in it", f"{len(day.calls)} calls of sts:GetCallerIdentity, by {len(day.firsts)} identities")
    terminal.line("files", f"{folder}, {'kept' if keep else 'removed at the end'}")


def _tell_of_run(day: Day, run: Run) -> None:
    sent, arrived = len(day.records), run.arrived
    terminal.line("records", f"{sent:,} sent, {run.totals['records_out']:,} delivered, in {run.seconds:.1f} s")
    terminal.line("unlabelled", f"{arrived.identical:,} records, every one byte for byte as it was sent")
    terminal.line("labelled", f"{len(arrived.alerts)} records")


def _tell_of_alert(alert: Alert) -> None:
    rule, record = alert.label["rule"]["name"], alert.record
    reason = alert.label["reason"].removeprefix(f"{rule}: ").removeprefix(alert.arn).strip()
    origin = f"the call came from {record['sourceIPAddress']}, {record['userAgent'].partition(' ')[0]}"
    terminal.alert(record["eventTime"], rule, alert.arn, f"{reason}; {origin}")


def _size_on_disk(folder: Path) -> int:
    """Bytes that the files take up; LMDB's are sparse."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    sys.exit(main())
