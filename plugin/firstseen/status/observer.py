"""Gathers the report from the parts of the agent. They know nothing of it; it looks, and changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from msgspec import Struct

from firstseen import __version__
from firstseen.engine import Engine
from firstseen.metrics import Counts, Durations, Reloads
from firstseen.net.clients import Client as Sender
from firstseen.net.forwarder import Forwarder
from firstseen.net.forwarder import Server as Receiver
from firstseen.net.listener import Listener
from firstseen.record.instant import iso
from firstseen.revision import revision
from firstseen.rules.rule import Status as RuleStatus
from firstseen.running import Health
from firstseen.status import report
from firstseen.status.latest import Latest
from firstseen.status.readiness import Signs, reasons
from firstseen.status.sampling import Sampling
from firstseen.status.timeline import Timeline
from firstseen.store.base import DamagedError, Solitude, Store

MOST_CLIENTS = 50
"""Clients that are told of: those that sent last."""

MOST_LISTED = 100
"""Rules that do not run, and problems, that are told of by name: the log and `firstseen rules list` have all."""

PATIENCE_S = 10.0
"""How much longer than an ack may take the oldest message may wait, before it says something of the servers."""


class Agency(Struct, frozen=True):
    """The parts of a running agent that are looked at; ``ack_timeout_s`` is how long an ack of a server may take.

    ``solitude`` tells how one does that may go on alone, ``lines_lost`` how many lines of the log found no server,
    since the start.
    """

    counts: Counts
    durations: Durations
    engine: Engine
    reloads: Reloads
    store: Store
    solitude: Callable[[], Solitude]
    forwarder: Forwarder
    listener: Listener
    latest: Latest
    ack_timeout_s: float
    lines_lost: Callable[[], int]


class Observer:
    """Lives in the event loop. ``stage`` is for the owner of ``agency`` to set: starting, running, stopping."""

    def __init__(self, agency: Agency, now_ms: Callable[[], int]) -> None:
        self.stage = "starting"
        self.agency = agency
        self.sampling = Sampling(agency.store, now_ms, self._note)
        self._now_ms = now_ms
        self._clock = asyncio.get_running_loop().time
        self._started_ms = now_ms()
        self._started_s = self._clock()
        self._records = Timeline(10, 360)
        self._alerts = Timeline(1_800, 48)
        self._others = Timeline(1_800, 48)
        self._noted = (0, 0, 0)

    def reasons(self) -> tuple[report.Reason, ...]:
        """Why the agent is not ready; empty if it is."""
        agency, now_s = self.agency, self._clock()
        problem = agency.store.problem
        return reasons(
            Signs(
                stage=self.stage,
                problem=None if problem is None or isinstance(problem, DamagedError) else str(problem),
                damage=str(problem) if isinstance(problem, DamagedError) else None,
                unreachable_s=agency.forwarder.unreachable_s(),
                reached=agency.forwarder.reached,
                lag_s=_ago(agency.forwarder.oldest_s, now_s),
                patience_s=agency.ack_timeout_s + PATIENCE_S,
                rule_problems=agency.reloads.problems,
                rules=len(agency.engine.rules.rules),
            )
        )

    def observe(self) -> report.Status:
        """Everything, as it is now."""
        self._note()
        now_s, now_ms = self._clock(), self._now_ms()
        why = self.reasons()
        records, chunks, matches = self._records_now(now_s), self._chunks(), self._matches()
        rules = self._rules(now_ms)
        return report.Status(
            version=__version__,
            revision=revision(),
            now=iso(now_ms),
            started=iso(self._started_ms),
            uptime_seconds=round(now_s - self._started_s, 3),
            ready=not why,
            reasons=why,
            sums=_sums(records, chunks, matches),
            records=records,
            chunks=chunks,
            matches=matches,
            records_over_time=_series(self._records, now_s),
            alerts_over_time=_series(self._alerts, now_s),
            others_over_time=_series(self._others, now_s),
            rules=rules,
            state=self._state(rules),
            input=self._input(now_s),
            output=self._output(now_s),
            log_lines_lost=self.agency.lines_lost(),
            latest_alerts=self.agency.latest.for_people(),
            latest_others=self.agency.latest.others(),
        )

    def _note(self) -> None:
        """Put what happened since the last time where it belongs in time."""
        counts, now_s = self.agency.counts, self._clock()
        opened = counts.alerts - counts.alerts_in_shadow - counts.alerts_degraded
        totals = (counts.records_in, opened, counts.alerts - opened + counts.learning)
        for line, total, before in zip((self._records, self._alerts, self._others), totals, self._noted, strict=True):
            line.add(now_s, total - before)
        self._noted = totals

    def _records_now(self, now_s: float) -> report.Records:
        counts = self.agency.counts
        return report.Records(
            received=counts.records_in,
            delivered=counts.records_out,
            rejected=counts.records_rejected,
            in_flight=counts.records_on_way,
            looked_at=counts.candidates,
            unseen=counts.records_unseen,
            late=counts.records_late,
            per_second=round(self._records.per_second(now_s, 3, self._started_s), 1),
        )

    def _chunks(self) -> report.Chunks:
        counts = self.agency.counts
        return report.Chunks(
            received=counts.chunks_in,
            bytes=counts.bytes_in,
            delivered=counts.chunks_out,
            rejected=counts.chunks_rejected,
            quarantined=counts.chunks_quarantined,
            repeated=counts.chunks_repeated,
            in_flight=counts.chunks_on_way,
        )

    def _matches(self) -> report.Matches:
        counts = self.agency.counts
        return report.Matches(
            total=counts.matches,
            open=counts.alerts - counts.alerts_in_shadow - counts.alerts_degraded,
            shadow=counts.alerts_in_shadow,
            degraded=counts.alerts_degraded,
            learning=counts.learning,
            suppressed=counts.suppressed,
        )

    def _rules(self, now_ms: int) -> report.Rules:
        engine, reloads = self.agency.engine, self.agency.reloads
        running = tuple(_rule(health, now_ms) for health in engine.health())
        learning = [rule.learning_until for rule in running if rule.learning_until is not None]
        reports = engine.rules.reports
        not_runnable, skipped = (
            [each for each in reports if each.status is status]
            for status in (RuleStatus.NOT_RUNNABLE, RuleStatus.SKIPPED)
        )
        return report.Rules(
            running=running,
            not_running=tuple(
                report.IdleRule(id=each.id, name=each.name, status=each.status.value, reason=each.reason)
                for each in [*not_runnable, *skipped][:MOST_LISTED]
            ),
            not_runnable=len(not_runnable),
            skipped=len(skipped),
            flagged=sum(each.status is RuleStatus.FLAGGED for each in reports),
            learning=len(learning),
            learning_until=max(learning, default=None),
            errors=self.agency.counts.rule_errors,
            loaded=iso(reloads.loaded_ms),
            reloads=reloads.total,
            failed_reloads=reloads.failed,
            problems=tuple(reloads.problems[:MOST_LISTED]),
            problem_count=len(reloads.problems),
        )

    def _state(self, rules: report.Rules) -> report.State | None:
        sample = self.sampling.latest
        if sample is None:
            return None
        stats, counts, solitude = sample.stats, self.agency.counts, self.agency.solitude()
        wrong = (self.agency.store.problem, solitude.reason, solitude.behind)
        return report.State(
            keys=stats.entries,
            used_bytes=stats.used_bytes,
            bound_bytes=stats.map_size or None,
            used_ratio=round(stats.used_bytes / stats.map_size, 6) if stats.map_size else None,
            file_bytes=stats.file_bytes,
            since=min((rule.since for rule in rules.running if rule.since is not None), default=None),
            forgotten=counts.terms_pruned,
            terms_dropped=counts.terms_dropped,
            alone=solitude.alone,
            uncopied=solitude.uncopied,
            problems=tuple(dict.fromkeys(str(problem) for problem in wrong if problem is not None)),
            as_of=iso(sample.time_ms),
        )

    def _input(self, now_s: float) -> report.Input:
        listener, counts = self.agency.listener, self.agency.counts
        senders = sorted(listener.clients, key=lambda sender: sender.took_s or 0.0, reverse=True)
        return report.Input(
            connections=listener.clients.connections,
            in_flight_bytes=listener.in_flight,
            bound_bytes=listener.max_in_flight,
            paused=listener.paused,
            pauses=counts.reading_pauses,
            refused=counts.connections_refused,
            unreadable=counts.decode_errors,
            lag_seconds=_seconds(listener.clients.lag_ms),
            clients=tuple(_client(sender, now_s) for sender in senders[:MOST_CLIENTS]),
        )

    def _output(self, now_s: float) -> report.Output:
        forwarder, counts = self.agency.forwarder, self.agency.counts
        return report.Output(
            servers=tuple(_server(receiver, now_s) for receiver in forwarder.servers()),
            waiting=forwarder.waiting,
            lag_seconds=_ago(forwarder.oldest_s, now_s),
            unreachable_seconds=forwarder.unreachable_s(),
            retries=counts.delivery_retries,
            refused=counts.deliveries_refused,
        )


def _sums(records: report.Records, chunks: report.Chunks, matches: report.Matches) -> report.Sums:
    said = matches.open + matches.shadow + matches.degraded + matches.learning + matches.suppressed
    settled = chunks.delivered + chunks.rejected + chunks.quarantined + chunks.repeated
    return report.Sums(
        records=records.received == records.delivered + records.rejected + records.in_flight,
        chunks=chunks.received == settled + chunks.in_flight,
        matches=matches.total == said,
    )


def _series(line: Timeline, now_s: float) -> report.Series:
    return report.Series(step_seconds=line.step_s, values=line.values(now_s))


def _rule(health: Health, now_ms: int) -> report.Rule:
    until_ms, since_ms = health.learning_until_ms, health.since_ms
    left_ms, share = 0, 1.0
    if until_ms is not None and since_ms is not None:
        left_ms = until_ms - now_ms
        share = round(min(max((now_ms - since_ms) / max(until_ms - since_ms, 1), 0.0), 1.0), 4)
    shadow = health.shadow_until
    return report.Rule(
        id=health.id,
        name=health.name,
        type=health.type,
        severity=health.severity,
        status=health.status.value,
        matches=health.matches,
        open=health.alerts - health.in_shadow - health.degraded,
        shadow=health.in_shadow,
        degraded=health.degraded,
        learning=health.learning,
        suppressed=health.suppressed,
        since=_iso(since_ms),
        learning_until=_iso(until_ms),
        learning_seconds_left=left_ms / 1_000,
        learning_share=share,
        shadow_until=None if shadow is None else _iso(shadow.ms) or "ever",
        breaker=report.Breaker(
            max_signals=health.max_signals,
            interval_seconds=health.interval_ms / 1_000,
            tripped=health.tripped,
            recovers=_iso(health.recovers_ms),
        ),
    )


def _client(sender: Sender, now_s: float) -> report.Client:
    return report.Client(
        origin=sender.origin,
        tls=sender.secure,
        connections=sender.connections,
        chunks=sender.chunks,
        bytes=sender.bytes,
        in_flight=sender.in_flight,
        refused=sender.refused,
        lag_seconds=_seconds(sender.lag_ms),
        last_chunk_seconds=_ago(sender.took_s, now_s),
        last_delivery_seconds=_ago(sender.settled_s, now_s),
    )


def _server(receiver: Receiver, now_s: float) -> report.Server:
    return report.Server(
        address=receiver.name,
        standby=receiver.standby,
        connections=receiver.connections,
        in_flight=receiver.in_flight,
        lag_seconds=_ago(receiver.oldest_s, now_s),
        delivered=receiver.delivered,
        last_delivery_seconds=_ago(receiver.delivered_s, now_s),
        failures=receiver.failures,
        trouble=receiver.trouble,
    )


def _ago(then_s: float | None, now_s: float) -> float | None:
    return None if then_s is None else round(max(now_s - then_s, 0.0), 3)


def _seconds(ms: int | None) -> float | None:
    return None if ms is None else ms / 1_000


def _iso(ms: int | None) -> str | None:
    return None if ms is None else iso(ms)
