"""``firstseen rules``: what is loaded and what cannot run, and the tests that lie beside rules."""

from __future__ import annotations

import difflib
import json
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

import click
from msgspec import Struct
from msgspec.structs import asdict

from firstseen import config
from firstseen.cli import CONFIG_FILE, EXIT_CONFIG, EXIT_FAILED, rulelist
from firstseen.cli.whichstate import reader_of, state_options
from firstseen.errors import Problem, RuleError
from firstseen.geoip import GeoIp, databases
from firstseen.notation import spelled
from firstseen.rules.loader import load_rules
from firstseen.rules.rule import Status
from firstseen.rules.testing import RuleTest, TestFile, is_test_file, load_tests
from firstseen.trials import Mismatch, run_test


@click.group("rules")
def command() -> None:
    """What rules are loaded and what cannot run, and tests of rules."""


@command.command("list")
@click.option("-c", "--config", "file", type=CONFIG_FILE, help="Take what this file names.")
@click.option("--exceptions", "exceptions", multiple=True, type=click.Path(path_type=Path), help="Files of exceptions.")
@state_options("Tell of the history of each rule in this state")
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="[PATH]...")
def list_rules(
    file: Path | None,
    exceptions: tuple[Path, ...],
    state: str | None,
    prefix: str | None,
    output: str,
    paths: tuple[Path, ...],
) -> None:
    """List every rule file in PATH: what becomes of its rule, and why.

    With the needles that lead to its records, its exceptions, and the fields that no CloudTrail record can have.
    Without a configuration there are no databases of addresses.
    """
    with reader_of(file, state, prefix) as reader:
        listing = rulelist.load(file, paths, exceptions, reader)
    click.echo(json.dumps(rulelist.as_json(listing), indent=2) if output == "json" else rulelist.as_text(listing))


class _Outcome(Struct, frozen=True):
    """One test of one file, and what came of it."""

    file: TestFile
    test: RuleTest
    mismatches: Sequence[Mismatch]
    seconds: float


@command.command("test")
@click.option("-c", "--config", "file", type=CONFIG_FILE, help="Take the databases of addresses of it.")
@click.option("--junit", type=click.Path(path_type=Path), help="Write the outcome here too, as JUnit XML.")
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True), metavar="PATH...")
@click.pass_context
def test_rules(ctx: click.Context, file: Path | None, junit: Path | None, output: str, paths: tuple[Path, ...]) -> None:
    """Run the tests in PATH: *.test.toml files, directories with such files, or rules that have one beside them.

    Without a configuration there are no databases of addresses; nothing else of it is used.
    """
    geoip = GeoIp() if file is None else databases(config.load_part(file, ["geoip"]))
    problems: list[Problem] = []
    outcomes: list[_Outcome] = []
    files = list(_test_files(paths))
    if not files:
        raise click.UsageError("no tests there: they lie beside a rule NAME.toml, in NAME.test.toml")
    for path in files:
        try:
            outcomes += _run(load_tests(path), geoip)
        except RuleError as error:
            problems += error.problems
    failed = sum(bool(outcome.mismatches) for outcome in outcomes)
    if junit is not None:
        try:
            junit.write_bytes(_junit(outcomes, problems))
        except OSError as error:
            raise click.FileError(str(junit), f"it cannot be written: {error.strerror}") from error
    if output == "json":
        click.echo(json.dumps(_as_json(outcomes, problems), indent=2))
    else:
        for outcome in outcomes:
            for mismatch in outcome.mismatches:
                click.echo("\n".join(_shown(outcome, mismatch)))
        for problem in problems:
            click.echo(spelled(str(problem)))
        click.echo(f"{len(outcomes)} tests in {len(files)} files: {len(outcomes) - failed} passed, {failed} failed")
    ctx.exit(EXIT_CONFIG if problems else EXIT_FAILED if failed else 0)


def _test_files(paths: Sequence[Path]) -> Iterator[Path]:
    """Every file of tests once, in the order of paths and then of names."""
    seen: set[Path] = set()
    for path in paths:
        for file in _below(path) if path.is_dir() else [path]:
            tests = file if is_test_file(file.name) else file.with_name(f"{file.stem}.test.toml")
            if tests.exists() and tests.absolute() not in seen:
                seen.add(tests.absolute())
                yield tests


def _below(directory: Path) -> list[Path]:
    return sorted(Path(folder, name) for folder, _, names in os.walk(directory) for name in names if is_test_file(name))


def _run(file: TestFile, geoip: GeoIp) -> Iterator[_Outcome]:
    """Raises `RuleError` where the rule cannot be loaded, or does not run."""
    rules = load_rules([file.rule])
    for report in rules.reports:
        if report.status not in (Status.LOADED, Status.FLAGGED):
            raise RuleError([Problem(report.file, None, f"the rule does not run: {report.reason}")])
    for test in file.tests:
        start = time.perf_counter()
        mismatches = run_test(rules, test, geoip)
        yield _Outcome(file, test, mismatches, time.perf_counter() - start)


def _shown(outcome: _Outcome, mismatch: Mismatch) -> Iterator[str]:
    told = f"{outcome.file.path}:{mismatch.line}: {outcome.test.name}: {mismatch.what}"
    yield click.style(spelled(told), fg="red")
    yield from (f"    {line}" for line in _diff(mismatch))


def _diff(mismatch: Mismatch) -> Iterator[str]:
    """What was expected (-) and what came (+), line by line."""
    expected, actual = (
        json.dumps(side, indent=2, sort_keys=True).splitlines() for side in (mismatch.expected, mismatch.actual)
    )
    return (line.rstrip() for line in difflib.ndiff(expected, actual) if not line.startswith("?"))


def _as_json(outcomes: Sequence[_Outcome], problems: Sequence[Problem]) -> object:
    return {
        "tests": [
            {
                "file": str(outcome.file.path),
                "name": outcome.test.name,
                "line": outcome.test.line,
                "seconds": round(outcome.seconds, 6),
                "mismatches": [asdict(mismatch) for mismatch in outcome.mismatches],
            }
            for outcome in outcomes
        ],
        "problems": [asdict(problem) for problem in problems],
    }


def _junit(outcomes: Sequence[_Outcome], problems: Sequence[Problem]) -> bytes:
    """The outcome in the form that CI systems read; a file with problems is a test with an error.

    All that others wrote is `spelled`: most control characters cannot be in XML, however they are written.
    """
    failed = sum(bool(outcome.mismatches) for outcome in outcomes)
    suite = ElementTree.Element(
        "testsuite",
        name="firstseen rules",
        tests=str(len(outcomes) + len(problems)),
        failures=str(failed),
        errors=str(len(problems)),
    )
    for outcome in outcomes:
        case = ElementTree.SubElement(
            suite,
            "testcase",
            classname=spelled(outcome.file.path.name),
            name=spelled(outcome.test.name),
            file=spelled(str(outcome.file.path)),
            line=str(outcome.test.line or 0),
            time=f"{outcome.seconds:.6f}",
        )
        for mismatch in outcome.mismatches:
            message = spelled(f"line {mismatch.line}: {mismatch.what}")
            failure = ElementTree.SubElement(case, "failure", message=message)
            failure.text = "\n".join(_diff(mismatch))
    for problem in problems:
        case = ElementTree.SubElement(suite, "testcase", classname=spelled(Path(problem.file).name), name="loads")
        ElementTree.SubElement(case, "error", message=spelled(str(problem)))
    ElementTree.indent(suite)
    text: bytes = ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True)
    return text + b"\n"
