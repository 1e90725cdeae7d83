import json
import logging
from collections.abc import Callable
from pathlib import Path

import msgpack
import pytest

from firstseen import config
from firstseen.detect.matches import Moment
from firstseen.engine import Engine
from firstseen.errors import RuleError, StoreError
from firstseen.geoip import GeoIp
from firstseen.metrics import Counts
from firstseen.rulekeeper import (
    LONGEST_WAIT_S,
    RuleKeeper,
    configured_policy,
    configured_rules,
    not_in_cloudtrail,
    tell_of,
    unused_patterns,
)
from firstseen.store.lmdb import LmdbStore
from support.documents import Document
from support.rulebook import rule_text

DAY_MS = 86_400_000
CALL = Document({"event.action": "explain", "user.name": "ada"})


class Timers:
    """A loop's timers, of which the test says when they are due; and its clock."""

    def __init__(self) -> None:
        self.now_ms = 0
        self.set: list[tuple[float, Callable[[], None], Timer]] = []

    def call_later(self, seconds: float, call: Callable[[], None]) -> "Timer":
        timer = Timer()
        self.set.append((seconds, call, timer))
        return timer

    @property
    def waiting(self) -> list[float]:
        return [seconds for seconds, _, timer in self.set if not timer.cancelled]

    def pass_by(self, milliseconds: int) -> None:
        """Let time pass, and call what is set."""
        self.now_ms += milliseconds
        (call,) = [call for _, call, timer in self.set if not timer.cancelled]
        self.set.clear()
        call()


class Timer:
    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Bench:
    """A configuration on disk, and the engine that runs its rules."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "rules").mkdir()
        (folder / "exceptions").mkdir()
        self.configure()
        self.write("rules/a.toml", rule_text("event.action: explain", ["user.name"]))
        self.timers = Timers()
        self.store = LmdbStore.open(folder / "state", 1 << 22, durable=False)

    def configure(self, more: str = "") -> None:
        self.write("firstseen.toml", f'[rules]\npaths = ["rules"]\nexceptions = ["exceptions"]\n{more}')

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def start(self) -> RuleKeeper:
        settings = config.load(self.folder / "firstseen.toml")
        rules = configured_rules(settings, self.timers.now_ms, GeoIp())
        policy = configured_policy(settings)
        self.engine = Engine(rules, self.store, Counts(), lambda: self.timers.now_ms, policy=policy)
        return RuleKeeper(settings, self.engine, GeoIp(), lambda: self.timers.now_ms, self.timers.call_later)

    def matches(self) -> bool:
        return bool(self.engine.rules.matches(CALL))


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path)
    yield bench
    bench.store.close()


def until(day: int) -> str:
    """An exception for everybody called ada, up to this day of 1970."""
    return f'[[exception]]\nname = "ada"\nquery = "user.name: ada"\nexpires = 1970-01-{day:02}T00:00:00Z\n'


def logged(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_what_was_learned_of_records_is_forgotten_with_the_databases_that_say_where_they_come_from(bench):
    keeper = bench.start()
    asked = bench.engine.rules.some([(0,)])
    seen = asked.glances.at(msgpack.packb({"eventName": "explain", "eventSource": "a", "eventID": "e-1"}))
    asked.likeness(seen).learn([])
    bench.write("rules/a.toml", "broken")

    keeper.reload()

    assert keeper.failed_reloads == 1
    assert bench.engine.rules.some([(0,)]) is asked, "the rules are the same as before"
    assert asked.likeness(seen).recalled() is None


def test_an_exception_ends_while_the_agent_runs(bench, caplog):
    caplog.set_level(logging.INFO)
    bench.write("exceptions/a.toml", until(2))
    bench.start()
    assert not bench.matches()
    assert bench.timers.waiting == [LONGEST_WAIT_S]
    bench.timers.pass_by(DAY_MS - 1_500)
    assert not bench.matches()
    assert bench.timers.waiting == [1.5]
    assert not logged(caplog)
    bench.timers.pass_by(1_500)
    assert bench.matches()
    assert [line.split()[0] for line in logged(caplog)] == ["exception_expired"]
    assert caplog.records[0].levelname == "WARNING"
    assert bench.timers.waiting == [LONGEST_WAIT_S]


def test_a_clock_that_is_set_forward_is_noticed(bench):
    bench.write("exceptions/a.toml", until(20))
    bench.start()
    bench.timers.pass_by(25 * DAY_MS)
    assert bench.matches()


def test_the_history_goes_on_when_an_exception_ends(bench):
    bench.write("exceptions/a.toml", until(2))
    bench.start()
    bench.timers.pass_by(DAY_MS)
    assert bench.matches()
    assert len(list(bench.store.rules())) == 1


def test_rules_and_exceptions_are_loaded_anew(bench, caplog):
    caplog.set_level(logging.INFO)
    bench.write("exceptions/a.toml", until(9))
    keeper = bench.start()
    bench.write("exceptions/a.toml", until(1) + '[[exception]]\nname = "z"\nrules = ["gone"]\nquery = "a: 1"\n')
    bench.timers.now_ms = DAY_MS
    keeper.reload()
    assert bench.matches()
    assert [line.split()[0] for line in logged(caplog)] == ["exception_expired", "exception_unused", "reloaded"]
    assert len(bench.timers.waiting) == 1


def test_what_is_loaded_anew_ends_at_its_own_moment(bench):
    bench.write("exceptions/a.toml", until(9))
    keeper = bench.start()
    bench.timers.now_ms = DAY_MS - 60_000
    bench.write("exceptions/a.toml", until(2))
    keeper.reload()
    assert bench.timers.waiting == [60.0]


def test_a_broken_exception_keeps_the_old_ones(bench, caplog):
    bench.write("exceptions/a.toml", until(9))
    keeper = bench.start()
    bench.write("exceptions/a.toml", "[[exception]]\n")
    bench.write("rules/a.toml", rule_text("event.action: ("))
    keeper.reload()
    assert not bench.matches()
    assert [line.split()[0] for line in logged(caplog)] == ["reload_problem", "reload_problem", "reload_failed"]


def test_a_state_that_cannot_be_written_is_tried_again(bench, caplog, monkeypatch):
    bench.write("exceptions/a.toml", until(2))
    bench.start()

    def full(*_):
        raise StoreError("the map is full")

    with monkeypatch.context() as patched:
        patched.setattr(bench.store, "register", full)
        bench.timers.pass_by(DAY_MS)
    assert not bench.matches()
    assert [line.split()[0] for line in logged(caplog)] == ["expiry_failed"]
    assert bench.timers.waiting == [1.0]
    bench.timers.pass_by(1_000)
    assert bench.matches()


def test_learning_and_shadow_end_at_their_moment(bench, caplog):
    caplog.set_level(logging.INFO)
    bench.configure('learning = {"*" = "10m"}\nshadow = {"*" = 1970-01-01T00:15:00Z}\n')
    bench.start()
    assert bench.timers.waiting == [600.0]
    bench.timers.pass_by(599_990)
    assert bench.timers.waiting == [0.01]
    bench.timers.pass_by(10)
    assert bench.timers.waiting == [300.0]
    bench.timers.pass_by(300_000)
    assert bench.timers.waiting == [LONGEST_WAIT_S]
    names = [line.split()[0] for line in logged(caplog)]
    assert names == ["rule_learning", "rule_learning_ended", "rule_shadow", "rule_shadow_ended"]


def test_the_end_of_a_flood_is_waited_for(bench, caplog):
    bench.write("rules/a.toml", rule_text("event.action: explain", ["user.name"]) + "max_signals = 1\n")
    bench.start()
    event = {"event": {"action": "explain", "id": "e"}, "user": {"name": ["ada", "bob"]}}
    bench.timers.now_ms = 299_000
    bench.engine.inspect(event, Moment(299_000, 299_000), str)
    assert bench.timers.waiting == [301.0]
    bench.timers.pass_by(301_000)
    assert bench.timers.waiting == [LONGEST_WAIT_S]
    assert [line.split()[0] for line in logged(caplog)] == ["breaker_tripped", "breaker_recovered"]


def test_rules_that_are_loaded_anew_learn_if_they_are_new(bench, caplog):
    caplog.set_level(logging.INFO)
    bench.configure('[state]\nlearning_period = "10m"\n')
    keeper = bench.start()
    bench.timers.now_ms = 60_000
    bench.write("rules/b.toml", rule_text("event.action: explain", ["user.name"], rule_id="b"))
    keeper.reload()
    assert [health.learning_until_ms for health in bench.engine.health()] == [600_000, 660_000]
    bench.write("rules/a.toml", rule_text("event.action: (explain or resolve)", ["user.name"]))
    bench.timers.now_ms = 120_000
    keeper.reload()
    assert [health.learning_until_ms for health in bench.engine.health()] == [720_000, 660_000]
    assert bench.timers.waiting == [540.0]
    names = [line.split()[0] for line in logged(caplog)]
    assert names == ["rule_learning"] * 2 + ["reloaded", "rule_changed", "rule_learning", "reloaded"]


def test_settings_of_rules_that_are_not_there_are_told_of(bench, caplog):
    bench.configure('learning = {"A rule*" = "1d", gone = "2d"}\nshadow = {lost = true}\n')
    bench.start()
    policy = configured_policy(config.load(bench.folder / "firstseen.toml"))
    told = [("rules.learning", "there is no rule gone"), ("rules.shadow", "there is no rule lost")]
    assert unused_patterns(bench.engine.rules, policy) == told
    caplog.clear()
    tell_of(bench.engine.rules, policy)
    assert [line.split()[0] for line in logged(caplog)] == ["setting_unused"] * 2


def test_what_does_not_run_is_told_of(bench, caplog):
    caplog.set_level(logging.INFO)
    bench.write("rules/b.toml", rule_text(rule_id="b").replace('"new_terms"', '"eql"'))
    bench.write("rules/c.toml", rule_text(rule_id="c") + "enabled = false\n")
    bench.start()
    tell_of(bench.engine.rules)
    assert [line.split()[0] for line in logged(caplog)] == ["rule_not_runnable", "rule_skipped"]
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_broken_rules_are_an_error_at_the_start(bench):
    bench.write("exceptions/a.toml", json.dumps("x"))
    with pytest.raises(RuleError):
        bench.start()


@pytest.mark.parametrize(
    ("query", "runs"), [("source.as.number: *", False), ("azure.name: x and source.as.number: *", True)]
)
def test_a_missing_database_hinders_the_rules_that_cloudtrail_could_fulfil(bench, query, runs):
    bench.write("rules/a.toml", rule_text(query, ["user.name"]))
    bench.start()

    assert bool(bench.engine.rules.rules) is runs


def test_what_cloudtrail_never_has_is_told_apart_from_what_it_lacks_here():
    assert not_in_cloudtrail("azure.name") == "azure.name is not a field of CloudTrail"
    assert not_in_cloudtrail("source.as.number") is None
    assert not_in_cloudtrail("event.action") is None


def test_reloads_and_what_was_wrong_with_them_are_counted(bench):
    keeper = bench.start()
    assert (keeper.reloads, keeper.failed_reloads, keeper.problems, keeper.loaded_ms) == (0, 0, (), 0)

    bench.timers.now_ms = 1_000
    bench.write("rules/a.toml", rule_text("event.action: ("))
    keeper.reload()
    assert (keeper.reloads, keeper.failed_reloads, keeper.loaded_ms) == (1, 1, 0)
    (problem,) = keeper.problems
    assert "rules/a.toml:" in problem

    bench.write("rules/a.toml", rule_text("event.action: x"))
    keeper.reload()
    assert (keeper.reloads, keeper.failed_reloads, keeper.problems, keeper.loaded_ms) == (2, 1, [], 1_000)
