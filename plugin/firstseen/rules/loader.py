"""Rule files in Elastic's TOML format, read into rules: each file becomes a rule or says why not.

Three things can be said of a file. It is broken: then nothing is loaded at all, and every problem of every file is
reported at once. It asks for what this version does not have: then its rule does not run, and the report names the
reason; a feature whose absence would change what the rule finds is never ignored. Or its rule runs. Keys that have no
bearing on what a rule finds are passed over, known or not.

The cases are in ``tests/spec/rules``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from firstseen import toml
from firstseen.errors import Problem, RuleError
from firstseen.rules.newterms import new_terms_rule
from firstseen.rules.rule import Report, Rule, Status
from firstseen.rules.rulefile import UNSUPPORTED, RuleFile
from firstseen.rules.ruleset import RuleSet
from firstseen.rules.testing import is_test_file
from firstseen.toml import TomlError


def load_rules(paths: Iterable[Path]) -> RuleSet:
    """Load the rules in ``paths``: files, and directories that are searched for ``*.toml`` at any depth.

    Files of tests (``*.test.toml``) in them are left alone.

    Raises `RuleError` with every problem of every file.
    """
    problems: list[Problem] = []
    loaded: list[_Loaded] = []
    for file in _files(paths, problems):
        try:
            loaded.append(_load(file))
        except RuleError as error:
            problems += error.problems
    problems += _shared_ids(loaded)
    if problems:
        raise RuleError(problems)
    return RuleSet([each.rule for each in loaded if each.rule is not None], [each.report for each in loaded])


@dataclass(frozen=True, slots=True)
class _Loaded:
    report: Report
    rule: Rule | None
    id_line: int | None


def _files(paths: Iterable[Path], problems: list[Problem]) -> Iterator[Path]:
    """Every rule file once, however often ``paths`` lead to it."""
    seen: set[Path] = set()
    for path in paths:
        for file in _walk(path, problems) if _is_directory(path) else [path]:
            if file.absolute() not in seen:
                seen.add(file.absolute())
                yield file


def _is_directory(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a directory above it is closed to us; reading it as a file will say so
        return False


def _walk(directory: Path, problems: list[Problem]) -> list[Path]:
    """The rule files below ``directory``, links followed, each directory once.

    Hidden names are passed over, because a mounted ConfigMap has copies there.
    """

    def unreadable(error: OSError) -> None:
        problems.append(Problem(str(error.filename), None, f"cannot be read: {error.strerror}"))

    found: list[Path] = []
    entered = {directory.resolve()}
    for folder, folders, names in os.walk(directory, onerror=unreadable, followlinks=True):
        visible = {Path(folder, name).resolve(): name for name in sorted(folders) if not name.startswith(".")}
        folders[:] = [name for place, name in visible.items() if place not in entered]
        entered.update(visible)
        found += [Path(folder, name) for name in names if _is_rule_file(name)]
    if not found:
        problems.append(Problem(str(directory), None, "no rule in this directory: no *.toml at any depth"))
    return sorted(found)


def _is_rule_file(name: str) -> bool:
    return name.endswith(".toml") and not name.startswith(".") and not is_test_file(name)


def _shared_ids(loaded: Sequence[_Loaded]) -> Iterator[Problem]:
    first: dict[str, _Loaded] = {}
    for each in loaded:
        report = each.report
        if report.status is Status.SKIPPED:
            continue
        other = first.setdefault(report.id, each)
        if other is not each:
            place = f"{other.report.file}:{other.id_line}"
            yield Problem(report.file, each.id_line, f"rule.rule_id: {report.id} is the id of the rule at {place} too")


def _load(path: Path) -> _Loaded:
    """Load one file; raises `RuleError`."""
    try:
        document = toml.load(path)
    except TomlError as error:
        raise RuleError([error.problem]) from error
    if not isinstance(document.data.get("rule"), dict):
        raise RuleError([Problem(document.file, None, "no [rule] table: this is no rule file")])
    file = RuleFile(document)
    rule_id, name, rule_type = (file.text("rule", key) for key in ("rule_id", "name", "type"))
    status, rule = Status.SKIPPED, None
    reason = _unwanted(file)
    if not reason:
        status = Status.NOT_RUNNABLE
        reason = _unknown_kind(file, rule_type)
    if not reason:
        rule = new_terms_rule(file, rule_id, name)
        status, reason = _verdict(file, rule)
    if file.problems:
        raise RuleError(sorted(file.problems, key=lambda problem: problem.line or 0))
    shown = tuple(sorted(needle.decode("utf-8", "backslashreplace") for needle in (rule and rule.needles) or ()))
    report = Report(rule_id, name, rule_type, document.file, status, reason, shown)
    return _Loaded(report, rule, document.line_of("rule", "rule_id"))


def _unwanted(file: RuleFile) -> str:
    """Why the file itself says that its rule should not run."""
    if file.value("metadata", "maturity") == "deprecated":
        return "deprecated (metadata.maturity)"
    if file.value("rule", "enabled") is False:
        return "turned off (rule.enabled)"
    return ""


def _unknown_kind(file: RuleFile, rule_type: str) -> str:
    if rule_type != "new_terms":
        return f"rule type {rule_type} is {UNSUPPORTED}"
    language = file.text("rule", "language", default="kuery")
    return "" if language == "kuery" else f"query language {language} is {UNSUPPORTED}"


def _verdict(file: RuleFile, rule: Rule | None) -> tuple[Status, str]:
    if rule is None:
        return Status.NOT_RUNNABLE, "; ".join(file.reasons)
    if rule.needles is None:
        return Status.FLAGGED, "no needle: every record is looked at"
    return Status.LOADED, ""
