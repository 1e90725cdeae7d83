import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import uvloop
from msgspec import structs

from firstseen import __version__
from firstseen.detect.matches import Moment
from firstseen.errors import StoreError
from firstseen.metrics import Counts
from firstseen.net.peers import Peer
from firstseen.status.observer import MOST_CLIENTS, MOST_LISTED, Agency, Observer
from firstseen.status.sampling import Sample
from firstseen.store.base import DamagedError, Solitude, Stats
from support.agency import NOW_MS, agency, now_ms
from support.rulebook import call, rule_id, rule_text

ADA = "arn:aws:iam::111122223333:user/ada"
DAY_MS = 86_400_000


def run(test: Callable[[], Awaitable[None]]) -> None:
    uvloop.run(test())


def see(parts: Agency, *events: str, at_ms: int = NOW_MS) -> None:
    """Calls with these ids, all by one identity, come in and are done with."""
    for named in events:
        inspection = parts.engine.inspect(call(ADA, named), Moment(at_ms, at_ms), lambda: "")
        parts.latest.add(inspection.labels, at_ms)
        parts.store.confirm(inspection.claims).result(10)


def test_an_agent_that_has_just_started(tmp_path: Path) -> None:
    async def test() -> None:
        async with agency(tmp_path) as parts:
            told = Observer(parts, now_ms).observe()

        assert (told.version, told.now, told.started) == (__version__, "2026-09-21T14:13:20.000Z", told.now)
        assert not told.ready
        assert [reason.code for reason in told.reasons] == ["starting", "downstream_unreachable"]
        assert (told.sums.records, told.sums.chunks, told.sums.matches) == (True, True, True)
        assert told.records.per_second == 0
        assert set(told.records_over_time.values) == {0}
        assert (len(told.records_over_time.values), told.records_over_time.step_seconds) == (360, 10)
        assert (len(told.alerts_over_time.values), told.alerts_over_time.step_seconds) == (48, 1_800)
        assert told.state is None
        assert (told.latest_alerts, told.latest_others, told.input.clients) == ((), (), ())
        (server,) = told.output.servers
        assert (server.address, server.connections, server.trouble) == ("192.0.2.1:24224", 0, "")

    run(test)


def test_matches_and_what_came_of_them(tmp_path: Path) -> None:
    async def test() -> None:
        async with agency(tmp_path) as parts:
            observer = Observer(parts, now_ms)
            see(parts, "e-1", "e-2", "e-3")
            told = observer.observe()

        assert (told.matches.total, told.matches.open, told.matches.suppressed) == (3, 1, 2)
        (rule,) = told.rules.running
        assert (rule.matches, rule.open, rule.suppressed, rule.status) == (3, 1, 2, "open")
        assert (rule.since, rule.learning_until, rule.learning_share) == ("2026-09-21T14:13:20.000Z", None, 1.0)
        assert told.alerts_over_time.values[-1] == 1
        (alert,) = told.latest_alerts
        assert [term.value for term in alert.terms] == [ADA]

    run(test)


def test_a_rule_that_learns_and_one_in_shadow(tmp_path: Path) -> None:
    settings = 'shadow = {"*" = 2026-12-31}\n[state]\nlearning_period = "4d"\n'

    async def test() -> None:
        async with agency(tmp_path, settings) as parts:
            observer = Observer(parts, lambda: NOW_MS + DAY_MS)
            parts.engine._now_ms = lambda: NOW_MS + DAY_MS
            see(parts, "e-1", at_ms=NOW_MS + DAY_MS)
            told = observer.observe()

        (rule,) = told.rules.running
        assert (rule.status, rule.learning_share, rule.learning_seconds_left) == ("learning", 0.25, 3 * 86_400)
        assert rule.learning_until == told.rules.learning_until == "2026-09-25T14:13:20.000Z"
        assert rule.shadow_until == "2027-01-01T00:00:00.000Z"
        assert (told.rules.learning, told.matches.learning, rule.learning) == (1, 1, 1)
        assert told.others_over_time.values[-1] == 1
        assert (len(told.latest_alerts), len(told.latest_others)) == (0, 1)

    run(test)


def test_a_flood(tmp_path: Path) -> None:
    async def test() -> None:
        async with agency(tmp_path, rule=f"{rule_text()}max_signals = 1\n") as parts:
            for number in range(3):
                inspection = parts.engine.inspect(
                    call(f"{ADA}{number}", f"e-{number}"), Moment(NOW_MS, NOW_MS), lambda: ""
                )
                parts.store.confirm(inspection.claims).result(10)
            told = Observer(parts, now_ms).observe()

        (rule,) = told.rules.running
        assert (rule.status, rule.open, rule.degraded, rule.breaker.tripped) == ("degraded", 1, 2, True)
        assert rule.breaker.recovers is not None
        assert told.sums.matches

    run(test)


def test_of_thousands_that_are_wrong_it_tells_how_many_and_which_were_first(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    for number in range(2 * MOST_LISTED):
        turned_off = rule_text(rule_id=rule_id(2 * number)).replace("[rule]", "[rule]\nenabled = false")
        (tmp_path / f"rules/{number:03}.toml").write_text(turned_off)
        in_vain = rule_text(rule_id=rule_id(2 * number + 1)).replace('"kuery"', '"eql"')
        (tmp_path / f"rules/{number:03}x.toml").write_text(in_vain if number < 60 else turned_off)

    async def test() -> None:
        async with agency(tmp_path) as parts:
            parts.reloads.problems = [f"{number}.toml: no rule" for number in range(2_000)]
            told = Observer(parts, now_ms).observe().rules

        assert (told.not_runnable, told.skipped, told.problem_count) == (60, 340, 2_000)
        assert [each.status for each in told.not_running] == ["not_runnable"] * 60 + ["skipped"] * 40
        assert told.problems == tuple(f"{number}.toml: no rule" for number in range(100))

    run(test)


def test_rules_that_do_not_run_and_reloads_that_failed(tmp_path: Path) -> None:
    async def test() -> None:
        async with agency(tmp_path, rule=rule_text().replace('"kuery"', '"eql"')) as parts:
            parts.reloads.total = parts.reloads.failed = 1
            parts.reloads.problems = ["b.toml: no rule"]
            told = Observer(parts, now_ms).observe()

        assert told.rules.running == ()
        (idle,) = told.rules.not_running
        assert (told.rules.not_runnable, told.rules.skipped, told.rules.problem_count) == (1, 0, 1)
        assert idle.status == "not_runnable"
        assert idle.reason
        assert (told.rules.reloads, told.rules.failed_reloads) == (1, 1)
        assert told.rules.problems == ("b.toml: no rule",)
        assert told.rules.loaded == "2026-09-21T14:13:20.000Z"
        assert {"rules_not_loaded", "no_rules"} <= {reason.code for reason in told.reasons}

    run(test)


def test_the_state_and_what_is_wrong_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with agency(tmp_path) as parts:
            see(parts, "e-1")
            observer = Observer(parts, now_ms)
            observer.sampling.start()
            async with asyncio.timeout(60):
                while observer.sampling.latest is None:  # noqa: ASYNC110  # a thread looks
                    await asyncio.sleep(0.001)
            parts.counts.terms_pruned = 5
            state = observer.observe().state
            await observer.sampling.stop()

            assert state is not None
            assert (state.keys, state.bound_bytes, state.forgotten) == (1, 1 << 22, 5)
            assert state.used_ratio == round(state.used_bytes / (1 << 22), 6) > 0
            assert (state.since, state.as_of) == ("2026-09-21T14:13:20.000Z", "2026-09-21T14:13:20.000Z")

            monkeypatch.setattr(type(parts.store), "problem", property(lambda _: ValueError("the disk is full")))
            assert ("state_not_written", "the disk is full") in {
                (reason.code, reason.text) for reason in observer.reasons()
            }
            monkeypatch.setattr(type(parts.store), "problem", property(lambda _: DamagedError("a page is broken")))
            told = {reason.code: reason.text for reason in observer.reasons()}
            assert told["state_damaged"].startswith("a page is broken; ")
            assert "state_not_written" not in told

    run(test)


def test_an_agent_that_goes_on_alone_is_ready_and_says_why(tmp_path: Path) -> None:
    async def test() -> None:
        async with agency(tmp_path) as parts:
            away, full = StoreError("the servers are away"), StoreError("the copy is full")
            alone = structs.replace(parts, solitude=lambda: Solitude(alone=True, reason=away, uncopied=7, behind=full))
            observer = Observer(alone, now_ms)
            observer.sampling.latest = Sample(Stats(entries=1, used_bytes=2, file_bytes=0, map_size=0), NOW_MS)
            told = observer.observe()
            assert told.state is not None
            assert (told.state.alone, told.state.uncopied) == (True, 7)
            assert told.state.problems == ("the servers are away", "the copy is full")
            assert "state_not_written" not in {reason.code for reason in told.reasons}

    run(test)


def test_a_state_without_a_bound_is_told_without_one(tmp_path: Path) -> None:
    async def test() -> None:
        async with agency(tmp_path) as parts:
            observer = Observer(parts, now_ms)
            observer.sampling.latest = Sample(Stats(entries=1, used_bytes=2, file_bytes=0, map_size=0), NOW_MS)
            state = observer.observe().state
            assert state is not None
            assert (state.bound_bytes, state.used_ratio) == (None, None)

    run(test)


def test_both_ends(tmp_path: Path) -> None:
    async def test() -> None:
        async with agency(tmp_path) as parts:
            clients = parts.listener.clients
            for number in range(MOST_CLIENTS + 5):
                peer = Peer(f"192.0.2.{number}", ":1", secure=True)
                clients.opened(peer)
                clients.took(peer, 100)
                clients.lags(peer, 1_500)
            told = Observer(parts, now_ms).observe()

            assert (told.input.connections, told.input.lag_seconds) == (MOST_CLIENTS + 5, 1.5)
            assert len(told.input.clients) == MOST_CLIENTS
            client = told.input.clients[0]
            assert (client.tls, client.connections, client.chunks, client.bytes) == (True, 1, 1, 100)
            assert (client.in_flight, client.lag_seconds, client.last_delivery_seconds) == (1, 1.5, None)
            assert client.last_chunk_seconds is not None

            parts.forwarder._cut_off_s, parts.forwarder.reached = None, True
            observer = Observer(parts, now_ms)
            observer.stage = "running"
            told = observer.observe()
            assert (told.ready, told.output.unreachable_seconds, told.output.lag_seconds) == (True, None, None)

    run(test)


@pytest.mark.parametrize(
    ("wrong", "sum_of"),
    [
        (Counts(records_in=3, records_out=1, records_on_way=1), "records"),
        (Counts(chunks_in=3, chunks_out=1, chunks_repeated=1), "chunks"),
        (Counts(matches=3, alerts=1, suppressed=1), "matches"),
    ],
)
def test_sums_that_do_not_add_up_are_told(tmp_path: Path, wrong: Counts, sum_of: str) -> None:
    async def test() -> None:
        async with agency(tmp_path) as parts:
            for name, value in wrong.as_dict().items():
                setattr(parts.counts, name, value)
            sums = Observer(parts, now_ms).observe().sums

        assert [name for name in ("records", "chunks", "matches") if not getattr(sums, name)] == [sum_of]

    run(test)


def test_what_is_on_its_way_is_in_the_sums(tmp_path: Path) -> None:
    async def test() -> None:
        async with agency(tmp_path) as parts:
            parts.counts.records_in, parts.counts.records_out, parts.counts.records_on_way = 10, 7, 3
            parts.counts.chunks_in, parts.counts.chunks_quarantined, parts.counts.chunks_on_way = 3, 1, 2
            told = Observer(parts, now_ms).observe()

        assert (told.sums.records, told.sums.chunks) == (True, True)
        assert (told.records.in_flight, told.chunks.in_flight) == (3, 2)
        assert told.records_over_time.values[-1] == 10

    run(test)
