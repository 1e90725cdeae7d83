"""An explanation in lines for people, in colour: long lists and long texts are cut, and say by how much."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from firstseen.explanation import Answer, Excepting, Explanation, Needles, Outcome, RuleExplained
from firstseen.kql import Trace, render
from firstseen.kql.ast import And, Nested, Not, Or
from firstseen.kql.scalars import text_of
from firstseen.kql.trace import Found
from firstseen.model import TermValue
from firstseen.notation import spelled
from firstseen.record.instant import iso
from firstseen.rules.rule import EveryMatch, Rule

MOST_VALUES = 5
MOST_ALTERNATIVES = 4
"""Of the parts of an ``or`` that do not hold; those that do are told of, all of them."""
LONGEST = 160
"""Characters of a value, or of a comparison."""

_COLOURS = {
    Outcome.NO_MATCH: "white",
    Outcome.EXCEPTED: "blue",
    Outcome.NO_TERMS: "yellow",
    Outcome.KNOWN: "yellow",
    Outcome.ALERT: "red",
}


def lines(explanation: Explanation) -> Iterator[str]:
    """The event, and below it every rule."""
    action = _values(explanation.view.values("event.action"))
    place = spelled(f"{explanation.source}:{explanation.number}")
    yield f"{click.style(place, bold=True)}  {action}  {iso(explanation.time_ms)}  {spelled(explanation.identity)}"
    for rule in explanation.rules:
        yield from (f"  {line}" for line in _of_rule(rule, explanation.state))


def _of_rule(explained: RuleExplained, state: bool) -> Iterator[str]:
    rule, outcome = explained.rule, explained.outcome
    matched = outcome not in (Outcome.NO_MATCH, Outcome.EXCEPTED)
    told = click.style(outcome, fg=_COLOURS[outcome], bold=matched)
    yield f"{_mark(matched)} {click.style(spelled(rule.name), bold=True)} ({rule.type}): {told}"
    yield f"  {click.style(f'{spelled(rule.id)}  {spelled(rule.file)}', dim=True)}"
    yield f"  {_of_needles(explained.needles)}"
    yield from (f"  {line}" for line in _of_trace(explained.query))
    yield from (f"  {click.style('!', fg='yellow')} {spelled(why)}" for why in explained.unavailable.values())
    for each in explained.exceptions:
        yield from (f"  {line}" for line in _of_exception(each))
    yield from (f"  {line}" for line in _of_answers(explained, state))


def _of_needles(needles: Needles | None) -> str:
    if needles is None:
        return "needles: none, every record is looked at"
    listed = _cut_list(needles.found or needles.missing)
    if needles.found:
        return f"{_mark(True)} needle {listed} is in the event"
    if needles.escaped:
        return f"{_mark(True)} needle {listed} is not in the event, but may be hidden by escapes"
    return f"{_mark(False)} needle {listed} is not in the event: without one nothing matches"


def _of_trace(trace: Trace, known: Sequence[Found] = ()) -> Iterator[str]:
    """A part of the query, and below it its own; ``known`` are the values that the line before has shown."""
    mark = _mark(trace.verdict)
    match trace.node:
        case And() | Or() | Not() as node:
            yield f"{mark} {type(node).__name__.lower()}"
            yield from (f"  {line}" for line in _below(trace))
        case Nested(path):
            count = len(trace.children)
            yield f"{mark} {spelled(str(path))}: one of {count} object{'' if count == 1 else 's'}{_remarks(trace)}"
            for number, child in enumerate(trace.children, 1):
                yield f"  {_mark(child.verdict)} object {number}"
                yield from (f"    {line}" for line in _of_trace(child))
        case leaf:
            shown = "" if trace.found == known and known else _of_found(trace.found)
            yield f"{mark} {_cut(render(leaf))}{shown}{_remarks(trace)}"


def _below(trace: Trace) -> Iterator[str]:
    skips = isinstance(trace.node, Or)
    left_out = told = 0
    known: Sequence[Found] = ()
    for child in trace.children:
        if skips and not child.verdict and not child.children:
            told += 1
            if told > MOST_ALTERNATIVES:
                left_out += 1
                continue
        yield from _of_trace(child, known)
        known = child.found
    if left_out:
        yield f"{_mark(False)} and {left_out} more"


def _of_found(found: Sequence[Found]) -> str:
    if not found:
        return ""
    several = len(found) > 1
    parts = [f"{spelled(each.field)} " * several + _present(each) for each in found[:MOST_VALUES]]
    more = f" and {len(found) - MOST_VALUES} fields more" if len(found) > MOST_VALUES else ""
    return click.style("  → ", dim=True) + click.style("; ".join(parts) + more, fg="cyan")


def _present(found: Found) -> str:
    if found.values:
        return _values(found.values)
    return "has fields below it" if found.exists else "is not there"


def _remarks(trace: Trace) -> str:
    return click.style(f"  ({spelled('; '.join(trace.remarks))})", fg="yellow") if trace.remarks else ""


def _of_exception(each: Excepting) -> Iterator[str]:
    item, applies = each.item, each.trace.verdict
    place = item.file if item.line is None else f"{item.file}:{item.line}"
    verb = "applies" if applies else "does not apply"
    yield f"{_mark(applies)} exception {click.style(spelled(item.name), bold=applies)} {verb}  ({spelled(place)})"
    yield from (f"  {line}" for line in _of_trace(each.trace))


def _of_answers(explained: RuleExplained, state: bool) -> Iterator[str]:
    rule = explained.rule
    match explained.outcome:
        case Outcome.NO_MATCH | Outcome.EXCEPTED:
            return
        case Outcome.NO_TERMS:
            yield f"state: not asked, because a value is missing in {', '.join(map(spelled, rule.kind.fields))}"
            return
    if not explained.answers:
        yield "state: not asked, because every match is an alert"
        return
    if not state:
        yield "state: no state given, as if nothing was ever seen"
    elif explained.began is None:
        yield "state: it holds no history of this rule as it is now"
    else:
        yield f"state: history since {iso(explained.began)}"
    for answer in explained.answers[:MOST_VALUES]:
        yield f"  {_of_answer(rule, answer)}"
    if len(explained.answers) > MOST_VALUES:
        rest = explained.answers[MOST_VALUES:]
        yield f"  and {len(rest)} more, of which {sum(answer.alerts for answer in rest)} alert"


def _of_answer(rule: Rule, answer: Answer) -> str:
    verdict = click.style("alert", fg="red", bold=True) if answer.alerts else click.style("no alert", fg="yellow")
    return f"{verdict}  {_terms(rule, answer.terms)}: {spelled(answer.reason)}"


def _terms(rule: Rule, terms: Sequence[TermValue]) -> str:
    fields = rule.kind.fields
    if isinstance(rule.kind, EveryMatch) and rule.suppression is not None:
        fields = rule.suppression.fields
    pairs = [f"{spelled(field)} {_text(value)}" for field, value in zip(fields, terms, strict=True)]
    return ", ".join(pairs) or "all matches"


def _values(values: Sequence[TermValue]) -> str:
    shown = ", ".join(_text(value) for value in values[:MOST_VALUES])
    return f"{shown} and {len(values) - MOST_VALUES} more" if len(values) > MOST_VALUES else shown


def _text(value: TermValue) -> str:
    if value is None:
        return "is not there"
    return _cut(value.encode("utf-8", "replace").decode()) if isinstance(value, str) else text_of(value)


def _cut_list(texts: Sequence[str]) -> str:
    shown = ", ".join(f'"{text}"' if text.isprintable() else spelled(text) for text in texts[:MOST_VALUES])
    return f"{shown} and {len(texts) - MOST_VALUES} more" if len(texts) > MOST_VALUES else shown


def _cut(text: str) -> str:
    """``text`` on one line, without commands to the terminal; the end of a long one is left out."""
    line = " ".join(text.splitlines()) if "\n" in text else text
    return spelled(line) if len(line) <= LONGEST else f"{spelled(line[:LONGEST])}… ({len(line):,} characters)"


def _mark(verdict: bool) -> str:
    return click.style("✔", fg="green") if verdict else click.style("✘", fg="red")
