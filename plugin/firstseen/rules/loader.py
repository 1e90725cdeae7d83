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

from msgspec import Struct, field
from msgspec.structs import replace

from firstseen import toml
from firstseen.errors import Problem, RuleError
from firstseen.rules.assembly import TYPES, assembled, at
from firstseen.rules.exceptionfiles import read_exceptions
from firstseen.rules.exceptions import Exempting, meant_for, reports
from firstseen.rules.folders import toml_files
from firstseen.rules.requirements import Unavailable, everything_is_available, gaps, hindrances
from firstseen.rules.rule import ExceptionItem, Report, Rule, Status, Threshold
from firstseen.rules.rulefile import UNSUPPORTED, RuleFile
from firstseen.rules.ruleset import RuleSet
from firstseen.steps import nothing
from firstseen.toml import Document, TomlError

_ENDPOINT_LIST = "endpoint_list"
"""The list of the Elastic endpoint agent, which excepts what only that agent sees."""


class Known(Struct):
    """What was loaded before: what is the same when it is loaded again is not compiled again.

    Nothing of a file is in it that had a problem. Empty at first, and filled by `load_rules`; one thread at a time.
    """

    rules: RuleSet | None = None
    _files: dict[Path, _Read] = field(default_factory=dict)

    def file(self, path: Path, raw: bytes) -> _Read | None:
        """What was read from the file, if these bytes were in it."""
        read = self._files.get(path)
        return read if read is not None and read.raw == raw else None

    def keep(self, rules: RuleSet, files: dict[Path, _Read]) -> None:
        """This was loaded last."""
        self.rules, self._files = rules, files


def load_rules(
    paths: Iterable[Path],
    exception_paths: Iterable[Path] = (),
    *,
    now_ms: int = 0,
    unavailable: Unavailable = everything_is_available,
    elsewhere: Unavailable = everything_is_available,
    known: Known | None = None,
    between: Callable[[], None] = nothing,
) -> RuleSet:
    """Load the rules in ``paths``: files, and directories that are searched for ``*.toml`` at any depth.

    Files of tests (``*.test.toml``) in them are left alone.
    The exceptions in ``exception_paths`` apply to them that hold at ``now_ms``. ``unavailable`` tells of fields that no
    event of one source can have here, and ``elsewhere`` of those that it never has: a rule that needs one of these is
    about other sources, of which nothing is known. What is ``known`` saves work, and changes no result. ``between``
    is called after each file. Raises `RuleError` with every problem of every file.
    """
    problems: list[Problem] = []
    loaded: list[_Loaded] = []
    files: dict[Path, _Read] = {}
    before = known or Known()
    surroundings = _Surroundings(read_exceptions(exception_paths, problems), now_ms, unavailable, elsewhere)
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
        list(reports(surroundings.exceptions, names, now_ms)),
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


class _Read(Struct, frozen=True):
    """A file of which nothing is wrong: ``raw`` is what is in it, ``rule`` what it comes to with these ``items``.

    ``unwanted`` is why the file itself says that its rule should not run, ``reasons`` and ``remarks`` are as in
    `RuleFile`; none of them hang on anything outside of the file but the ``items``.
    """

    raw: bytes
    id: str
    name: str
    type: str
    file: str
    unwanted: str
    reasons: Sequence[str]
    remarks: Sequence[str]
    lists: Sequence[str]
    items: Sequence[ExceptionItem]
    rule: Rule | None


def _read(path: Path, surroundings: _Surroundings, known: Known) -> _Read:
    """Read one file, if it is not known; raises `RuleError`."""
    try:
        raw = toml.read(path)
        read = known.file(path, raw)
        if read is not None:
            items = meant_for(surroundings.exceptions, read.id, read.name, read.lists)
            if items == read.items:
                return replace(read, rule=at(read.rule, surroundings.now_ms)) if read.rule is not None else read
        document = toml.parse(raw, str(path))
    except TomlError as error:
        raise RuleError([error.problem]) from error
    return _compiled(document, surroundings)


def _compiled(document: Document, surroundings: _Surroundings) -> _Read:
    """Raises `RuleError`."""
    if not isinstance(document.data.get("rule"), dict):
        raise RuleError([Problem(document.file, None, "no [rule] table: this is no rule file")])
    file = RuleFile(document)
    rule_id, name, rule_type = (file.text("rule", key) for key in ("rule_id", "name", "type"))
    lists: Sequence[str] = ()
    items: Sequence[ExceptionItem] = []
    rule = None
    unwanted = _unwanted(file)
    if not unwanted:
        unknown = _unknown_kind(file, rule_type)
        if unknown:
            file.reasons.append(unknown)
        else:
            lists = [file.text(*table, "list_id") for table in file.tables("rule", "exceptions_list")]
            items = meant_for(surroundings.exceptions, rule_id, name, lists)
            rule = assembled(file, rule_id, name, rule_type, items, surroundings.now_ms)
    if file.problems:
        raise RuleError(sorted(file.problems, key=lambda problem: problem.line or 0))
    return _Read(
        raw=document.raw,
        id=rule_id,
        name=name,
        type=rule_type,
        file=document.file,
        unwanted=unwanted,
        reasons=file.reasons,
        remarks=file.remarks,
        lists=lists,
        items=items,
        rule=rule,
    )


def _judged(read: _Read, surroundings: _Surroundings) -> _Loaded:
    """What becomes of the rule here and now."""
    if read.unwanted:
        status, reason = Status.SKIPPED, read.unwanted
    else:
        status, reason = _verdict(read, surroundings)
    rule = None if status is Status.NOT_RUNNABLE else read.rule
    shown = tuple(sorted(needle.decode("utf-8", "backslashreplace") for needle in (rule and rule.needles) or ()))
    return _Loaded(Report(read.id, read.name, read.type, read.file, status, reason, shown), rule, read.lists)


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


def _verdict(read: _Read, surroundings: _Surroundings) -> tuple[Status, str]:
    rule = read.rule
    if rule is None:
        return Status.NOT_RUNNABLE, "; ".join(read.reasons)
    fields, unavailable = keyed(rule), surroundings.unavailable
    if hindrances(rule.node, fields, surroundings.elsewhere):
        unavailable = everything_is_available
    if hindering := hindrances(rule.node, fields, unavailable):
        return Status.NOT_RUNNABLE, "no event can match: " + _told(hindering, unavailable)
    remarks = list(read.remarks)
    if rule.needles is None:
        remarks.append("no needle: every record is looked at")
    if lacking := gaps(rule.node, fields, unavailable):
        remarks.append("runs without " + _told(lacking, unavailable))
    remarks += [
        f"the exception list {list_id} (rule.exceptions_list) is not there: nothing is excepted by it"
        for list_id in dict.fromkeys(read.lists)
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
