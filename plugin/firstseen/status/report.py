"""What the agent says of itself: the answer of ``/status``, as declared here, key by key.

Times are texts in ISO 8601, in UTC; lengths of time are in seconds, sizes in bytes. None is ``null``: there was none.
Keys may be added, and none is given another meaning.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

Text = str | None
Seconds = float | None


class Part(Struct, frozen=True, kw_only=True):
    """A part of the report."""


class Reason(Part, frozen=True, kw_only=True):
    """Why the agent is not ready."""

    code: Annotated[str, Meta(description="One word, for programs.")]
    text: Annotated[str, Meta(description="The same for people, with what is known.")]


class Sums(Part, frozen=True, kw_only=True):
    """Whether the sums add up. Where one does not, something is lost or counted wrong, and that is a mistake."""

    records: Annotated[bool, Meta(description="received = delivered + rejected + in flight.")]
    chunks: Annotated[bool, Meta(description="received = delivered + rejected + quarantined + repeated + in flight.")]
    matches: Annotated[bool, Meta(description="total = open + shadow + degraded + learning + suppressed.")]


class Records(Part, frozen=True, kw_only=True):
    """Records since the start. Those of repeated chunks are not among them."""

    received: Annotated[int, Meta(description="Came in.")]
    delivered: Annotated[int, Meta(description="Went out, and downstream has them.")]
    rejected: Annotated[int, Meta(description="Did not go out: their chunk was refused, or is in the quarantine.")]
    in_flight: Annotated[int, Meta(description="Are on their way.")]
    looked_at: Annotated[int, Meta(description="Had a needle in them, and were shown to the rules.")]
    unseen: Annotated[int, Meta(description="Passed without being looked at, because that would have taken too much.")]
    late: Annotated[int, Meta(description="Matched, and came so late that what was known then may be forgotten.")]
    per_second: Annotated[float, Meta(description="Came in per second, over the last half minute.")]


class Chunks(Part, frozen=True, kw_only=True):
    """Chunks, the messages of the protocol, since the start."""

    received: Annotated[int, Meta(description="Came in.")]
    bytes: Annotated[int, Meta(description="Their size.")]
    delivered: Annotated[int, Meta(description="Went out, and downstream has them.")]
    rejected: Annotated[int, Meta(description="Were refused: their senders keep them.")]
    quarantined: Annotated[int, Meta(description="Are in the quarantine.")]
    repeated: Annotated[int, Meta(description="Had come before, and were acknowledged again.")]
    in_flight: Annotated[int, Meta(description="Are on their way.")]


class Matches(Part, frozen=True, kw_only=True):
    """Matches of rules since the start, and what came of them."""

    total: Annotated[int, Meta(description="All of them.")]
    open: Annotated[int, Meta(description="Alerts for people.")]
    shadow: Annotated[int, Meta(description="Alerts of rules that are being tried out.")]
    degraded: Annotated[int, Meta(description="Alerts beyond what their rule may raise.")]
    learning: Annotated[int, Meta(description="News to rules that still learn.")]
    suppressed: Annotated[int, Meta(description="No news, or not often enough yet, or one alert was enough.")]


class Series(Part, frozen=True, kw_only=True):
    """Numbers over time, oldest first; the last step is not over yet."""

    step_seconds: Annotated[int, Meta(description="How long a step is.")]
    values: Annotated[tuple[int, ...], Meta(description="One number for each step.")]


class Breaker(Part, frozen=True, kw_only=True):
    """What a rule may raise, and whether it has raised more."""

    max_signals: Annotated[int, Meta(description="Alerts that are let through in an interval.")]
    interval_seconds: Annotated[float, Meta(description="How long an interval is.")]
    tripped: Annotated[bool, Meta(description="Whether there are too many alerts, or were until just now.")]
    recovers: Annotated[Text, Meta(description="When that is over, if no more come.")]


class Rule(Part, frozen=True, kw_only=True):
    """A rule that runs."""

    id: Annotated[str, Meta(description="Its id.")]
    name: Annotated[str, Meta(description="Its name.")]
    type: Annotated[str, Meta(description="new_terms, query or threshold.")]
    severity: Annotated[str, Meta(description="low, medium, high or critical, as its file says.")]
    status: Annotated[str, Meta(description="How an alert would be meant now: open, learning, shadow or degraded.")]
    matches: Annotated[int, Meta(description="Matches since the start.")]
    open: Annotated[int, Meta(description="Of these, alerts for people.")]
    shadow: Annotated[int, Meta(description="Of these, alerts in shadow.")]
    degraded: Annotated[int, Meta(description="Of these, alerts that were too many.")]
    learning: Annotated[int, Meta(description="Of these, what was learnt.")]
    suppressed: Annotated[int, Meta(description="Of these, no alerts.")]
    since: Annotated[Text, Meta(description="When its history in the state began.")]
    learning_until: Annotated[Text, Meta(description="When it stops learning; null where it does not learn.")]
    learning_seconds_left: Annotated[float, Meta(description="How long it learns still; 0 where it does not.")]
    learning_share: Annotated[float, Meta(description="How much of its learning is behind it: 0 to 1, 1 at the end.")]
    shadow_until: Annotated[Text, Meta(description='When its shadow ends, or "ever"; null where it is in none.')]
    breaker: Annotated[Breaker, Meta(description="What it may raise.")]


class IdleRule(Part, frozen=True, kw_only=True):
    """A rule that does not run."""

    id: Annotated[str, Meta(description="Its id.")]
    name: Annotated[str, Meta(description="Its name.")]
    status: Annotated[str, Meta(description="not_runnable, or skipped where its file says so.")]
    reason: Annotated[str, Meta(description="Why.")]


class Rules(Part, frozen=True, kw_only=True):
    """The rules."""

    running: Annotated[tuple[Rule, ...], Meta(description="Those that run.")]
    not_running: Annotated[
        tuple[IdleRule, ...], Meta(description="Those that do not: the first 100, those that cannot before the others.")
    ]
    not_runnable: Annotated[int, Meta(description="How many cannot run here.")]
    skipped: Annotated[int, Meta(description="How many do not run because their files say so.")]
    flagged: Annotated[int, Meta(description="Of those that run, how many do so at a cost that `rules list` names.")]
    learning: Annotated[int, Meta(description="Of those that run, how many learn.")]
    learning_until: Annotated[Text, Meta(description="When the last of them stops.")]
    errors: Annotated[int, Meta(description="How often a rule failed on an event and was skipped for it.")]
    loaded: Annotated[str, Meta(description="When they were loaded.")]
    reloads: Annotated[int, Meta(description="How often all that is configured was loaded anew, or should have been.")]
    failed_reloads: Annotated[int, Meta(description="How often anything was wrong then, and all stayed as it was.")]
    problems: Annotated[tuple[str, ...], Meta(description="What was wrong the last time: the first 100.")]
    problem_count: Annotated[int, Meta(description="How many there were.")]


class State(Part, frozen=True, kw_only=True):
    """What is remembered."""

    keys: Annotated[int, Meta(description="Terms that are remembered.")]
    used_bytes: Annotated[int, Meta(description="What they take.")]
    bound_bytes: Annotated[int | None, Meta(description="What they may take; null where nothing bounds them.")]
    used_ratio: Annotated[float | None, Meta(description="The share of that.")]
    file_bytes: Annotated[int, Meta(description="Size of the file, which does not shrink.")]
    since: Annotated[Text, Meta(description="When the oldest history of a rule that runs began.")]
    forgotten: Annotated[int, Meta(description="Terms that could decide nothing any more, since the start.")]
    terms_dropped: Annotated[int, Meta(description="Terms beyond those that are remembered of one event.")]
    alone: Annotated[bool, Meta(description="Whether the agent goes on alone, as a shared state cannot be asked.")]
    uncopied: Annotated[int, Meta(description="Terms that could not be copied yet, to go on alone with.")]
    problems: Annotated[tuple[str, ...], Meta(description="What is wrong with it at present.")]
    as_of: Annotated[str, Meta(description="When this was looked at, some seconds ago.")]


class Client(Part, frozen=True, kw_only=True):
    """A client, by where it comes from."""

    origin: Annotated[str, Meta(description="Its address, or the Unix socket it came through.")]
    tls: Annotated[bool, Meta(description="Whether it speaks TLS.")]
    connections: Annotated[int, Meta(description="Connections it has.")]
    chunks: Annotated[int, Meta(description="Chunks that came from it.")]
    bytes: Annotated[int, Meta(description="Their size.")]
    in_flight: Annotated[int, Meta(description="Of these, what is on its way.")]
    refused: Annotated[int, Meta(description="Connections that had to be closed for what came on them.")]
    lag_seconds: Annotated[
        Seconds, Meta(description="How old the first record of its latest chunk was, by its own clock.")
    ]
    last_chunk_seconds: Annotated[Seconds, Meta(description="How long ago its latest chunk came.")]
    last_delivery_seconds: Annotated[Seconds, Meta(description="How long ago one of its chunks was settled last.")]


class Input(Part, frozen=True, kw_only=True):
    """Where records come from."""

    connections: Annotated[int, Meta(description="Connections of clients.")]
    in_flight_bytes: Annotated[int, Meta(description="Memory that chunks on their way take.")]
    bound_bytes: Annotated[int, Meta(description="Where reading stops.")]
    paused: Annotated[bool, Meta(description="Whether reading has stopped: acks are late.")]
    pauses: Annotated[int, Meta(description="How often it has.")]
    refused: Annotated[int, Meta(description="Connections that had to be closed for what came on them.")]
    unreadable: Annotated[int, Meta(description="Chunks that could not be read, and connections closed for no chunk.")]
    lag_seconds: Annotated[Seconds, Meta(description="How old the first record of the latest chunk was.")]
    clients: Annotated[tuple[Client, ...], Meta(description="The clients, those that sent last before others.")]


class Server(Part, frozen=True, kw_only=True):
    """A server downstream."""

    address: Annotated[str, Meta(description="As it is configured.")]
    standby: Annotated[bool, Meta(description="Whether it is used only while no other can be reached.")]
    connections: Annotated[int, Meta(description="Open connections to it.")]
    in_flight: Annotated[int, Meta(description="Messages that it has not acknowledged.")]
    lag_seconds: Annotated[Seconds, Meta(description="How long the oldest of these waits.")]
    delivered: Annotated[int, Meta(description="Messages it took.")]
    last_delivery_seconds: Annotated[Seconds, Meta(description="How long ago it took the last one.")]
    failures: Annotated[int, Meta(description="Attempts to connect to it, or to deliver, that failed.")]
    trouble: Annotated[str, Meta(description="Why the last one did, empty where something was delivered since.")]


class Output(Part, frozen=True, kw_only=True):
    """Where records go."""

    servers: Annotated[tuple[Server, ...], Meta(description="The servers.")]
    waiting: Annotated[int, Meta(description="Messages that are with no server.")]
    lag_seconds: Annotated[Seconds, Meta(description="How long the oldest message of all is on its way.")]
    unreachable_seconds: Annotated[Seconds, Meta(description="For how long no server can be reached.")]
    retries: Annotated[int, Meta(description="Messages that had to be sent again.")]
    refused: Annotated[int, Meta(description="Chunks that no server takes.")]


class Term(Part, frozen=True, kw_only=True):
    """A value that an alert is about."""

    field: Annotated[str, Meta(description="Its field.")]
    value: Annotated[str, Meta(description="The value; long ones are cut.")]


class Alert(Part, frozen=True, kw_only=True):
    """An alert."""

    id: Annotated[str, Meta(description="Its id.")]
    status: Annotated[str, Meta(description="open, learning, shadow or degraded.")]
    time: Annotated[str, Meta(description="When it happened.")]
    came: Annotated[str, Meta(description="When its record came.")]
    rule_id: Annotated[str, Meta(description="The id of its rule.")]
    rule: Annotated[str, Meta(description="The name of its rule.")]
    severity: Annotated[str, Meta(description="How severe it is.")]
    reason: Annotated[str, Meta(description="Why it was raised.")]
    terms: Annotated[tuple[Term, ...], Meta(description="What it is about.")]


class Status(Part, frozen=True, kw_only=True):
    """The whole report."""

    version: Annotated[str, Meta(description="The agent's version.")]
    revision: Annotated[str, Meta(description="The revision of its sources, empty where that is not known.")]
    now: Annotated[str, Meta(description="When this was true.")]
    started: Annotated[str, Meta(description="When the agent started.")]
    uptime_seconds: Annotated[float, Meta(description="How long ago that is.")]
    ready: Annotated[bool, Meta(description="Whether it is ready, as /readyz says.")]
    reasons: Annotated[tuple[Reason, ...], Meta(description="Why it is not.")]
    sums: Annotated[Sums, Meta(description="Whether the sums add up.")]
    records: Annotated[Records, Meta(description="Records.")]
    chunks: Annotated[Chunks, Meta(description="Chunks.")]
    matches: Annotated[Matches, Meta(description="Matches.")]
    records_over_time: Annotated[Series, Meta(description="Records that came in, in the last hour.")]
    alerts_over_time: Annotated[Series, Meta(description="Alerts for people, in the last 24 hours.")]
    others_over_time: Annotated[Series, Meta(description="Alerts in shadow, degraded and learning, likewise.")]
    rules: Annotated[Rules, Meta(description="The rules.")]
    state: Annotated[State | None, Meta(description="What is remembered; null before it was looked at.")]
    input: Annotated[Input, Meta(description="Where records come from.")]
    output: Annotated[Output, Meta(description="Where records go.")]
    log_lines_lost: Annotated[int, Meta(description="Lines of its log that log.forward did not take, since the start.")]
    latest_alerts: Annotated[tuple[Alert, ...], Meta(description="The latest alerts for people, newest first.")]
    latest_others: Annotated[tuple[Alert, ...], Meta(description="The latest of all others, newest first.")]
