import asyncio
from pathlib import Path

import pytest
import uvloop

from firstseen.detect.matches import Moment
from firstseen.status.exposition import exposition
from firstseen.status.families import FAMILIES, Facts, described
from firstseen.status.observer import Observer
from firstseen.status.process import ProcessReader
from firstseen.status.sampling import Sample
from firstseen.store.base import Stats
from support.agency import NOW_MS, agency, now_ms
from support.rulebook import call
from support.scrape import Scrape

ADA, BOB = "arn:aws:iam::111122223333:user/ada", "arn:aws:iam::111122223333:user/bob"


@pytest.fixture
def text(tmp_path: Path) -> str:
    """What an agent tells after three calls, one of them known."""

    async def test() -> str:
        async with agency(tmp_path) as parts:
            observer = Observer(parts, now_ms)
            observer.sampling.latest = Sample(Stats(2, 40, 60, 100), NOW_MS)
            for named, arn in (("e-1", ADA), ("e-2", BOB), ("e-3", ADA)):
                inspection = parts.engine.inspect(call(arn, named), Moment(NOW_MS, NOW_MS), lambda: "")
                parts.store.confirm(inspection.claims).result(10)
            parts.listener.clients.lag_ms = 1_250
            parts.forwarder._lanes[0].delivered_s = asyncio.get_running_loop().time()
            parts.durations.commit.observe(0.25)
            return exposition(described(Facts(observer.observe(), parts.durations, ProcessReader().read()))).decode()

    return uvloop.run(test())


def test_every_family_is_told(text: str) -> None:
    assert Scrape(text).names == [family.name for family in FAMILIES]


def test_names_follow_the_conventions() -> None:
    for family in FAMILIES:
        assert family.name.startswith(("firstseen_", "process_"))
        assert family.name.endswith("_total") == (family.kind == "counter")
        assert family.help.endswith(".")
        assert (family.kind == "histogram") <= family.name.endswith("_seconds")
    assert len({family.name for family in FAMILIES}) == len(FAMILIES)


def test_numbers(text: str) -> None:
    seen = Scrape(text)

    assert seen.total("firstseen_rule_matches_total") == 3
    assert seen.total("firstseen_alerts_total", status="open", severity="medium") == 2
    assert seen.total("firstseen_alerts_suppressed_total") == 1
    assert seen.total("firstseen_state_keys") == 2
    assert seen.total("firstseen_state_map_used_ratio") == 0.4
    assert seen.total("firstseen_event_lag_seconds") == 1.25
    assert seen.total("firstseen_ready") == 0
    assert seen.total("firstseen_unready", reason="starting") == 1
    assert seen.total("firstseen_unready", reason="stopping") == 0
    assert seen.total("firstseen_rules_loaded", status="loaded") == 1
    assert seen.total("firstseen_state_commit_seconds_bucket", le="0.25") == 1
    assert seen.total("firstseen_state_commit_seconds_bucket", le="0.1") == 0
    assert seen.total("process_resident_memory_bytes") > 1 << 20


def test_the_sums_hold(text: str) -> None:
    Scrape(text).assert_sums()


def test_nothing_of_a_record_is_in_it(text: str) -> None:
    assert "arn:" not in text
    assert "111122223333" not in text


def test_what_is_not_known_yet_is_left_out(tmp_path: Path) -> None:
    async def test() -> str:
        async with agency(tmp_path) as parts:
            return exposition(described(Facts(Observer(parts, now_ms).observe(), parts.durations, None))).decode()

    names = Scrape(uvloop.run(test())).names
    left_out = {family.name for family in FAMILIES} - set(names)
    assert {name for name in left_out if not name.startswith(("process_", "firstseen_state_"))} == {
        *("firstseen_event_lag_seconds", "firstseen_output_last_delivery_seconds", "firstseen_terms_dropped_total"),
    }
