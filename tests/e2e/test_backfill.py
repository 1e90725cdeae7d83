"""The installed command on folders of past logs, broken off and taken up again, and the agent on what it leaves."""

import gzip
import json
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from firstseen.errors import StoreError
from firstseen.record.instant import iso
from firstseen.states import OnDisk, Place, Shared, read
from support.agent import FIRSTSEEN, TIMEOUT_S, AgentProcess, write_config
from support.peers import Sink, Source
from support.redis import RedisServer, new_prefix
from support.rulebook import call
from support.weather import frame

pytestmark = pytest.mark.e2e

FILES, PER_FILE = 30, 1_000
YESTERDAY = iso(time.time_ns() // 1_000_000 - 86_400_000)


def arn(number: int) -> str:
    return f"arn:aws:iam::111122223333:user/{number:06}"


def past(number: int) -> dict[str, Any]:
    return {**call(arn(number), f"past-{number}"), "eventTime": YESTERDAY}


def write_folder(folder: Path, files: int, per_file: int) -> Path:
    """A trail's folder with one call of each of that many callers."""
    for number in range(files):
        path = folder / f"AWSLogs/111122223333/CloudTrail/us-east-1/2026/05/{number + 1:02}/{number}.json.gz"
        path.parent.mkdir(parents=True)
        records = [past(number * per_file + each) for each in range(per_file)]
        path.write_bytes(gzip.compress(json.dumps({"Records": records}).encode(), 1))
    return folder


def command(config: Path, folder: Path) -> list[str]:
    return [str(FIRSTSEEN), "backfill", "--jobs", "2", "--output", "json", "-c", str(config), str(folder)]


def wait_for(true: Callable[[], bool]) -> None:
    """What another process does to files and processes can only be looked at again and again."""
    deadline = time.monotonic() + TIMEOUT_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def has_terms(place: Place) -> bool:
    try:
        reader = read(place)
    except StoreError:  # not made yet
        return False
    with closing(reader):
        return reader.stats().entries > 0


def counts(place: Place) -> list[int]:
    with closing(read(place)) as reader:
        return [entry.memory.count for entry in reader.entries()]  # type: ignore[union-attr]


@pytest.fixture(params=["disk", pytest.param("shared", marks=pytest.mark.redis)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "disk":
        return OnDisk(tmp_path / "state")
    server: RedisServer = request.getfixturevalue("redis_server")
    return Shared(server.url, new_prefix().decode())


def configure(folder: Path, place: Place, downstream: str = "127.0.0.1:9") -> Path:
    more = f'state: url = "{place.url}"\nstate: prefix = "{place.prefix}"\n' if isinstance(place, Shared) else ""
    return write_config(folder / "firstseen.toml", downstream=downstream, state=folder / "state", extra=more)


def children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def runs(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_broken_off_in_the_middle_it_goes_on_there(tmp_path: Path, place: Place, number: signal.Signals) -> None:
    config = configure(tmp_path, place)
    folder = write_folder(tmp_path / "trail", FILES, PER_FILE)

    with subprocess.Popen(command(config, folder), stdout=subprocess.PIPE) as process:
        wait_for(lambda: has_terms(place))
        workers = children(process.pid)
        process.send_signal(number)
        out, _ = process.communicate(timeout=TIMEOUT_S)
    wait_for(lambda: not any(map(runs, workers)))
    half = counts(place)
    done = subprocess.run(command(config, folder), capture_output=True, check=True, timeout=2 * TIMEOUT_S)

    assert len(workers) == 2
    assert process.returncode == (-9 if number is signal.SIGKILL else 1)
    assert number is signal.SIGKILL or json.loads(out)["stopped"]
    assert 0 < len(half) < FILES * PER_FILE
    told = json.loads(done.stdout)
    assert told["files"] + told["files_known"] == FILES
    assert 0 < told["files_known"] <= len(half) // PER_FILE
    assert counts(place) == [1] * FILES * PER_FILE, "every event was counted, and none twice"


def test_an_agent_on_the_state_knows_who_was_seen(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "trail", 3, 10)
    with Sink() as sink:
        config = write_config(tmp_path / "firstseen.toml", downstream=sink.address, state=tmp_path / "state")
        subprocess.run(command(config, folder), check=True, capture_output=True, timeout=TIMEOUT_S)
        with AgentProcess(config) as agent, Source(agent.port) as client:
            refused = subprocess.run(command(config, folder), check=False, capture_output=True, timeout=TIMEOUT_S)
            client.send(frame("c", *(call(arn(number), f"now-{number}") for number in range(31))))
            assert client.ack() == "c"
            totals = agent.stop()

    assert refused.returncode == 1
    assert f"is in use by process {agent.pid}".encode() in refused.stderr
    assert b"stop that first" in refused.stderr
    alerting = [entry.record["eventID"] for entry in sink.entries if "alerts" in entry.record]
    assert alerting == ["now-30"]
    assert (totals["alerts"], totals["suppressed"]) == (1, 30)


@pytest.mark.redis
def test_a_shared_state_is_filled_beside_its_agents(tmp_path: Path, redis_server: RedisServer) -> None:
    folder = write_folder(tmp_path / "trail", 3, 10)
    place = Shared(redis_server.url, new_prefix().decode())
    with Sink() as sink:
        config = configure(tmp_path, place, sink.address)
        with AgentProcess(config) as agent, Source(agent.port) as client:
            client.send(frame("a", *(call(arn(number), f"before-{number}") for number in range(5))))
            assert client.ack() == "a"
            subprocess.run(command(config, folder), check=True, capture_output=True, timeout=TIMEOUT_S)
            client.send(frame("b", *(call(arn(number), f"after-{number}") for number in range(31))))
            assert client.ack() == "b"
            agent.stop()

    alerting = [entry.record["eventID"] for entry in sink.entries if "alerts" in entry.record]
    assert alerting == [*(f"before-{number}" for number in range(5)), "after-30"]
    assert counts(place).count(3) == 5, "of who was seen by both each event counts"
