"""The agent as the service manager sees it: what it says of itself, and how it does under what the unit forbids it."""

import contextlib
import mmap
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from shutil import which

import msgpack
import pytest

from support.agent import TIMEOUT_S, AgentProcess, write_config
from support.calls import events, frames
from support.peers import Sink, Source, acked, held
from support.rulebook import rule_text
from support.visitor import Visitor

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

CONFINED = [sys.executable, "-m", "support.confined"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}


class Manager:
    """A service manager's end of the protocol: what it was told, message by message."""

    def __init__(self, place: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(place))
        self._socket.settimeout(TIMEOUT_S)
        self.environment = {"NOTIFY_SOCKET": str(place), "WATCHDOG_USEC": "400000"}

    def next(self) -> dict[str, str]:
        return dict(line.split("=", 1) for line in self._socket.recv(4096).decode().split("\n"))

    def until(self, name: str) -> tuple[dict[str, str], int]:
        """The next message with that assignment, and how often the watchdog was fed before."""
        meals = 0
        while name not in (message := self.next()):
            assert message == {"WATCHDOG": "1"}
            meals += 1
        return message, meals

    def silence_s(self) -> float:
        """How long nothing comes, once all that waits is read; a second at most."""
        self._socket.settimeout(0.0)
        with contextlib.suppress(BlockingIOError):
            while self.next():
                pass
        self._socket.settimeout(1.0)
        begun_s = time.monotonic()
        try:
            self.next()
        except TimeoutError:
            return 1.0
        finally:
            self._socket.settimeout(TIMEOUT_S)
        return time.monotonic() - begun_s

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(tmp_path / "notify")
    yield made
    made.close()


def configured(folder: Path, sink: Sink, extra: str = "") -> Path:
    rules = folder / "rules"
    rules.mkdir()
    (rules / "first.toml").write_text(rule_text())
    return write_config(
        folder / "firstseen.toml", downstream=sink.address, state=folder / "state", rules=rules, extra=extra
    )


def test_the_service_manager_is_told_of_a_life(tmp_path: Path, manager: Manager, sink: Sink) -> None:
    config = configured(tmp_path, sink, 'input: drain_timeout = "40s"')
    with AgentProcess(config, environment=manager.environment) as agent:
        assert manager.next() == {"READY": "1", "STATUS": "1 rules run"}
        with socket.create_connection(("127.0.0.1", agent.port), timeout=TIMEOUT_S):
            pass  # it listens, which is what being ready is about
        assert [manager.next() for _ in range(4)] == [{"WATCHDOG": "1"}] * 4

        agent.signal(signal.SIGHUP)
        reloading, _ = manager.until("RELOADING")
        assert abs(time.monotonic() - int(reloading["MONOTONIC_USEC"]) / 1e6) < TIMEOUT_S
        ready, _ = manager.until("READY")  # on a busy machine the watchdog is fed in between, as it should be
        assert ready == {"READY": "1", "STATUS": "1 rules run"}

        (tmp_path / "rules/first.toml").write_text("[rule")
        agent.signal(signal.SIGHUP)
        manager.until("RELOADING")
        ready, _ = manager.until("READY")
        assert ready["STATUS"].startswith("something old is kept: ")
        assert "first.toml" in ready["STATUS"]

        agent.signal(signal.SIGTERM)
        stopping, _ = manager.until("STOPPING")
        assert stopping["EXTEND_TIMEOUT_USEC"] == "55000000"
        assert agent.wait() == 0


def test_the_watchdog_is_fed_while_it_drains_and_starves_with_the_loop(tmp_path: Path, manager: Manager) -> None:
    with (
        Sink(held) as sink,
        AgentProcess(configured(tmp_path, sink), environment=manager.environment) as agent,
        Source(agent.port) as client,
    ):
        client.send(msgpack.packb(["aws", [[1, {"a": "b"}]], {"chunk": "c"}]))
        sink.wait_until(lambda: sink.chunks == 1)
        manager.until("READY")
        agent.signal(signal.SIGTERM)
        manager.until("STOPPING")
        assert [manager.next() for _ in range(3)] == [{"WATCHDOG": "1"}] * 3

        agent.signal(signal.SIGSTOP)
        manager.silence_s()
        assert manager.silence_s() == 1.0
        agent.signal(signal.SIGCONT)
        assert manager.next() == {"WATCHDOG": "1"}
        sink.use(acked)
        sink.release()
        assert client.ack() == "c"
        assert agent.wait() == 0


@pytest.fixture(scope="module")
def confined() -> Sequence[str]:
    """A command that runs another one as the unit would."""
    if which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze on PATH")
    done = subprocess.run([*CONFINED, "true"], env=ENVIRONMENT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"libseccomp and a kernel since 6.3 are needed: {done.stderr.splitlines()[-1]}")
    return CONFINED


def test_it_does_its_job_under_what_the_unit_forbids(tmp_path: Path, sink: Sink, confined: Sequence[str]) -> None:
    config = configured(tmp_path, sink)
    text = config.read_text().replace("listen = [", f'listen = ["unix:{tmp_path}/socket", ', 1)
    config.write_text(text.replace('listen = ""', 'listen = "127.0.0.1:0"'))
    for _ in range(2):  # the second time with a state that is there
        with AgentProcess(config, environment=ENVIRONMENT, through=confined) as agent:
            Visitor(agent.wait_for("ready")["http"]).until_ready()
            port = int(agent.wait_for("ready")["listen"][1].rpartition(":")[2])
            with Source(port) as client:
                for frame in frames("forward", events(200)):
                    client.send(frame)
                    client.ack()
            agent.signal(signal.SIGHUP)
            agent.wait_for("reloaded")
            totals = agent.stop()
            assert totals["records_in"] == totals["records_out"] == 200


@pytest.mark.parametrize(
    "attempt",
    [
        f"import mmap; mmap.mmap(-1, 4096, prot={mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC})",
        "import os; os.setpriority(os.PRIO_PROCESS, 0, 5)",
        "import os; os.chroot('/')",
    ],
)
def test_what_the_unit_forbids_is_forbidden_then(attempt: str, confined: Sequence[str]) -> None:
    """Else the test above would show nothing."""
    allowed = subprocess.run([sys.executable, "-c", attempt], check=False, capture_output=True)
    done = subprocess.run(
        [*confined, sys.executable, "-c", attempt],
        env=ENVIRONMENT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "Error: [Errno 1" in done.stderr or "Error: [Errno 13" in done.stderr
    if os.getuid() == 0:
        assert allowed.returncode == 0
