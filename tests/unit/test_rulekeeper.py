import json
import logging

import pytest

from firstseen.detect.matches import Moment
from firstseen.errors import ConfigError, StoreError
from firstseen.rulekeeper import LONGEST_WAIT_S
from support.keeping import Bench
from support.rulebook import rule_text

DAY_MS = 86_400_000


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path)
    yield bench
    bench.close()


def until(day: int) -> str:
    """An exception for everybody called ada, up to this day of 1970."""
    return f'[[exception]]\nname = "ada"\nquery = "user.name: ada"\nexpires = 1970-01-{day:02}T00:00:00Z\n'


def logged(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records]


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


def test_broken_rules_are_an_error_at_the_start(bench):
    bench.write("exceptions/a.toml", json.dumps("x"))
    with pytest.raises(ConfigError):
        bench.start()


def test_an_exception_that_ends_while_other_rules_are_taken_is_looked_at_again(bench, caplog):
    bench.write("exceptions/a.toml", until(2))
    keeper = bench.start()
    bench.aside.holds = True
    bench.timers.pass_by(DAY_MS)
    assert not bench.matches()
    keeper.use(bench.engine.lineup(bench.engine.rules.at(0)), 0)
    other = bench.engine.rules
    bench.aside.go_on()
    assert bench.engine.rules is other
    assert logged(caplog) == []
    assert bench.timers.waiting == [0.0]
    bench.timers.pass_by(0)
    assert bench.matches()
    assert [line.split()[0] for line in logged(caplog)] == ["exception_expired"]
