"""The picture that ``firstseen top`` draws of a report: lines for a terminal of any size, what matters first.

The head says whether the agent does its job and how much of it there is. What height is left goes to the latest alerts,
the rules and both ends; what has no room is counted in the title of its part.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from firstseen.cli.cells import Line, Span, cut, fill, flush_right, width
from firstseen.cli.spark import bar, spark
from firstseen.status.report import Alert, Client, Rule, Server, Status
from firstseen.status.view.glance import NEARLY_FULL
from firstseen.status.view.words import NOTHING, ago, clock, length, moment, number, percent, rate, several, size

LEAST_COLUMNS = 40
NARROW = 72
"""Columns up to which numbers are left out, so that names have room."""
WIDE = 120
"""Columns from which on an alert and its reason are on one line."""
WIDEST_TABLE = 120
"""Columns of a table: in a wider one the eye would lose its line."""
AIRY = 30
"""Rows from which on there is room between the parts."""
MOST_REASONS = 3

# No blue: on black it can hardly be read.
SEVERITIES = {"critical": "magenta bold", "high": "red bold", "medium": "yellow"}
STANDINGS = {"open": "green", "learning": "cyan", "shadow": "magenta", "degraded": "red bold"}


class Section:
    """A part of the picture: a title with columns at its right end, and below it what is listed, each on some lines."""

    def __init__(self, name: str, said: Sequence[str], columns: str, listed: Sequence[Sequence[Line]]) -> None:
        self._name = name
        self._said = said
        self._columns = columns
        self._listed = listed
        self.wanted = 1 + sum(map(len, listed))
        """The lines it takes if nothing is left out."""
        self.least = 1 + len(listed[0])
        """The lines without which it says nothing."""

    def lines(self, rows: int, columns: int) -> Iterator[Line]:
        """What there is room for in so many rows and columns."""
        shown: list[Line] = []
        fitting = 0
        for lines in self._listed:
            if 1 + len(shown) + len(lines) > rows:
                break
            shown += lines
            fitting += 1
        left_out = len(self._listed) - fitting
        said = ", ".join([*self._said, *([f"{number(left_out)} more not shown"] if left_out else [])])
        room = columns - len(self._name) - 2 - len(self._columns)
        yield [Span(f"{self._name}  ", "bold"), Span(fill(said, room)), Span(self._columns, "dim")]
        yield from shown


def picture(told: Status, columns: int, rows: int) -> list[Line]:
    """At most ``rows`` lines, for so many columns."""
    columns = max(columns, LEAST_COLUMNS)
    head = [*_head(told, columns), *_reasons(told), *_figures(told, columns)]
    table = min(columns, WIDEST_TABLE)
    parts = (_alerts(told, columns), _rules(told, table), _ends(told, table))
    gap = 1 if rows >= AIRY else 0
    heights = _shared(parts, max(rows - len(head) - gap * len(parts), 0))
    lines = head
    for part, height in zip(parts, heights, strict=True):
        if height:
            lines += [[]] * gap
            lines += part.lines(height, table)
    return lines[:rows]


def _shared(parts: Sequence[Section], rows: int) -> list[int]:
    """Rows for each part: what it needs, those above first, and of the rest an equal share, if it wants that."""
    given = []
    for part in parts:
        given.append(part.least if part.least <= rows else 0)
        rows -= given[-1]
    while rows and (hungry := [at for at, part in enumerate(parts) if 0 < given[at] < part.wanted]):
        share = max(rows // len(hungry), 1)
        for at in hungry:
            more = min(share, parts[at].wanted - given[at], rows)
            given[at] += more
            rows -= more
    return given


def _head(told: Status, columns: int) -> Iterator[Line]:
    now = f"{moment(told.now)} UTC"
    standing = Span(" ready ", "green bold") if told.ready else Span(" NOT READY ", "red bold")
    left = [Span(f"firstseen {cut(told.version, 12)}", "bold"), standing, Span(f"up {length(told.uptime_seconds)}")]
    room = columns - sum(width(span.text) for span in left)
    yield [*left, Span(flush_right(now, room), "dim")] if room > width(now) else left


def _reasons(told: Status) -> Iterator[Line]:
    wrong = [name for name in ("records", "chunks", "matches") if not getattr(told.sums, name)]
    said = [f"{each.code}: {each.text}" for each in told.reasons]
    problems = () if told.state is None else told.state.problems
    said += [f"state: {problem}" for problem in problems if problem not in {each.text for each in told.reasons}]
    said += [f"the sums of {' and '.join(wrong)} do not add up: that is a mistake of the agent"] if wrong else []
    said += ["reading has stopped until something is delivered: acks are late"] if told.input.paused else []
    for text in said[:MOST_REASONS]:
        yield [Span("! ", "red bold"), Span(cut(text, len(text) + 200), "red")]
    if len(said) > MOST_REASONS:
        yield [Span(f"! and {len(said) - MOST_REASONS} reasons more", "red")]


def _figures(told: Status, columns: int) -> Iterator[Line]:
    cells = max(columns - _DRAWN, 0) if columns < NARROW else 20 if columns < WIDE else 48
    records, matches, state = told.records, told.matches, told.state
    lost = f", {number(records.rejected)} rejected" if records.rejected else ""
    yield _figure(
        "records/s",
        rate(records.per_second),
        Span(spark(told.records_over_time.values[:-1], cells), "cyan"),
        f"{number(records.received)} in, {number(records.delivered)} out{lost}",
    )
    alerts, others = sum(told.alerts_over_time.values), sum(told.others_over_time.values)
    yield _figure(
        "alerts 24 h",
        number(alerts),
        Span(spark(told.alerts_over_time.values, cells), "yellow"),
        f"for people; {several(others, 'other')}; {several(matches.total, 'match', 'matches')}",
    )
    if state is None:
        yield _figure("state", NOTHING, Span(" " * cells), "not looked at yet")
    else:
        share = state.used_ratio
        bound = "" if state.bound_bytes is None else f" of {size(state.bound_bytes)}"
        yield _figure(
            "state",
            NOTHING if share is None else percent(share),
            _full(share or 0.0, cells),
            f"{several(state.keys, 'term')} in {size(state.used_bytes)}{bound}",
        )
    taken, bound_bytes = told.input.in_flight_bytes, told.input.bound_bytes
    lag = f", oldest {length(told.output.lag_seconds)}" if told.output.lag_seconds else ""
    yield _figure(
        "on its way",
        percent(taken / bound_bytes),
        _full(taken / bound_bytes, cells),
        f"{several(records.in_flight, 'record')}{lag}; {size(taken)} of {size(bound_bytes)}",
    )


_DRAWN = 23
"""Cells before what is drawn of a figure."""


def _figure(name: str, value: str, drawn: Span, rest: str) -> Line:
    return [Span(fill(name, 12), "dim"), Span(flush_right(value, 9), "bold"), Span("  "), drawn, Span(f"  {rest}")]


def _full(share: float, cells: int) -> Span:
    return Span(bar(share, cells), "red" if share >= NEARLY_FULL else "green")


def _alerts(told: Status, columns: int) -> Section:
    draw = _wide if columns >= WIDE else _narrow
    listed = [draw(each, columns) for each in told.latest_alerts]
    return Section("LATEST ALERTS", [], "", listed or [_nothing("none since the start")])


def _nothing(said: str) -> Sequence[Line]:
    return [[Span(f"  {said}", "dim")]]


def _wide(alert: Alert, columns: int) -> Sequence[Line]:
    room = columns - _CAME
    rule = room // 3
    return [[*_came(alert), Span(fill(alert.rule, rule - 2), "bold"), Span("  "), Span(cut(_what(alert), room - rule))]]


def _narrow(alert: Alert, columns: int) -> Sequence[Line]:
    return [
        [*_came(alert), Span(cut(alert.rule, columns - _CAME), "bold")],
        [Span(" " * 12), Span(cut(_what(alert), columns - 12))],
    ]


_CAME = 22


def _came(alert: Alert) -> Line:
    severity = Span(fill(alert.severity, 10), SEVERITIES.get(alert.severity, ""))
    return [Span("  "), Span(fill(clock(alert.came), 10), "dim"), severity]


def _what(alert: Alert) -> str:
    """Terms and reason, without what stands elsewhere already: the rule's name, and terms that the reason names."""
    reason = alert.reason.removeprefix(f"{alert.rule}: ")
    terms = [term.value for term in alert.terms if term.value and term.value not in reason]
    return f"{', '.join(terms)}: {reason}" if terms else reason


def _rules(told: Status, columns: int) -> Section:
    rules, idle = told.rules, told.rules.not_runnable + told.rules.skipped
    said = [f"{number(len(rules.running))} run"]
    said += [f"{number(rules.learning)} learning"] if rules.learning else []
    said += [f"{number(idle)} {'does' if idle == 1 else 'do'} not"] if idle else []
    said += [several(rules.errors, "error")] if rules.errors else []
    counts = ("alerts", "known") if columns < NARROW else _COUNTS
    standing = max((len(_standing(rule, columns)) for rule in rules.running), default=0) + 2
    name = columns - 2 - standing - len(counts) * _COUNT
    heading = "".join(flush_right(word, _COUNT) for word in counts)
    listed = [
        [[Span("  "), *_rule(rule, standing, name, columns), *_counted(rule, counts)]]
        for rule in sorted(rules.running, key=_rank)
    ]
    return Section("RULES", said, heading, listed or [_nothing("none runs")])


_COUNTS, _COUNT = ("matches", "alerts", "others", "known"), 8


def _rank(rule: Rule) -> tuple[bool, int, bool, int, str]:
    return (not rule.breaker.tripped, -rule.open, rule.status == "open", -rule.matches, rule.name)


def _standing(rule: Rule, columns: int) -> str:
    left = rule.status == "learning" and columns >= NARROW
    return f"{rule.status} {_largest_unit(rule.learning_seconds_left)} left" if left else rule.status


def _rule(rule: Rule, standing: int, name: int, columns: int) -> Iterator[Span]:
    yield Span(fill(_standing(rule, columns), standing), STANDINGS.get(rule.status, ""))
    yield Span(fill(rule.name, name))


def _counted(rule: Rule, counts: Sequence[str]) -> Iterator[Span]:
    others = rule.learning + rule.shadow + rule.degraded
    for count in counts:
        value = {"matches": rule.matches, "alerts": rule.open, "others": others, "known": rule.suppressed}[count]
        yield Span(flush_right(_count(value), _COUNT), "" if value else "dim")


def _count(value: int) -> str:
    """``999,999``, ``1.2M``: never so long that it would be cut."""
    return number(value) if value < 1_000_000 else f"{value / 1_000_000:,.1f}M"


def _largest_unit(seconds: float) -> str:
    """The largest unit of a length of time alone: there is no room for more."""
    return length(seconds).partition(" ")[0] if seconds >= 1 else "0s"


def _ends(told: Status, columns: int) -> Section:
    shown = ("lag", "last") if columns < NARROW else tuple(_END_CELLS)
    origin = columns - 7 - sum(_END_CELLS[column] for column in shown)
    heading = "".join(flush_right(column, _END_CELLS[column]) for column in shown)
    said = [f"{number(told.output.waiting)} waiting"] if told.output.waiting else []
    clients = [_client(each, origin, shown) for each in told.input.clients]
    servers = [_server(each, origin, shown) for each in told.output.servers]
    return Section("PEERS", said, heading, [*servers, *(clients or [_nothing("from nobody yet")])])


_END_CELLS = {"conns": 7, "on its way": 12, "lag": 9, "last": 13}


def _server(server: Server, origin: int, shown: Sequence[str]) -> Sequence[Line]:
    away = not server.connections and not server.standby
    mark = " standby" if server.standby else " AWAY" if away else ""
    line = [
        Span("  to   ", "dim"),
        Span(fill(f"{server.address}{mark}", origin), "red" if away else ""),
        *_end(shown, server.connections, server.in_flight, server.lag_seconds, server.last_delivery_seconds),
    ]
    trouble = server.trouble if away or not server.delivered else ""
    return [line, [Span(f"       {cut(trouble, 200)}", "red")]] if trouble else [line]


def _client(client: Client, origin: int, shown: Sequence[str]) -> Sequence[Line]:
    return [
        [
            Span("  from ", "dim"),
            Span(fill(f"{client.origin}{' TLS' if client.tls else ''}", origin)),
            *_end(shown, client.connections, client.in_flight, client.lag_seconds, client.last_chunk_seconds),
        ]
    ]


def _end(
    shown: Sequence[str], connections: int, in_flight: int, lag_s: float | None, last_s: float | None
) -> Iterator[Span]:
    texts = zip(_END_CELLS, (number(connections), number(in_flight), length(lag_s), ago(last_s)), strict=True)
    yield from (Span(flush_right(text, _END_CELLS[column])) for column, text in texts if column in shown)
