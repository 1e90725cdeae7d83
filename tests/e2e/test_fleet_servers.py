"""Installed agents on a server that asks for everything: TLS, certificates, a user who may do only what is needed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from firstseen.detect.keys import state_key
from firstseen.detect.law import Occurrence
from firstseen.detect.new_terms import NewTermsLaw
from firstseen.stateurl import StateUrl
from firstseen.store.base import Entry, RuleState, Wanted
from firstseen.store.redis.access import Access
from firstseen.store.redis.link import Link
from firstseen.store.redis.owner import Owner
from firstseen.store.redis.store import RedisStore
from support.agent import AgentProcess, write_config
from support.authority import Authority
from support.peers import Sink, Source
from support.redis import RedisServer, claim_all, free_port
from support.rulebook import call
from support.weather import frame

pytestmark = [pytest.mark.e2e, pytest.mark.redis]

PAGE = Path(__file__).parents[2] / "docs/state.md"
PASSWORD = "s3cret word"
SCRIPTS = sorted((Path(__file__).parents[2] / "plugin/firstseen/store/redis").glob("*.lua"))
RULE = RuleState(b"rule's 8", "rule", "Rule")
ARN = "arn:aws:iam::111122223333:user/ada"


class Site:
    """The server, and configurations of agents that use it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        own = Authority(folder, "own")
        pem, self.client = own.issue("127.0.0.1"), own.issue("agent.example.com")
        self.ca = own.file
        self.tls_port = free_port()
        files = {"cert-file": pem.cert, "key-file": pem.key, "ca-cert-file": own.file}
        settings = [part for name, file in files.items() for part in (f"--tls-{name}", str(file))]
        settings += ["--tls-port", str(self.tls_port), "--tls-auth-clients", "yes"]
        (folder / "server").mkdir()
        self.server = RedisServer(folder / "server", *settings)
        self.server.call("ACL", "SETUSER", "firstseen", "on", f">{PASSWORD}", *documented_rules())
        self.password_file = folder / "password"
        self.password_file.write_text(PASSWORD)

    def config(self, name: str, downstream: str, **changed: str) -> Path:
        settings = {
            "url": json.dumps(f"rediss://firstseen@127.0.0.1:{self.tls_port}/0"),
            "password_file": json.dumps(str(self.password_file)),
            "tls.ca": json.dumps(str(self.ca)),
            "tls.cert": json.dumps(str(self.client.cert)),
            "tls.key": json.dumps(str(self.client.key)),
        } | {key: json.dumps(value) for key, value in changed.items()}
        return write_config(
            self._folder / f"{name}.toml",
            downstream=downstream,
            state=self._folder / name,
            extra="\n".join(f"state: {key} = {value}" for key, value in settings.items()),
        )


def documented_rules() -> list[str]:
    """What the page on the state has the operator allow to the user."""
    (rules,) = re.findall(r"^ACL SETUSER firstseen on >\S+ (.+)$", PAGE.read_text("utf-8"), re.MULTILINE)
    return rules.split()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("site"))
    yield made
    made.server.kill()


def test_two_agents_share_a_state_on_a_server_that_asks_for_everything(site: Site) -> None:
    site.server.call("CONFIG", "SET", "maxmemory", "100mb", "maxmemory-policy", "allkeys-lru")
    with ExitStack() as stack:
        sink = stack.enter_context(Sink())
        agents = [stack.enter_context(AgentProcess(site.config(name, sink.address))) for name in ("a", "b")]
        for number, agent in enumerate(agents):
            source = stack.enter_context(Source(agent.port))
            source.send(frame(f"c{number}", call(ARN, f"e-{number}")))
            assert source.ack() == f"c{number}"
        for agent in agents:
            warning = agent.wait_for("state_at_risk")
            assert "its maxmemory-policy is allkeys-lru; set it to noeviction" in warning["reason"]
            agent.stop()
            assert not [each for each in agent.events if each["event"] == "state_not_written"]
            assert PASSWORD not in json.dumps(agent.events)
        first, second = (entry.record for entry in sink.entries)
    assert ("alerts" in first, "alerts" in second) == (True, False)
    assert refused(site.server) == []


def test_the_user_may_do_all_that_is_done_with_a_state(site: Site, tmp_path: Path) -> None:
    asked = Access("firstseen", PASSWORD.encode(), site.ca, *site.client)
    link = Link(StateUrl(f"rediss://127.0.0.1:{site.tls_port}/0"), asked)
    store = RedisStore(link, b"firstseen:", Owner.take(tmp_path), 30_000)
    store.begin()
    store.register([RULE], 1)
    (claim,) = claim_all(store, [Wanted(RULE, ("a",), Occurrence(1, "e"), NewTermsLaw(10))])
    store.confirm([claim]).result(30)
    memory = store.get(RULE.key, ("a",))
    assert memory is not None
    more = Entry(RULE.key, ("b",), memory)
    store.absorb(list(store.rules()), [more])
    store.fold({state_key(RULE.key, ("c",)): more._replace(terms=("c",))}, {b"mark": b"m"})
    assert store.mark(b"mark") == b"m"
    assert {entry.terms for entry in store.entries(RULE.key)} == {("a",), ("b",), ("c",)}
    assert store.stats().used_bytes > 0
    store.forget(RULE.key, [("a",)])
    store.forget_history(RULE.key)
    store.close()
    assert refused(site.server) == []
    in_scripts = {name for file in SCRIPTS for name in re.findall(r"redis\.call\('([A-Z]+)'", file.read_text())}
    assert {f"+{name.lower()}" for name in in_scripts} <= set(documented_rules())


def refused(server: RedisServer) -> list[Any]:
    """What users tried that they may not; what clients say of themselves does not count."""
    told: Any = server.call("ACL LOG")
    entries = [dict(zip(each[::2], each[1::2], strict=True)) if isinstance(each, list) else each for each in told]
    objects = [entry.get(b"object", entry.get("object")) for entry in entries]
    return [each for each in objects if each not in (b"client|setinfo", "client|setinfo")]


def test_an_agent_that_is_not_let_in_says_why_and_ends(site: Site) -> None:
    with AgentProcess(site.config("refused", "127.0.0.1:1", username="eve")) as agent:
        assert agent.wait() != 0
        said = json.dumps(agent.events)
    assert "look at username and password, under [state] or in its url" in said
    assert PASSWORD not in said
