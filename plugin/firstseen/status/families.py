"""Every metric, once: its name without the prefix, its kind, its labels, what it means, and where it is read.

No label holds anything that comes from a record or a client: rules, servers and statuses are the operator's own.
``docs/metrics.md`` has the same table, and says which of them to be woken for; a test holds it.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from firstseen import __version__
from firstseen.metrics import Durations
from firstseen.revision import revision
from firstseen.status.exposition import Described, Kind, Sample
from firstseen.status.process import Process
from firstseen.status.readiness import CODES
from firstseen.status.report import Rule, Server, State, Status

PREFIX = "firstseen_"


class Facts(NamedTuple):
    """What metrics are read from; ``process`` is None where there is no ``/proc``."""

    report: Status
    durations: Durations
    process: Process | None


class Family(NamedTuple):
    """A metric. ``name`` is the whole one; ``read`` gives its samples."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...]
    read: Callable[[Facts], Iterable[Sample]]


def described(facts: Facts) -> Iterator[Described]:
    """Every metric with its samples."""
    for family in FAMILIES:
        yield Described(family.name, family.kind, family.help, family.labels, family.read(facts))


def _one(name: str, kind: Kind, meaning: str, read: Callable[[Status], float | None]) -> Family:
    """A metric that is one number, if it is there at all."""

    def samples(facts: Facts) -> list[Sample]:
        value = read(facts.report)
        return [] if value is None else [Sample(value)]

    return Family(PREFIX + name, kind, meaning, (), samples)


def _of_state(name: str, kind: Kind, meaning: str, read: Callable[[State], float | None]) -> Family:
    """A metric of the state, which is there once that was looked at."""
    return _one(name, kind, meaning, lambda told: None if told.state is None else read(told.state))


def _duration(name: str, meaning: str, attribute: str) -> Family:
    return Family(PREFIX + name, "histogram", meaning, (), lambda facts: [Sample(getattr(facts.durations, attribute))])


def _by_rule(name: str, kind: Kind, meaning: str, read: Callable[[Rule], float]) -> Family:
    return Family(
        PREFIX + name,
        kind,
        meaning,
        ("rule_id",),
        lambda facts: [Sample(read(rule), (rule.id,)) for rule in facts.report.rules.running],
    )


def _by_server(name: str, kind: Kind, meaning: str, read: Callable[[Server], float | None]) -> Family:
    def samples(facts: Facts) -> Iterator[Sample]:
        for server in facts.report.output.servers:
            value = read(server)
            if value is not None:
                yield Sample(value, (server.address,))

    return Family(PREFIX + name, kind, meaning, ("server",), samples)


def _process(name: str, kind: Kind, meaning: str, attribute: str) -> Family:
    def samples(facts: Facts) -> list[Sample]:
        return [] if facts.process is None else [Sample(getattr(facts.process, attribute))]

    return Family(f"process_{name}", kind, meaning, (), samples)


def _alerts(facts: Facts) -> Iterator[Sample]:
    for rule in facts.report.rules.running:
        for status in ("open", "shadow", "degraded", "learning"):
            yield Sample(getattr(rule, status), (rule.id, rule.severity, status))


def _rules_loaded(facts: Facts) -> list[Sample]:
    rules = facts.report.rules
    return [
        Sample(len(rules.running) - rules.flagged, ("loaded",)),
        Sample(rules.flagged, ("flagged",)),
        Sample(rules.not_runnable, ("not_runnable",)),
        Sample(rules.skipped, ("skipped",)),
    ]


def _unready(facts: Facts) -> list[Sample]:
    codes = {reason.code for reason in facts.report.reasons}
    return [Sample(code in codes, (code,)) for code in CODES]


FAMILIES: tuple[Family, ...] = (
    Family(
        PREFIX + "build_info",
        "gauge",
        "1; which version runs, of which revision of its sources where that is known, on which Python.",
        ("version", "revision", "python"),
        lambda _: [Sample(1, (__version__, revision(), platform.python_version()))],
    ),
    _one("ready", "gauge", "1 if the agent is ready, as /readyz says, else 0.", lambda told: told.ready),
    Family(PREFIX + "unready", "gauge", "1 for each reason why it is not ready, else 0.", ("reason",), _unready),
    _one("input_records_total", "counter", "Records that came in.", lambda told: told.records.received),
    _one("output_proc_records_total", "counter", "Records that downstream has.", lambda told: told.records.delivered),
    _one(
        "output_dropped_records_total",
        "counter",
        "Records that did not go out: their chunk was refused, so that its sender keeps it, or is in the quarantine.",
        lambda told: told.records.rejected,
    ),
    _one("records_in_flight", "gauge", "Records on their way.", lambda told: told.records.in_flight),
    _one("input_bytes_total", "counter", "Bytes of chunks that came in.", lambda told: told.chunks.bytes),
    _one("input_chunks_total", "counter", "Chunks that came in.", lambda told: told.chunks.received),
    _one("output_chunks_total", "counter", "Chunks that downstream has.", lambda told: told.chunks.delivered),
    _one("chunks_rejected_total", "counter", "Chunks that were refused.", lambda told: told.chunks.rejected),
    _one("chunks_quarantined_total", "counter", "Chunks that were quarantined.", lambda told: told.chunks.quarantined),
    _one(
        "duplicate_chunks_total",
        "counter",
        "Chunks that had come before, and were acknowledged again; their records are not counted again.",
        lambda told: told.chunks.repeated,
    ),
    _one("chunks_in_flight", "gauge", "Chunks on their way.", lambda told: told.chunks.in_flight),
    _one("in_flight_bytes", "gauge", "Memory that chunks on their way take.", lambda told: told.input.in_flight_bytes),
    _one(
        "in_flight_limit_bytes",
        "gauge",
        "Where reading stops (input.max_in_flight).",
        lambda told: told.input.bound_bytes,
    ),
    _one("input_paused", "gauge", "1 while reading has stopped at that limit.", lambda told: told.input.paused),
    _one("input_pauses_total", "counter", "How often reading stopped.", lambda told: told.input.pauses),
    _one("input_connections", "gauge", "Connections of clients.", lambda told: told.input.connections),
    _one(
        "input_connections_refused_total",
        "counter",
        "Connections that had to be closed for what came on them, or did not.",
        lambda told: told.input.refused,
    ),
    _one(
        "decode_errors_total",
        "counter",
        "Chunks that could not be read, and connections that were closed for what was no chunk.",
        lambda told: told.input.unreadable,
    ),
    _one(
        "event_lag_seconds",
        "gauge",
        "How old the first record of the latest chunk was when it came, by the clock that wrote its time.",
        lambda told: told.input.lag_seconds,
    ),
    _duration(
        "chunk_processing_seconds",
        "From the arrival of a chunk until it is known what leaves: its records looked at, and labelled.",
        "processing",
    ),
    _duration("delivery_seconds", "From there until downstream has the chunk.", "delivery"),
    _duration("state_commit_seconds", "From there until what the chunk changed in the state is durable.", "commit"),
    _duration("chunk_seconds", "From the arrival of a chunk until it is acknowledged, or refused.", "chunk"),
    _one(
        "candidate_records_total",
        "counter",
        "Records that had a needle in them, and were decoded and shown to the rules.",
        lambda told: told.records.looked_at,
    ),
    _one(
        "unseen_records_total",
        "counter",
        "Records that passed without being looked at, because that would have taken too much.",
        lambda told: told.records.unseen,
    ),
    _one(
        "late_records_total",
        "counter",
        "Records that matched and came so late that what was known when they happened may be forgotten.",
        lambda told: told.records.late,
    ),
    _by_rule("rule_matches_total", "counter", "Matches of the rule.", lambda rule: rule.matches),
    Family(
        PREFIX + "alerts_total",
        "counter",
        "What became labels, by how it is meant; severity is the rule's own.",
        ("rule_id", "severity", "status"),
        _alerts,
    ),
    _by_rule(
        "alerts_suppressed_total",
        "counter",
        "Matches that were no news, or not often enough yet, or for which one alert was enough.",
        lambda rule: rule.suppressed,
    ),
    _by_rule(
        "warmup_remaining_seconds",
        "gauge",
        "How long the rule learns still; 0 where it does not.",
        lambda rule: rule.learning_seconds_left,
    ),
    _by_rule(
        "rule_breaker_tripped",
        "gauge",
        "1 while the rule raises more alerts than it may: those beyond are degraded.",
        lambda rule: rule.breaker.tripped,
    ),
    Family(
        PREFIX + "rule_info",
        "gauge",
        "1; what the rule is called.",
        ("rule_id", "name", "type", "severity"),
        lambda facts: [
            Sample(1, (rule.id, rule.name, rule.type, rule.severity)) for rule in facts.report.rules.running
        ],
    ),
    _one(
        "rule_errors_total",
        "counter",
        "Events for which a rule failed and was skipped.",
        lambda told: told.rules.errors,
    ),
    Family(PREFIX + "rules_loaded", "gauge", "Rules by what became of their file.", ("status",), _rules_loaded),
    _one(
        "reloads_total",
        "counter",
        "How often all that is configured was loaded anew, or should have been.",
        lambda told: told.rules.reloads,
    ),
    _one(
        "reloads_failed_total",
        "counter",
        "How often anything was wrong then, and all stayed as it was.",
        lambda told: told.rules.failed_reloads,
    ),
    _of_state("state_keys", "gauge", "Terms that are remembered.", lambda state: state.keys),
    _of_state("state_bytes", "gauge", "What they take.", lambda state: state.used_bytes),
    _of_state("state_limit_bytes", "gauge", "What they may take.", lambda state: state.bound_bytes),
    _of_state("state_map_used_ratio", "gauge", "The share of that.", lambda state: state.used_ratio),
    _of_state("state_file_bytes", "gauge", "Size of the file of the state.", lambda state: state.file_bytes),
    Family(
        PREFIX + "state_evictions_total",
        "counter",
        "Terms that were forgotten.",
        ("reason",),
        lambda facts: [] if facts.report.state is None else [Sample(facts.report.state.forgotten, ("expired",))],
    ),
    _of_state(
        "state_alone",
        "gauge",
        "1 while the agent goes on alone, as a shared state cannot be asked.",
        lambda state: state.alone,
    ),
    _of_state(
        "state_uncopied",
        "gauge",
        "Terms seen in a shared state that could not be copied to the disk yet, to go on alone with.",
        lambda state: state.uncopied,
    ),
    _of_state(
        "terms_dropped_total",
        "counter",
        "Terms beyond those that are remembered of one event.",
        lambda state: state.terms_dropped,
    ),
    _by_server("output_connections", "gauge", "Open connections to the server.", lambda server: server.connections),
    _by_server("output_in_flight", "gauge", "Messages it has not acknowledged.", lambda server: server.in_flight),
    _by_server("output_messages_total", "counter", "Messages it took.", lambda server: server.delivered),
    _by_server(
        "output_errors_total",
        "counter",
        "Attempts to connect to it, or to deliver, that failed.",
        lambda server: server.failures,
    ),
    _by_server(
        "output_last_delivery_seconds",
        "gauge",
        "How long ago it took a message; not there before the first.",
        lambda server: server.last_delivery_seconds,
    ),
    _one("output_waiting", "gauge", "Messages that are with no server.", lambda told: told.output.waiting),
    _one(
        "output_lag_seconds",
        "gauge",
        "How long the oldest message is on its way downstream; 0 where none is.",
        lambda told: told.output.lag_seconds or 0.0,
    ),
    _one("output_retries_total", "counter", "Messages that had to be sent again.", lambda told: told.output.retries),
    _one(
        "output_retries_failed_total",
        "counter",
        "Chunks that no server takes, however often they are sent.",
        lambda told: told.output.refused,
    ),
    _one(
        "log_lines_lost_total",
        "counter",
        "Lines of the log that the server in log.forward did not take.",
        lambda told: told.log_lines_lost,
    ),
    _process("cpu_seconds_total", "counter", "Total user and system CPU time spent in seconds.", "cpu_s"),
    _process("resident_memory_bytes", "gauge", "Resident memory size in bytes.", "resident_bytes"),
    _process("virtual_memory_bytes", "gauge", "Virtual memory size in bytes.", "virtual_bytes"),
    _process("start_time_seconds", "gauge", "Start time of the process since unix epoch in seconds.", "started_s"),
    _process("open_fds", "gauge", "Number of open file descriptors.", "open_files"),
    _process("max_fds", "gauge", "Maximum number of open file descriptors.", "most_files"),
)
