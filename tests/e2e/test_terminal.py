"""``firstseen top`` and ``tap`` beside a real agent, on a real terminal."""

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgpack
import pytest

from support.agent import FIRSTSEEN, AgentProcess, write_config
from support.calls import events, frames
from support.peers import Sink, Source
from support.program import Program
from support.rulebook import call
from support.terminal import Terminal
from support.visitor import Visitor

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

ENTER, LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
TOKEN = "correct horse battery"
HOSTILE = "arn:aws:iam::111122223333:user/\x1b]0;owned\x07\x1b[2Jeve"


def configured(folder: Path, sink: Sink) -> Path:
    """A configuration with a port for HTTP that was free just now, and a token."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "token").write_text(TOKEN)
    return write_config(
        folder / "firstseen.toml",
        downstream=sink.address,
        state=folder / "state",
        http=f"127.0.0.1:{port}",
        extra='http: token_file = "token"',
    )


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[AgentProcess]:
    with Sink() as sink, AgentProcess(configured(tmp_path, sink)) as running:
        running.wait_for("ready")
        yield running


def top(agent: AgentProcess, columns: int = 80, rows: int = 24, **environment: str) -> Terminal:
    command = (str(FIRSTSEEN), "top", "-c", str(agent.config))
    return Terminal(*command, columns=columns, rows=rows, **environment)


def raise_alert(agent: AgentProcess, arn: str, number: int) -> None:
    with Source(agent.port) as client:
        client.send(msgpack.packb(["aws", [[1, call(arn, f"e-{number}")]], {"chunk": f"c-{number}"}]))
        assert client.ack() == f"c-{number}"


def test_the_picture_is_alive_and_q_gives_the_terminal_back(agent: AgentProcess) -> None:
    with top(agent) as terminal:
        terminal.shows("none since the start")
        assert terminal.written.startswith(ENTER)
        assert terminal.modes != terminal.before
        with Source(agent.port) as client:
            client.send(frames("forward", events(300))[0])
            client.ack()
        terminal.shows("arn:aws:iam::111122223333:user/u1 not seen in the 10 days before")
        terminal.shows("300 in, 300 out")
        picture = terminal.picture
        assert len(picture) == 24
        assert max(map(len, picture)) <= 80
        assert "RULES  1 run" in "\n".join(picture)
        assert picture[-1] == "q quits"
        terminal.press(b"q")
        assert terminal.wait() == 0
        assert terminal.written.endswith(LEAVE)
        assert terminal.modes == terminal.before


def test_what_a_record_says_is_no_command_to_the_terminal(agent: AgentProcess) -> None:
    raise_alert(agent, HOSTILE, 1)
    with top(agent) as terminal:
        terminal.shows("\\u001b[2Jeve")
        assert "\x1b[2J" not in terminal.written
        assert "\x07" not in terminal.written


@pytest.mark.parametrize("end", ["ctrl-c", "SIGTERM", "SIGHUP"])
def test_however_it_ends_the_terminal_is_as_before(agent: AgentProcess, end: str) -> None:
    with top(agent) as terminal:
        terminal.shows("LATEST ALERTS")
        if end == "ctrl-c":
            terminal.press(b"\x03")
            assert terminal.wait() == 0
        else:
            terminal.signal(signal.Signals[end])
            assert terminal.wait() == 128 + signal.Signals[end]
        assert terminal.written.endswith(LEAVE)
        assert terminal.modes == terminal.before


def test_ctrl_z_gives_the_terminal_back_until_it_goes_on(agent: AgentProcess) -> None:
    with top(agent) as terminal:
        terminal.shows("LATEST ALERTS")
        terminal.press(b"\x1a")
        terminal.wait_until(lambda: terminal.written.endswith(LEAVE))
        terminal.wait_until_stopped()
        terminal.signal(signal.SIGCONT)
        terminal.wait_until(lambda: terminal.written.count(ENTER) == 2)
        terminal.press(b"q")
        assert terminal.wait() == 0
        assert terminal.modes == terminal.before


def test_it_fits_a_terminal_that_changes_its_size(agent: AgentProcess) -> None:
    with top(agent) as terminal:
        terminal.shows("LATEST ALERTS")
        terminal.resize(160, 50)
        terminal.signal(signal.SIGWINCH)
        terminal.wait_until(lambda: len(terminal.picture) == 50)
        assert max(map(len, terminal.picture)) == 160


def test_an_agent_that_goes_away_is_told_of_and_its_last_picture_stays(agent: AgentProcess) -> None:
    with top(agent) as terminal:
        terminal.shows("LATEST ALERTS")
        agent.stop()
        terminal.shows("! no answer from 127.0.0.1:")
        assert "RULES  1 run" in "\n".join(terminal.picture)
        terminal.press(b"q")
        assert terminal.wait() == 0


@pytest.mark.parametrize(("variables", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_colours(agent: AgentProcess, variables: dict[str, str], coloured: bool) -> None:
    with top(agent, **variables) as terminal:
        terminal.shows("LATEST ALERTS")
        assert ("\x1b[1m" in terminal.written) is coloured
        assert ("\x1b[32m" in terminal.written) is coloured


def test_one_picture_where_there_is_no_terminal(agent: AgentProcess) -> None:
    raise_alert(agent, HOSTILE, 1)
    command = [str(FIRSTSEEN), "top", "-c", str(agent.config)]
    env = os.environ | {"PYTHONUTF8": "1"}
    once = subprocess.run([*command, "--once"], capture_output=True, text=True, timeout=60, check=True, env=env)
    assert "LATEST ALERTS" in once.stdout
    assert "\x1b" not in once.stdout
    live = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (live.returncode, "--once" in live.stderr) == (2, True)


def test_alerts_as_they_come_each_once(agent: AgentProcess) -> None:
    raise_alert(agent, "arn:aws:iam::111122223333:user/before", 0)
    command = [str(FIRSTSEEN), "tap", "-c", str(agent.config), "--output", "json", "--last", "1"]
    with Program(command) as tap:
        tap.wait_for("user/before")
        for number in range(3):
            raise_alert(agent, f"arn:aws:iam::111122223333:user/u{number}", number + 1)
            tap.wait_for(f"user/u{number}")
        raise_alert(agent, HOSTILE, 9)
        tap.wait_for("u001b")
        assert Visitor(agent.http).ask("/status")[0] == 401
    told = [json.loads(line) for line in tap.lines]
    values = [alert["terms"][0]["value"].rpartition("/")[2] for alert in told]
    assert values == ["before", "u0", "u1", "u2", HOSTILE.rpartition("/")[2]]
    assert len({alert["id"] for alert in told}) == 5


def test_alerts_of_somebody_in_lines_for_people(agent: AgentProcess) -> None:
    with Program([str(FIRSTSEEN), "tap", "-c", str(agent.config), "--term", "*/e*", "--last", "9"]) as tap:
        raise_alert(agent, "arn:aws:iam::111122223333:user/ada", 1)
        raise_alert(agent, HOSTILE.replace("eve", "e"), 2)
        raise_alert(agent, "arn:aws:iam::111122223333:user/eve", 3)
        tap.wait_for("user/eve")
    (line,) = tap.lines
    assert "First GetCallerIdentity by an AWS identity: arn:aws:iam::111122223333:user/eve not seen" in line
