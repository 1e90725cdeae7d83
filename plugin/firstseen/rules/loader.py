"""Rule files in Elastic's TOML format, read into rules: each file becomes a rule or says why not.

Three things can be said of a file. It is broken: then nothing is loaded at all, and every problem of every file is
reported at once. It asks for what this version does not have: then its rule does not run, and the report names the
reason; a feature whose absence would change what the rule finds is never ignored. Or its rule runs. Keys that have no
bearing on what a rule finds are passed over, known or not.

The cases are in ``tests/spec/rules``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct

from firstseen import toml
from firstseen.errors import Problem, RuleError
from firstseen.rules.assembly import at, excepted
from firstseen.rules.exceptionfiles import read_exceptions
from firstseen.rules.exceptions import Exempting, meant_for, reports
from firstseen.rules.folders import toml_files
from firstseen.rules.reading import Reading, digest_of, reading
from firstseen.rules.requirements import Unavailable, doubts, everything_is_available, gaps, hindrances
from firstseen.rules.rule import ExceptionItem, Report, Rule, Status, Threshold
from firstseen.rules.ruleset import RuleSet
from firstseen.steps import nothing
from firstseen.toml import TomlError

_ENDPOINT_LIST = "endpoint_list"
"""The list of the Elastic endpoint agent, which excepts what only that agent sees."""


class _Read(NamedTuple):
    """What a file says, the exceptions that are meant for its rule, and what the rule comes to with these."""

    said: Reading
    items: Sequence[ExceptionItem]
    rule: Rule | None


class Known:
    """What was loaded before: a file that says the same is neither parsed nor checked again, and its rule is the same.

    It begins with what is known of ``readings``, if anything, and is filled by `load_rules`, but for what of a file
    that had a problem; one thread at a time. Of the files loaded last ``parsed`` were not known.
    """

    __slots__ = ("_files", "parsed", "rules")

    def __init__(self, readings: Iterable[Reading] = ()) -> None:
        self.rules: RuleSet | None = None
        self.parsed = 0
        self._files = {Path(each.file): _Read(each, [], each.rule) for each in readings}

    @property
    def readings(self) -> Sequence[Reading]:
        """What all files say that were loaded last."""
        return [each.said for each in self._files.values()]

    def file(self, path: Path, digest: bytes) -> _Read | None:
        """What was read from the file, if the bytes of this digest were in it."""
        read = self._files.get(path)
        return read if read is not None and read.said.digest == digest else None

    def keep(self, rules: RuleSet, files: dict[Path, _Read]) -> None:
        """This was loaded last."""
        self.parsed = sum(self.file(path, read.said.digest) is None for path, read in files.items())
        self.rules, self._files = rules, files


def load_rules(
    paths: Iterable[Path],
    exception_paths: Iterable[Path] = (),
    *,
    now_ms: int = 0,
    unavailable: Unavailable = everything_is_available,
    elsewhere: Unavailable = everything_is_available,
    unknown: Unavailable = everything_is_available,
    known: Known | None = None,
    between: Callable[[], None] = nothing,
) -> RuleSet:
    """Load the rules in ``paths``: files, and directories that are searched for ``*.toml`` at any depth.

    Files of tests (``*.test.toml``) in them are left alone.
    The exceptions in ``exception_paths`` apply to them that hold at ``now_ms``. ``unavailable`` tells of fields that no
    event of one source can have here, and ``elsewhere`` of those that it never has: a rule that needs one of these is
    about other sources, of which nothing is known. ``unknown`` tells of fields that are most likely slips: who asks for
    one is told so. What is ``known`` saves work, and changes no result. ``between`` is called after each file. Raises
    `RuleError` with every problem of every file.
    """
    problems: list[Problem] = []
    loaded: list[_Loaded] = []
    files: dict[Path, _Read] = {}
    before = known or Known()
    exceptions = read_exceptions(exception_paths, problems)
    surroundings = _Surroundings(exceptions, now_ms, unavailable, elsewhere, unknown)
    for file in toml_files(paths, problems, "rule"):
        try:
            read = files[file] = _read(file, surroundings, before)
            loaded.append(_judged(read, surroundings))
        except RuleError as error:
            problems += error.problems
        between()
    problems += _shared_ids(loaded)
    if problems:
        raise RuleError(problems)
    names = [(each.report.id, each.report.name, each.lists) for each in loaded]
    rules = RuleSet(
        [each.rule for each in loaded if each.rule is not None],
        [each.report for each in loaded],
        list(reports(exceptions, names, now_ms, unknown)),
        before.rules,
    )
    before.keep(rules, files)
    return rules


class _Surroundings(Struct, frozen=True):
    """What a rule meets that is not in its file."""

    exceptions: Sequence[Exempting]
    now_ms: int
    unavailable: Unavailable
    elsewhere: Unavailable
    unknown: Unavailable

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


def _read(path: Path, surroundings: _Surroundings, known: Known) -> _Read:
    """Read one file, if it is not known; raises `RuleError`."""
    try:
        raw = toml.read(path)
        before = known.file(path, digest_of(raw))
        said = reading(toml.parse(raw, str(path))) if before is None else before.said
    except TomlError as error:
        raise RuleError([error.problem]) from error
    items = meant_for(surroundings.exceptions, said.id, said.name, said.lists)
    rule = said.rule
    if rule is not None:
        known_rule = before.rule if before is not None and before.items == items else None
        rule = excepted(rule, items, surroundings.now_ms) if known_rule is None else at(known_rule, surroundings.now_ms)
    return _Read(said, items, rule)


def _judged(read: _Read, surroundings: _Surroundings) -> _Loaded:
    """What becomes of the rule here and now."""
    said = read.said
    if said.unwanted:
        status, reason = Status.SKIPPED, said.unwanted
    else:
        status, reason = _verdict(said, read.rule, surroundings)
    rule = None if status is Status.NOT_RUNNABLE else read.rule
    shown = tuple(sorted(needle.decode("utf-8", "backslashreplace") for needle in (rule and rule.needles) or ()))
    return _Loaded(Report(said.id, said.name, said.type, said.file, status, reason, shown), rule, said.lists)


def _verdict(said: Reading, rule: Rule | None, surroundings: _Surroundings) -> tuple[Status, str]:
    if rule is None or said.rule is None:
        return Status.NOT_RUNNABLE, "; ".join(said.reasons)
    fields, unavailable = keyed(rule), surroundings.unavailable
    remarks = list(said.remarks)
    if rule.needles is None:
        remarks.append("no needle: every record is looked at")
    # What excepts events from it has remarks of its own.
    remarks += doubts(said.rule.node, fields, surroundings.unknown)
    lacking = gaps(rule.node, fields, unavailable)
    if lacking and not hindrances(rule.node, fields, surroundings.elsewhere):
        if hindering := hindrances(rule.node, fields, unavailable):
            return Status.NOT_RUNNABLE, "no event can match: " + _told(hindering, unavailable)
        remarks.append("runs without " + _told(lacking, unavailable))
    remarks += [
        f"the exception list {list_id} (rule.exceptions_list) is not there: nothing is excepted by it"
        for list_id in dict.fromkeys(said.lists)
        if list_id not in ("", _ENDPOINT_LIST) and not surroundings.has_list(list_id)
    ]
    return (Status.FLAGGED, "; ".join(remarks)) if remarks else (Status.LOADED, "")


def keyed(rule: Rule) -> tuple[str, ...]:
    """The fields without a value of which a match is nothing to the rule."""
    kind = rule.kind
    if isinstance(kind, Threshold) and kind.cardinality is not None:
        return (*kind.fields, kind.cardinality.field)
    return kind.fields


def _told(fields: Collection[str], unavailable: Unavailable) -> str:
    return ", ".join(f"{field} ({unavailable(field)})" for field in sorted(fields))
