"""Rule files in Elastic's TOML format, read into rules: each file becomes a rule or says why not.

Three things can be said of a file. It is broken: then nothing is loaded at all, and every problem of every file is
reported at once. It asks for what this version does not have: then its rule does not run, and the report names the
reason; a feature whose absence would change what the rule finds is never ignored. Or its rule runs. Keys that have no
bearing on what a rule finds are passed over, known or not.

The cases are in ``tests/spec/rules``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from msgspec import Struct

from firstseen import toml
from firstseen.errors import Problem, RuleError
from firstseen.rules.assembly import TYPES, assembled
from firstseen.rules.exceptionfiles import read_exceptions
from firstseen.rules.exceptions import Exempting, meant_for, reports
from firstseen.rules.folders import toml_files
from firstseen.rules.requirements import Unavailable, everything_is_available, gaps, hindrances
from firstseen.rules.rule import Report, Rule, Status, Threshold
from firstseen.rules.rulefile import UNSUPPORTED, RuleFile
from firstseen.rules.ruleset import RuleSet
from firstseen.toml import TomlError

_ENDPOINT_LIST = "endpoint_list"
"""The list of the Elastic endpoint agent, which excepts what only that agent sees."""


def load_rules(
    paths: Iterable[Path],
    exception_paths: Iterable[Path] = (),
    *,
    now_ms: int = 0,
    unavailable: Unavailable = everything_is_available,
    elsewhere: Unavailable = everything_is_available,
) -> RuleSet:
    """Load the rules in ``paths``: files, and directories that are searched for ``*.toml`` at any depth.

    Files of tests (``*.test.toml``) in them are left alone.
    The exceptions in ``exception_paths`` apply to them that hold at ``now_ms``. ``unavailable`` tells of fields that no
    event of one source can have here, and ``elsewhere`` of those that it never has: a rule that needs one of these is
    about other sources, of which nothing is known. Raises `RuleError` with every problem of every file.
    """
    problems: list[Problem] = []
    loaded: list[_Loaded] = []
    surroundings = _Surroundings(read_exceptions(exception_paths, problems), now_ms, unavailable, elsewhere)
    for file in toml_files(paths, problems, "rule"):
        try:
            loaded.append(_load(file, surroundings))
        except RuleError as error:
            problems += error.problems
    problems += _shared_ids(loaded)
    if problems:
        raise RuleError(problems)
    known = [(each.report.id, each.report.name, each.lists) for each in loaded]
    return RuleSet(
        [each.rule for each in loaded if each.rule is not None],
        [each.report for each in loaded],
        list(reports(surroundings.exceptions, known, now_ms)),
    )


class _Surroundings(Struct, frozen=True):
    """What a rule meets that is not in its file."""

    exceptions: Sequence[Exempting]
    now_ms: int
    unavailable: Unavailable
    elsewhere: Unavailable

    def has_list(self, list_id: str) -> bool:
        return any(each.scope.list_id == list_id for each in self.exceptions)


class _Loaded(Struct, frozen=True):
    report: Report
    rule: Rule | None
    lists: Collection[str]

    def id_line(self) -> int | None:
        """Where the id is written, read anew: to keep every document for this would slow all loading down."""
        try:
            return toml.load(Path(self.report.file)).line_of("rule", "rule_id")
        except TomlError:  # changed since it was loaded
            return None


def _shared_ids(loaded: Sequence[_Loaded]) -> Iterator[Problem]:
    first: dict[str, _Loaded] = {}
    for each in loaded:
        report = each.report
        if report.status is Status.SKIPPED:
            continue
        other = first.setdefault(report.id, each)
        if other is not each:
            place = f"{other.report.file}:{other.id_line()}"
            yield Problem(
                report.file, each.id_line(), f"rule.rule_id: {report.id} is the id of the rule at {place} too"
            )


def _load(path: Path, surroundings: _Surroundings) -> _Loaded:
    """Load one file; raises `RuleError`."""
    try:
        document = toml.load(path)
    except TomlError as error:
        raise RuleError([error.problem]) from error
    if not isinstance(document.data.get("rule"), dict):
        raise RuleError([Problem(document.file, None, "no [rule] table: this is no rule file")])
    file = RuleFile(document)
    rule_id, name, rule_type = (file.text("rule", key) for key in ("rule_id", "name", "type"))
    lists: Sequence[str] = ()
    status, rule = Status.SKIPPED, None
    reason = _unwanted(file)
    if not reason:
        status = Status.NOT_RUNNABLE
        reason = _unknown_kind(file, rule_type)
    if not reason:
        lists = [file.text(*table, "list_id") for table in file.tables("rule", "exceptions_list")]
        items = meant_for(surroundings.exceptions, rule_id, name, lists)
        rule = assembled(file, rule_id, name, rule_type, items, surroundings.now_ms)
        status, reason = _verdict(file, rule, lists, surroundings)
    if file.problems:
        raise RuleError(sorted(file.problems, key=lambda problem: problem.line or 0))
    if status is Status.NOT_RUNNABLE:
        rule = None
    shown = tuple(sorted(needle.decode("utf-8", "backslashreplace") for needle in (rule and rule.needles) or ()))
    return _Loaded(Report(rule_id, name, rule_type, document.file, status, reason, shown), rule, lists)


def _unwanted(file: RuleFile) -> str:
    """Why the file itself says that its rule should not run."""
    if file.value("metadata", "maturity") == "deprecated":
        return "deprecated (metadata.maturity)"
    if file.value("rule", "enabled") is False:
        return "turned off (rule.enabled)"
    return ""


def _unknown_kind(file: RuleFile, rule_type: str) -> str:
    if rule_type not in TYPES:
        return f"rule type {rule_type} is {UNSUPPORTED}"
    language = file.text("rule", "language", default="kuery")
    return "" if language == "kuery" else f"query language {language} is {UNSUPPORTED}"


def _verdict(
    file: RuleFile, rule: Rule | None, lists: Sequence[str], surroundings: _Surroundings
) -> tuple[Status, str]:
    if rule is None:
        return Status.NOT_RUNNABLE, "; ".join(file.reasons)
    fields, unavailable = _keyed(rule), surroundings.unavailable
    if hindrances(rule.node, fields, surroundings.elsewhere):
        unavailable = everything_is_available
    if hindering := hindrances(rule.node, fields, unavailable):
        return Status.NOT_RUNNABLE, "no event can match: " + _told(hindering, unavailable)
    remarks = list(file.remarks)
    if rule.needles is None:
        remarks.append("no needle: every record is looked at")
    if lacking := gaps(rule.node, fields, unavailable):
        remarks.append("runs without " + _told(lacking, unavailable))
    remarks += [
        f"the exception list {list_id} (rule.exceptions_list) is not there: nothing is excepted by it"
        for list_id in dict.fromkeys(lists)
        if list_id not in ("", _ENDPOINT_LIST) and not surroundings.has_list(list_id)
    ]
    return (Status.FLAGGED, "; ".join(remarks)) if remarks else (Status.LOADED, "")


def _keyed(rule: Rule) -> tuple[str, ...]:
    """The fields without a value of which a match is nothing to the rule."""
    kind = rule.kind
    if isinstance(kind, Threshold) and kind.cardinality is not None:
        return (*kind.fields, kind.cardinality.field)
    return kind.fields


def _told(fields: Collection[str], unavailable: Unavailable) -> str:
    return ", ".join(f"{field} ({unavailable(field)})" for field in sorted(fields))
