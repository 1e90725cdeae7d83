"""Rules and configuration loaded anew under load: nothing is lost, what is broken is kept out, and records go on."""

import json
import signal
import socket
import ssl
import subprocess
import time
from pathlib import Path
from shutil import copytree
from statistics import median

import pytest

from bench.rulesets import rules_called
from support.agent import FIRST_RULE, FIRSTSEEN, AgentProcess, write_config
from support.authority import Authority
from support.peers import Sink
from support.rulebook import rule_text
from support.steady import Arrivals, SteadyFlow, chunk
from support.visitor import Visitor

pytestmark = pytest.mark.e2e

SHIPPED = FIRST_RULE.parent
ELASTIC = Path(__file__).parents[3] / "shared/rules/elastic"
"""Elastic's rules for AWS, where they are beside the checkout."""

PAUSE_S = 0.05
"""The longest that a reload may hold up a chunk."""


QUIET_S = 0.15
"""Between two reloads."""

Windows = list[tuple[float, float]]
"""Each from one moment to another, by the steady clock."""


class Site:
    """A configuration and a folder of rules, which are changed and broken; and how often the agent was told."""

    def __init__(self, folder: Path, sink: Sink, rules: Path) -> None:
        self.rules = copytree(rules, folder / "rules")
        self.config = write_config(
            folder / "firstseen.toml",
            downstream=sink.address,
            state=folder / "state",
            rules=self.rules,
            http="127.0.0.1:0",
        )
        self._sound = self.config.read_text()
        self._extra = self.rules / "extra.toml"

    def change(self, number: int) -> str:
        """Change something for the reload of this number, and break every third; what is broken is told of so."""
        if number % 3 == 0:
            return self.break_rule() if number % 2 else self.break_config()
        self.mend(number)
        if number % 4 == 0:
            for file in self.rules.rglob("*.toml"):  # each of them is another one
                file.write_text(f"{file.read_text('utf-8')}\n# {number}\n", "utf-8")
        return ""

    def break_rule(self) -> str:
        self._extra.write_text(rule_text("event.action: ("))
        return "extra.toml"

    def break_config(self) -> str:
        self.config.write_text(self._sound.replace('map_size = "64MiB"', 'map_size = "64 apples"'))
        return "state.map_size"

    def mend(self, number: int) -> None:
        """Sound again, and different: one of the rules has another query each time."""
        self.config.write_text(self._sound)
        self._extra.write_text(rule_text(f"event.action: Call{number}"))


def reloads(agent: AgentProcess) -> list[dict[str, object]]:
    return [happening for happening in agent.events if happening["event"] in ("reloaded", "reload_failed")]


def reload(agent: AgentProcess, number: int) -> dict[str, object]:
    """Have the agent reload for the time ``number``, from 1; what it says at the end."""
    agent.signal(signal.SIGHUP)
    agent.wait_until(lambda: len(reloads(agent)) >= number)
    return reloads(agent)[number - 1]


def hold(folder: Path, rules: Path, count: int, looked_at: int) -> None:
    """Reload ``count`` times under load, of which every third time something is broken.

    What the agent shows is looked at for the first ``looked_at`` of them: it is up to a second old.
    """
    arrivals = Arrivals()
    quiet: list[tuple[float, float]] = []
    busy: list[tuple[float, float]] = []
    with Sink(arrivals) as sink:
        site = Site(folder, sink, rules)
        with AgentProcess(site.config) as agent:
            visitor = Visitor(agent.http)
            with SteadyFlow(agent.port, arrivals) as flow:
                time.sleep(0.5)
                for number in range(1, count + 1):
                    what = site.change(number)
                    time.sleep(QUIET_S)
                    begun_s = time.monotonic()
                    said = reload(agent, number)
                    time.sleep(0.05)
                    quiet.append((begun_s - QUIET_S, begun_s - 0.05))
                    busy.append((begun_s - 0.01, time.monotonic()))
                    check(number, what, said, agent)
                    if what and number <= looked_at:
                        check_status(number, what, visitor)
            visitor.until(lambda told: bool(told["rules"]["reloads"] == count))
            scraped = visitor.scrape()
            assert scraped.total("firstseen_reloads_total") == count
            assert scraped.total("firstseen_reloads_failed_total") == count // 3
            scraped.assert_sums()
            totals = agent.stop()
        assert totals["records_in"] == totals["records_out"] == len(flow.ids)
        assert [entry.record["eventID"] for entry in sink.entries] == flow.ids
    hold_up(flow, quiet, busy)


def hold_up(flow: SteadyFlow, quiet: Windows, busy: Windows) -> None:
    """Chunks that are sent during reloads are held up no longer than they may be.

    A machine that does other things as well holds up some, and then those that are sent in between too: what it does
    to these is allowed for.
    """
    before, during = (sorted(flow.worst_s(*window) for window in windows) for windows in (quiet, busy))
    told = f"in between {_told(before)}; during reloads {_told(during)}"
    print(told)
    assert median(during) <= PAUSE_S + before[len(before) * 9 // 10], told
    assert during[len(during) * 9 // 10] <= PAUSE_S + 2 * before[-1], told


def check(number: int, what: str, said: dict[str, object], agent: AgentProcess) -> None:
    """The reload of this number has failed for ``what``, if for anything, and the log says so."""
    assert (said["event"] == "reload_failed") == bool(what)
    if what:
        problem = agent.events[-2]
        assert problem["event"] == "reload_problem"
        assert what in problem["problem"]
        assert said["kept"] == [each["rules"] for each in agent.events if each["event"] == "reloaded"][-1]


def check_status(number: int, what: str, visitor: Visitor) -> None:
    """And so does what the agent shows of itself."""
    told = visitor.until(lambda told: bool(told["rules"]["reloads"] == number))["rules"]
    assert told["failed_reloads"] == number // 3
    (problem,) = told["problems"]
    assert what in problem
    assert "rules_not_loaded" in visitor.readyz()


def _told(worst_s: list[float]) -> str:
    shown = (median(worst_s), worst_s[len(worst_s) * 9 // 10], worst_s[-1])
    return "median {:.1f} ms, nine of ten {:.1f} ms, worst {:.1f} ms".format(*(each * 1e3 for each in shown))


def test_twenty_reloads_under_load(tmp_path: Path) -> None:
    hold(tmp_path, SHIPPED, 20, 3)


@pytest.mark.slow
@pytest.mark.parametrize("rules", [SHIPPED, ELASTIC], ids=["shipped", "elastic"])
def test_a_hundred_reloads_under_load(tmp_path: Path, rules: Path) -> None:
    if not rules.is_dir():
        pytest.skip(f"there are no rules in {rules}")
    hold(tmp_path, rules, 100, 100)


@pytest.mark.slow
def test_reloads_of_hundreds_of_rules_under_load(tmp_path: Path) -> None:
    hold(tmp_path, rules_called("many", tmp_path), 12, 0)


def test_validate_tells_what_the_reload_does(tmp_path: Path) -> None:
    with Sink() as sink:
        site = Site(tmp_path, sink, SHIPPED)
        site.mend(1)
        with AgentProcess(site.config) as agent:
            agent.wait_for("ready")
            site.mend(2)
            (site.rules / FIRST_RULE.name).unlink()
            site.config.write_text(site.config.read_text().replace("64MiB", "32MiB") + '[geoip]\ncity = ""\n')
            site.config.write_text(site.config.read_text().replace("[output]\n", "[output]\nconnections = 2\n"))
            told = foretold(site.config)
            said = reload(agent, 1)
            site.break_rule()
            refused = foretold(site.config, code=78)
            reload(agent, 2)
            problem = agent.wait_for("reload_problem")["problem"]
    assert told["against"] == refused["against"] == "agent"
    assert {name: len(found) for name, found in told["changes"].items()}.items() <= said.items()
    assert (said["rules"], said["removed"], said["changed"]) == (told["rules"], 1, 1)
    assert (told["changes"]["taken"], told["changes"]["waits"]) == (["state.map_size"], ["output.connections"])
    assert [each["event"] for each in agent.events if each["event"] in ("rule_changed", "rule_removed")] == [
        "rule_changed",
        "rule_removed",
    ]
    assert refused["refused"] == [problem]


def test_the_agent_tells_it_by_its_own_environment(tmp_path: Path) -> None:
    with Sink() as sink:
        site = Site(tmp_path, sink, SHIPPED)
        keyed = site.config.read_text().replace("[input]\n", '[input]\nshared_key = "${FIRSTSEEN_TEST_KEY}"\n')
        site.config.write_text(keyed)
        with AgentProcess(site.config, environment={"FIRSTSEEN_TEST_KEY": "secret"}) as agent:
            agent.wait_for("ready")
            told = foretold(site.config)
            assert reload(agent, 1)["event"] == "reloaded"
            site.config.write_text(f"{keyed}[htpp]\n")
            refused = foretold(site.config, code=78)
            assert reload(agent, 2)["event"] == "reload_failed"
    assert (told["against"], told["refused"], refused["against"]) == ("agent", [], "agent")
    assert [agent.wait_for("reload_problem")["problem"]] == refused["refused"]


@pytest.mark.parametrize("becomes", ["a directory", "a link to nothing", "a link to itself"])
def test_a_file_of_a_rule_that_cannot_be_read_any_more_is_no_rule_that_was_removed(
    tmp_path: Path, becomes: str
) -> None:
    with Sink() as sink:
        site = Site(tmp_path, sink, SHIPPED)
        file = site.rules / FIRST_RULE.name
        with AgentProcess(site.config) as agent:
            rules = agent.wait_for("ready")["rules"]
            file.unlink()
            if becomes == "a directory":
                file.mkdir()
            else:
                file.symlink_to(file if becomes == "a link to itself" else tmp_path / "nowhere")
            refused = foretold(site.config, code=78)["refused"]
            said = reload(agent, 1)
    assert (said["event"], said["kept"]) == ("reload_failed", rules)
    assert [agent.wait_for("reload_problem")["problem"]] == refused
    assert str(refused[0]).startswith(f"{file}: ")


def shown(port: int, root: Path) -> str:
    """The serial number of the certificate that the agent shows, which has to lead to ``root``."""
    context = ssl.create_default_context(cafile=str(root))
    with (
        socket.create_connection(("127.0.0.1", port), timeout=60) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secured,
    ):
        certificate = secured.getpeercert()
        assert certificate is not None
        return str(certificate["serialNumber"])


def test_certificates_are_renewed_and_broken_ones_are_not_taken(tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    old, new = (Authority(tmp_path / name, "root") for name in ("old", "new"))
    used, fresh = old.issue("localhost"), new.issue("localhost")
    with Sink() as sink:
        config = write_config(
            tmp_path / "firstseen.toml",
            downstream=sink.address,
            state=tmp_path / "state",
            listen="tls://127.0.0.1:0",
            extra=f'input: tls = {{cert = "{used.cert}", key = "{used.key}"}}',
        )
        with AgentProcess(config) as agent:
            serial = shown(agent.port, old.file)
            standing = socket.create_connection(("127.0.0.1", agent.port), timeout=60)
            with ssl.create_default_context(cafile=str(old.file)).wrap_socket(
                standing, server_hostname="localhost"
            ) as client:
                used.cert.write_text("no certificate")
                assert reload(agent, 1)["event"] == "reload_failed"
                assert "input.tls.cert" in agent.wait_for("reload_problem")["problem"]
                assert shown(agent.port, old.file) == serial
                used.cert.write_bytes(fresh.cert.read_bytes())
                used.key.write_bytes(fresh.key.read_bytes())
                assert reload(agent, 2)["event"] == "reloaded"
                assert shown(agent.port, new.file) != serial
                client.sendall(chunk(0))
                assert client.recv(100)
                client.sendall(chunk(1))
                assert client.recv(100)
            assert agent.stop()["chunks_out"] == 2


def foretold(config: Path, code: int = 0) -> dict[str, dict[str, list[object]]]:
    command = [FIRSTSEEN, "validate", "-c", str(config), "--changes", "--output", "json"]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    assert done.returncode == code, done.stderr
    told: dict[str, dict[str, list[object]]] = json.loads(done.stdout)["reload"]
    return told
