from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Iterator
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from firstseen.errors import FirstseenError, StoreError
from firstseen.store.compaction import Sizes
from firstseen.upkeep import Upkeep
from support.authority import Authority
from support.keeping import Bench, Room
from support.logged import events
from support.mmdb import asn_database
from support.rulebook import rule_text

DAY_MS = 86_400_000
BROKEN = rule_text("event.action: (")


@pytest.fixture
def bench(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Bench]:
    caplog.set_level(logging.INFO)
    bench = Bench(tmp_path)
    yield bench
    bench.close()


def until(day: int) -> str:
    """An exception for everybody called ada, up to this day of 1970."""
    return f'[[exception]]\nname = "ada"\nquery = "user.name: ada"\nexpires = 1970-01-{day:02}T00:00:00Z\n'


def names(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each["event"] for each in events(caplog)]


def test_rules_and_exceptions_are_loaded_anew(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.write("exceptions/a.toml", until(9))
    bench.start()
    bench.write("exceptions/a.toml", until(1) + '[[exception]]\nname = "z"\nrules = ["gone"]\nquery = "a: 1"\n')
    bench.timers.now_ms = DAY_MS
    bench.reloading.reload()
    assert bench.matches()
    assert names(caplog) == ["exception_expired", "exception_unused", "reloaded"]
    assert len(bench.timers.waiting) == 1
    assert bench.told == ["begun", "over"]


def test_what_is_loaded_anew_ends_at_its_own_moment(bench: Bench) -> None:
    bench.write("exceptions/a.toml", until(9))
    bench.start()
    bench.timers.now_ms = DAY_MS - 60_000
    bench.write("exceptions/a.toml", until(2))
    bench.reloading.reload()
    assert bench.timers.waiting == [60.0]


def test_what_expires_while_it_is_loaded_anew_ends_all_the_same(bench: Bench) -> None:
    bench.write("exceptions/a.toml", until(2))
    bench.start()
    bench.timers.now_ms = DAY_MS - 10
    bench.aside.holds = True
    bench.reloading.reload()
    read, bench.aside.waiting = bench.aside.waiting, []
    read[0]()
    bench.timers.now_ms = DAY_MS + 10
    bench.aside.go_on()
    assert bench.timers.waiting == [0.0]
    bench.timers.pass_by(0)
    assert bench.matches()


@pytest.mark.parametrize("broken", ["rules", "exceptions", "settings", "certificates", "databases", "state"])
def test_whatever_is_broken_all_stays_as_it_was(
    bench: Bench, broken: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.write("exceptions/a.toml", until(9))
    bench.start()
    bench.write("exceptions/a.toml", "")
    bench.write("rules/a.toml", rule_text("event.action: other", rule_id="other"))
    match broken:
        case "rules":
            bench.write("rules/b.toml", BROKEN)
        case "exceptions":
            bench.write("exceptions/b.toml", "[[exception]]\n")
        case "settings":
            bench.configure('[state]\nmap_size = "2 apples"\n')
        case "certificates":
            bench.configure('[input]\nlisten = ["tls://127.0.0.1:0"]\ntls = {cert = "gone.pem", key = "gone.pem"}\n')
        case "databases":
            bench.configure('[geoip]\nasn = "gone.mmdb"\n')
        case "state":
            monkeypatch.setattr(bench.store, "register", _full)
    before = bench.engine.rules
    bench.timers.now_ms = 1_000
    bench.reloading.reload()
    assert bench.engine.rules is before
    assert not bench.matches()
    assert names(caplog) == ["reload_problem", "reload_failed"]
    told = events(caplog, "reload_problem")[0]["problem"]
    assert (bench.reloads.total, bench.reloads.failed, bench.reloads.problems) == (1, 1, [told])
    assert bench.reloads.loaded_ms == 0
    assert bench.told == ["begun", "over"]


def test_a_certificate_that_has_expired_by_a_reload_is_told_of(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    pem = Authority(bench.folder, "root").issue("agent", not_after=datetime(2020, 1, 31, tzinfo=UTC))
    bench.configure(f'[http]\nlisten = "tls://127.0.0.1:0"\ntls = {{cert = "{pem.cert}", key = "{pem.key}"}}\n')
    bench.timers.now_ms = 1_580_428_800_000  # at its last second
    bench.start()
    bench.reloading.reload()
    assert names(caplog) == ["reloaded"]
    bench.timers.now_ms += 1_000
    bench.reloading.reload()
    assert names(caplog) == ["reloaded", "certificate_not_valid", "reloaded"]
    reason = f"{pem.cert} has expired: it was valid until 2020-01-31T00:00:00Z"
    (told,) = events(caplog, "certificate_not_valid")
    assert (told["setting"], told["reason"]) == ("http.tls.cert", reason)


def _full(*_: object) -> int:
    raise StoreError("the map is full")


@pytest.mark.parametrize("part", ["firstseen.reloading.provide", "firstseen.engine.Engine.lineup"])
def test_a_mistake_of_the_program_in_a_reload_leaves_all_as_it_was(
    bench: Bench, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    bench.start()
    before = bench.engine.rules

    def fail(*_: object) -> None:
        raise OverflowError("too large")

    monkeypatch.setattr(part, fail)
    bench.reloading.reload()

    assert bench.engine.rules is before
    assert bench.told == ["begun", "over"]
    assert "Traceback" in caplog.text
    assert "a mistake of the program: OverflowError" in str(events(caplog))


def test_all_that_is_wrong_is_told_at_once(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.start()
    bench.write("rules/a.toml", BROKEN)
    bench.write("rules/b.toml", BROKEN)
    bench.configure('[geoip]\nasn = "gone.mmdb"\n')
    bench.reloading.reload()
    files = [Path(each["problem"].partition(":")[0]).name for each in events(caplog, "reload_problem")]
    assert files == ["firstseen.toml", "a.toml", "b.toml"]


def test_settings_and_what_they_name_are_told_of_together(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.start()
    bench.write("rules/a.toml", BROKEN)
    bench.configure("[http]\nport = 1\n")
    bench.reloading.reload()
    told = [str(each["problem"]) for each in events(caplog, "reload_problem")]
    assert ["http.port" in told[0], "a.toml" in told[1]] == [True, True]
    assert bench.kept == []


def test_what_was_wrong_is_forgotten_when_it_is_mended(bench: Bench) -> None:
    bench.start()
    bench.write("rules/a.toml", BROKEN)
    bench.reloading.reload()
    bench.write("rules/a.toml", rule_text("event.action: x"))
    bench.timers.now_ms = 1_000
    bench.reloading.reload()
    assert (bench.reloads.total, bench.reloads.failed, bench.reloads.problems) == (2, 1, ())
    assert bench.reloads.loaded_ms == 1_000


def test_rules_that_are_loaded_anew_learn_if_they_are_new(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.configure('[state]\nlearning_period = "10m"\n')
    bench.start()
    bench.timers.now_ms = 60_000
    bench.write("rules/b.toml", rule_text("event.action: explain", ["user.name"], rule_id="b"))
    bench.reloading.reload()
    assert [health.learning_until_ms for health in bench.engine.health()] == [600_000, 660_000]
    bench.write("rules/a.toml", rule_text("event.action: (explain or resolve)", ["user.name"]))
    bench.timers.now_ms = 120_000
    bench.reloading.reload()
    assert [health.learning_until_ms for health in bench.engine.health()] == [720_000, 660_000]
    assert bench.timers.waiting == [540.0]
    told = ["rule_learning"] * 2 + ["rule_added", "reloaded", "rule_learning", "rule_changed", "reloaded"]
    assert names(caplog) == told


def test_what_is_different_is_told(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.write("rules/b.toml", rule_text(rule_id="b"))
    bench.start()
    bench.write("rules/a.toml", rule_text("event.action: explain", ["user.name"]) + 'note = "edited"\n')
    (bench.folder / "rules/b.toml").rename(bench.folder / "rules/c.toml")
    bench.write("rules/c.toml", rule_text(rule_id="c"))
    bench.configure('shadow = {c = true}\n[output]\nconnections = 2\n[log]\nlevel = "debug"\n')
    bench.reloading.reload()
    told = [(each["event"], each.get("rule") or each.get("setting")) for each in events(caplog)]
    assert told == [
        ("rule_shadow", "c"),
        ("rule_added", "c"),
        ("rule_removed", "b"),
        ("rule_edited", "5f1c7f0e-0000-4000-8000-000000000001"),
        ("setting_taken", "log.level"),
        ("setting_taken", "rules.shadow"),
        ("setting_waits", "output.connections"),
        ("reloaded", None),
    ]
    counts = {"added": 1, "removed": 1, "changed": 0, "edited": 1, "taken": 2, "waits": 1}
    assert counts.items() <= events(caplog, "reloaded")[0].items()
    assert bench.told == ["begun", "debug", "over"]
    assert [[each.id for each in readings] for readings in bench.kept] == [
        ["5f1c7f0e-0000-4000-8000-000000000001", "c"]
    ]
    caplog.clear()
    bench.reloading.reload()
    assert names(caplog) == ["setting_waits", "reloaded"], "what waits goes on to wait"


def test_rules_elsewhere_and_another_database(bench: Bench) -> None:
    bench.start()
    (bench.folder / "more").mkdir()
    bench.write("more/a.toml", rule_text("source.as.number: 64496", ["user.name"]))
    asn_database(bench.folder / "asn.mmdb")
    bench.write("firstseen.toml", '[rules]\npaths = ["more"]\n[geoip]\nasn = "asn.mmdb"\n')
    bench.reloading.reload()
    (rule,) = bench.engine.rules.rules
    assert rule.file.endswith("more/a.toml")


def test_a_reload_that_is_asked_for_during_one_follows(bench: Bench) -> None:
    bench.start()
    bench.aside.holds = True
    for _ in range(3):
        bench.reloading.reload()
    assert len(bench.aside.waiting) == 1
    bench.aside.go_on()
    assert bench.reloads.total == 2
    assert bench.told == ["begun", "over", "begun", "over"]


class NeverCompacted(Room):
    def compact(self) -> Future[Sizes]:
        raise AssertionError("nobody asked for that")


def test_the_state_takes_its_size_before_the_rules(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        room = NeverCompacted()
        bench.configure('[state]\nmap_size = "1MiB"\n')
        bench.start()
        bench.reloading._upkeep = Upkeep(bench.reloading._running.state.map_size, room)
        bench.configure('[state]\nmap_size = "2MiB"\n')
        room.error = StoreError("no room")
        bench.reloading.reload()
        await asyncio.sleep(0)
        assert names(caplog) == ["reload_problem", "reload_failed"]
        assert "firstseen.toml:5: state.map_size: no room" in events(caplog)[0]["problem"]
        assert bench.reloads.failed == 1
        caplog.clear()
        room.error = None
        bench.reloading.reload()
        await asyncio.sleep(0)
        assert names(caplog) == ["state_resized", "setting_taken", "reloaded"]
        assert room.sizes == [2 << 20, 2 << 20]

    asyncio.run(test())


def foretold(bench: Bench) -> dict[str, Any]:
    told = asyncio.run(_foretold(bench))
    return json.loads(json.dumps(told))


async def _foretold(bench: Bench) -> Any:
    return await bench.reloading.foretell(bench.folder / "firstseen.toml")


def test_foretelling_changes_nothing_and_tells_what_a_reload_does(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.start()
    before = bench.engine.rules
    bench.write("rules/a.toml", rule_text("event.action: other", ["user.name"]))
    bench.write("rules/b.toml", rule_text(rule_id="b"))
    told = foretold(bench)
    assert bench.engine.rules is before
    assert len(list(bench.store.rules())) == 1
    assert (bench.reloads.total, names(caplog), bench.told) == (0, [], [])
    assert told["refused"] == []
    assert told["rules"] == 2
    bench.reloading.reload()
    counts = {name: len(found) for name, found in told["changes"].items()}
    assert counts.items() <= events(caplog, "reloaded")[0].items()
    assert (counts["added"], counts["changed"]) == (1, 1)


def test_foretelling_says_what_would_be_refused(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.start()
    bench.write("rules/a.toml", BROKEN)
    told = foretold(bench)
    assert (bench.reloads.failed, names(caplog)) == (0, [])
    bench.reloading.reload()
    assert told == {"refused": list(bench.reloads.problems)}


@pytest.mark.parametrize("name", ["a\0b", "\ud800"], ids=ascii)
def test_what_is_no_name_of_a_file_cannot_be_foretold(bench: Bench, name: str) -> None:
    bench.start()
    with pytest.raises(FirstseenError, match="cannot be the name of a file"):
        asyncio.run(bench.reloading.foretell(Path(name)))


def test_a_pipe_is_not_waited_for_to_foretell(bench: Bench, tmp_path: Path) -> None:
    bench.start()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FirstseenError, match=f"^{tmp_path}/pipe is no plain file"):
        asyncio.run(bench.reloading.foretell(tmp_path / "pipe"))


def test_foretelling_reads_the_same_file_by_the_name_that_a_reload_reads(bench: Bench, tmp_path: Path) -> None:
    bench.start()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/other.toml").symlink_to(bench.folder / "firstseen.toml")
    told = asyncio.run(bench.reloading.foretell(tmp_path / "elsewhere/other.toml"))
    assert told["refused"] == []
    assert (told["rules"], {name: found for name, found in told["changes"].items() if found}) == (1, {})
