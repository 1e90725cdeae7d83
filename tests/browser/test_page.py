"""The status page in a browser: whole, renewed in place, in both colour schemes, whatever an attacker is called."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest

from support.agent import AgentProcess, write_config
from support.browser import CHROMIUM, Browser
from support.peers import Sink, Source
from support.rulebook import call, rule_id, rule_text
from support.visitor import Visitor

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on PATH"),
]

EVIL = 'arn:aws:iam::111122223333:user/"><img src=x onerror="window.evil=1"><script>window.evil=2</script>'

CONTRAST = """
(() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (node) => {
    for (let each = node; each; each = each.parentElement) {
      const colour = parse(getComputedStyle(each).backgroundColor);
      if (colour.length < 4 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const bad = [];
  for (const node of document.querySelectorAll("body *")) {
    const own = [...node.childNodes].some((each) => each.nodeType === 3 && each.textContent.trim());
    if (!own || node.closest("svg") || !node.checkVisibility()) continue;
    const [one, other] = [light(parse(getComputedStyle(node).color)), light(ground(node))].sort((a, b) => b - a);
    const ratio = (one + 0.05) / (other + 0.05);
    if (ratio < 4.5) bad.push(`${node.className || node.tagName} ${node.textContent.slice(0, 30)} ${ratio.toFixed(2)}`);
  }
  return bad;
})()
"""


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("chromium")) as made:
        yield made


@pytest.fixture
def browser(chromium: Browser) -> Browser:
    chromium.anew()
    return chromium


class Agents:
    """An agent with rules, and what comes to it."""

    def __init__(self, folder: Path, sink: Sink) -> None:
        (folder / "rules").mkdir()
        (folder / "rules/a.toml").write_text(rule_text())
        learner = rule_text("event.action: AssumeRole", ["user.name"], rule_id=rule_id(2))
        (folder / "rules/b.toml").write_text(learner.replace("A rule for tests", "A rule that learns"))
        config = write_config(
            folder / "firstseen.toml",
            downstream=sink.address,
            state=folder / "state",
            rules=folder / "rules",
            http="127.0.0.1:0",
        )
        config.write_text(config.read_text().replace("[rules]\n", "[rules]\nlearning = {'*learns' = '3d'}\n"))
        self.agent = AgentProcess(config)
        self.sent = 0

    def send(self, *events: dict[str, Any]) -> None:
        self.sent += 1
        with Source(self.agent.port) as client:
            client.send(msgpack.packb(["aws", [[1_790_000_000, each] for each in events], {"chunk": f"c{self.sent}"}]))
            assert client.ack() == f"c{self.sent}"

    def call(self, name: str) -> None:
        self.send(call(f"arn:aws:iam::111122223333:user/{name}", f"e-{self.sent}-{name}"))


@pytest.fixture
def agents(tmp_path: Path, sink: Sink) -> Iterator[Agents]:
    made = Agents(tmp_path, sink)
    with made.agent:
        Visitor(made.agent.http).until_ready()
        yield made


def text(browser: Browser) -> str:
    said = browser.value("document.body.innerText")
    assert isinstance(said, str)
    return said


def test_a_page_that_is_whole_and_asks_for_nothing_elsewhere(agents: Agents, browser: Browser) -> None:
    agents.call("ada")
    browser.visit(f"{agents.agent.http}/")

    said = text(browser)
    assert browser.value("document.title") == "firstseen"
    assert "arn:aws:iam::111122223333:user/ada" in said
    assert "A rule that learns" in said
    assert "2d 23h left" in said
    assert browser.value("getComputedStyle(document.querySelector('.tile')).borderRadius") == "10px"
    browser.value("new Promise((done) => setTimeout(done, 300))")
    assert {url.removeprefix(agents.agent.http) for url in browser.asked} <= {"/", "/page.css", "/page.js", "/icon.svg"}
    assert browser.complaints == []


def test_it_renews_itself_and_leaves_open_what_is_open(agents: Agents, browser: Browser) -> None:
    agents.send(*[call(f"arn:aws:iam::111122223333:user/u{number}", f"e-{number}") for number in range(20)])
    browser.visit(f"{agents.agent.http}/")
    browser.value("window.same = true; document.querySelector('#earlier > summary').focus()")
    browser.value("document.getElementById('earlier').open = true")

    agents.call("late")
    browser.until("document.body.innerText.includes('user/late')")

    assert browser.value("window.same") is True
    assert browser.value("document.getElementById('earlier').open") is True
    assert browser.value("document.activeElement.id") == "earlier-summary"
    assert browser.complaints == []


def test_whatever_an_attacker_is_called_is_text(agents: Agents, browser: Browser) -> None:
    agents.send(call(EVIL, "e-1"))
    browser.visit(f"{agents.agent.http}/")
    agents.call("bob")
    browser.until("document.body.innerText.includes('user/bob')")

    assert EVIL in text(browser)
    assert browser.value("[typeof window.evil, document.images.length, document.scripts.length]") == ["undefined", 0, 1]


def test_an_agent_that_is_gone_is_said_to_be(agents: Agents, browser: Browser) -> None:
    browser.visit(f"{agents.agent.http}/")
    assert browser.value("document.getElementById('away').hidden") is True

    agents.agent.stop()
    browser.until("!document.getElementById('away').hidden")

    assert "No answer since" in text(browser)
    assert "At a glance" in text(browser)


def test_an_agent_that_is_not_ready_says_so_above_everything(tmp_path: Path, browser: Browser) -> None:
    with Sink() as gone:
        pass
    agents = Agents(tmp_path, gone)
    with agents.agent:
        browser.visit(f"{agents.agent.http}/")
        assert browser.value("document.title") == "firstseen: not ready"
        said = text(browser)
        assert "downstream unreachable: no server downstream was reached yet" in said
        assert said.index("Not ready") < said.index("Records per second")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [400, 820, 1280])
def test_it_fits_and_can_be_read(agents: Agents, browser: Browser, tmp_path: Path, width: int, dark: bool) -> None:
    agents.send(call(EVIL, "e-1"), call("arn:aws:sts::111122223333:assumed-role/" + "x" * 200, "e-2"))
    agents.send(call("arn:aws:iam::111122223333:user/ada", "e-3", "AssumeRole"))
    browser.look(width, dark=dark)
    browser.visit(f"{agents.agent.http}/")
    browser.value("document.querySelectorAll('details').forEach((each) => { each.open = true; })")

    assert browser.value("document.documentElement.scrollWidth") <= width
    assert browser.value(CONTRAST) == []
    assert browser.value(
        "[...document.querySelectorAll('.ends code')].map((each) => each.getClientRects().length)"
    ) == [1, 1]
    background = browser.value("getComputedStyle(document.body).backgroundColor")
    assert background == ("rgb(17, 21, 23)" if dark else "rgb(246, 247, 247)")
    browser.picture(tmp_path / "page.png")
    assert (tmp_path / "page.png").stat().st_size > 10_000


def test_it_works_without_scripts(agents: Agents, browser: Browser) -> None:
    agents.call("ada")
    browser.without_scripts()
    browser.visit(f"{agents.agent.http}/")

    assert "arn:aws:iam::111122223333:user/ada" in text(browser)
    assert "No answer" not in text(browser)
