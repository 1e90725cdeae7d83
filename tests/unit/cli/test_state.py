from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from firstseen.cli import main
from firstseen.detect.law import Occurrence
from firstseen.detect.new_terms import NewTermsLaw, Sighting
from firstseen.store.base import Entry, History, RuleState
from firstseen.store.lmdb import LmdbReader, LmdbStore
from firstseen.store.lock import OwnerLock

OLD, RULE = RuleState(b"rule old", "id-1", "First call"), RuleState(b"rule one", "id-1", "First call")
OTHER = RuleState(b"rule two", "id-2", "Other")
ADA, BOB = "arn:aws:iam::111122223333:user/ada", "arn:aws:iam::111122223333:user/bob"
DAY = 86_400_000
MAP_SIZE = 1 << 20


def fill(path: Path, *entries: Entry, histories: list[History]) -> Path:
    store = LmdbStore.open(path, MAP_SIZE, durable=False)
    store.absorb(histories, list(entries))
    store.close()
    return path


def sighting(rule: RuleState, term: str, day: int, count: int = 1) -> Entry:
    return Entry(rule.key, (term,), Sighting(0, day * DAY, count, "e1", "e2"))


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return fill(
        tmp_path / "state",
        *[sighting(OLD, ADA, 1), sighting(RULE, ADA, 2, 5), sighting(RULE, BOB, 3), sighting(OTHER, "x\n", 4)],
        histories=[History(OLD, 0), History(RULE, DAY), History(OTHER, 2 * DAY)],
    )


def run(*arguments: object, answer: str | None = None) -> Result:
    return CliRunner().invoke(main, ["state", *map(str, arguments)], input=answer)


def of_json(*arguments: object) -> Any:
    result = run(*arguments, "--output", "json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def remembered(path: Path) -> list[Entry]:
    reader = LmdbReader.open(path)
    entries = list(reader.entries())
    reader.close()
    return entries


def test_stats(state: Path) -> None:
    told = of_json("stats", "--state", state)

    assert (told["entries"], told["map_size"], told["oldest"]) == (4, MAP_SIZE, "1970-01-01T00:00:00.000Z")
    assert told["used"] == round(told["used_bytes"] / MAP_SIZE, 4)
    assert told["rules"][1] == {
        "key": RULE.key.hex(),
        "id": "id-1",
        "name": "First call",
        "since": "1970-01-02T00:00:00.000Z",
        "entries": 2,
        "first_seen": "1970-01-01T00:00:00.000Z",
        "last_seen": "1970-01-04T00:00:00.000Z",
        "history": "current",
    }
    assert [rule["history"] for rule in told["rules"]] == ["old", "current", "current"]
    text = run("stats", "--state", state).stdout
    assert "4 terms, oldest 1970-01-01T00:00:00.000Z" in text
    assert "First call  (old: the rule has changed since)" in text


def test_stats_of_an_empty_state(tmp_path: Path) -> None:
    fill(tmp_path, histories=[History(RULE, 0)])

    assert of_json("stats", "--state", tmp_path)["oldest"] is None
    assert "oldest none" in run("stats", "--state", tmp_path).stdout
    assert "last seen never" in run("stats", "--state", tmp_path).stdout


def test_the_state_is_the_one_of_the_configuration(state: Path) -> None:
    config = state.parent / "firstseen.toml"
    config.write_text(f'[rules]\npaths = ["."]\n[state]\npath = "{state}"\n')

    assert of_json("stats", "-c", config)["path"] == str(state)
    assert run("stats").exit_code == 2


def test_list_shows_terms_and_pages(state: Path) -> None:
    result = run("list", "--state", state, "--limit", 3)

    assert result.stdout.splitlines()[0] == f"1970-01-02T00:00:00.000Z  First call: {ADA}"
    key = result.stderr.split()[-1]
    rest = run("list", "--state", state, "--after", key)
    assert rest.stdout == '1970-01-05T00:00:00.000Z  Other: "x\\n"\n'
    assert rest.stderr == ""


def test_list_in_json(state: Path) -> None:
    told = of_json("list", "--state", state, "--rule", RULE.key.hex(), "--limit", 1)

    (entry,) = told["entries"]
    assert told["next"] == entry["key"]
    assert len(entry["key"]) == 48
    assert entry["rule"] == {"key": RULE.key.hex(), "id": "id-1", "name": "First call"}
    assert (entry["law"], entry["event"], entry["last_event"]) == ("new_terms", "e1", "e2")
    assert of_json("list", "--state", state, "--after", told["next"], "--rule", RULE.key.hex())["next"] is None


@pytest.mark.parametrize(
    ("options", "days"),
    [
        (["--term", "user/"], ["02", "03", "04"]),
        (["--term", "*bob"], ["04"]),
        (["--rule", "Other"], ["05"]),
        (["--rule", "id-?", "--since", "1970-01-04"], ["04", "05"]),
        (["--until", "1970-01-03"], ["02", "03"]),
        (["--since", "now-1d"], []),
    ],
)
def test_list_filters(state: Path, options: list[str], days: list[str]) -> None:
    lines = run("list", "--state", state, *options).stdout.splitlines()

    assert sorted(line[8:10] for line in lines) == days


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--since", "soon"], "--since takes a date such as"),
        (["--after", "0"], "--after takes a key of 48"),
        (["--after", "00"], "--after takes a key of 48"),
        (["--rule", "nobody"], "no rule 'nobody' is in this state"),
    ],
)
def test_list_says_what_it_does_not_take(state: Path, options: list[str], says: str) -> None:
    result = run("list", "--state", state, *options)

    assert result.exit_code == 2
    assert says in result.stderr


def test_show_tells_everything_known_of_a_term(state: Path) -> None:
    told = of_json("show", ADA, "--state", state)

    assert [(each["rule"]["key"], each["last_seen"][:10], each["count"]) for each in told] == [
        (OLD.key.hex(), "1970-01-02", 1),
        (RULE.key.hex(), "1970-01-03", 5),
    ]
    text = run("show", ADA, "--state", state).stdout
    assert "First call" in text
    assert "count       5" in text
    assert f"terms       {ADA}" in text


def test_show_of_nothing(state: Path) -> None:
    result = run("show", "nobody", "--state", state)

    assert (result.exit_code, result.stdout, result.stderr) == (1, "", "nothing is known of nobody\n")
    assert run("show", "nobody", "--state", state, "--output", "json").stdout == "[]\n"


def test_forget_asks(state: Path) -> None:
    assert run("forget", ADA, "--state", state, answer="n\n").exit_code == 1
    assert len(remembered(state)) == 4

    result = run("forget", ADA, "--state", state, answer="y\n")

    assert "forget 2 terms?" in result.stderr
    assert result.stdout == "2 forgotten\n"
    assert [entry.terms for entry in remembered(state)] == [(BOB,), ("x\n",)]


def test_forget_of_one_rule(state: Path) -> None:
    assert of_json("forget", ADA, "--rule", OLD.key.hex(), "--yes", "--state", state) == {"forgotten": 1}
    assert [entry.rule_key for entry in remembered(state)] == [RULE.key, RULE.key, OTHER.key]


def test_forget_a_whole_rule_and_its_beginning(state: Path) -> None:
    assert of_json("forget", "--rule", "First*", "--yes", "--state", state) == {"forgotten": 3}
    assert [entry.rule_key for entry in remembered(state)] == [OTHER.key]
    assert [rule["id"] for rule in of_json("stats", "--state", state)["rules"]] == ["id-2"]


def test_forget_nothing(state: Path) -> None:
    assert run("forget", "nobody", "--state", state).stdout == "0 forgotten\n"
    assert run("forget", "--state", state).exit_code == 2


def test_forget_finds_room_in_a_full_state(tmp_path: Path) -> None:
    store = LmdbStore.open(tmp_path, 1 << 18, durable=False)
    store.register(RULE, 0)
    number = 0
    while store.problem is None:
        claimed = store.claim(RULE, (f"{number:0200}",), Occurrence(1, "e"), NewTermsLaw(1))
        store.confirm([claimed]).exception(60)
        number += 1
    store.close()

    assert of_json("forget", "--rule", RULE.key.hex(), "--yes", "--state", tmp_path)["forgotten"] >= number - 1


def test_two_states_merge_in_either_order(state: Path, tmp_path: Path) -> None:
    other = fill(tmp_path / "other", sighting(RULE, ADA, 9), sighting(RULE, "new", 1), histories=[History(RULE, 5)])
    files = []
    for path in (state, other):
        files.append(tmp_path / f"{path.name}.ndjson")
        files[-1].write_text(run("export", "--state", path).stdout)

    for number, order in enumerate([files, files[::-1], [*files, *files]]):
        for file in order:
            assert run("import", file, "--state", tmp_path / str(number)).exit_code == 0
    told = of_json("import", files[0], "--state", state)

    exported = [run("export", "--state", tmp_path / str(number)).stdout for number in range(3)]
    assert exported[0] == exported[1] == exported[2]
    assert exported[0].count("\n") == 1 + 3 + 5
    assert told == {"rules": 3, "terms": 4}


def test_export_of_one_rule(state: Path) -> None:
    lines = [json.loads(line) for line in run("export", "--rule", "id-2", "--state", state).stdout.splitlines()]

    assert lines[0] == {"form": "firstseen-state", "version": 1}
    assert [line["rule"] for line in lines[1:]] == [OTHER.key.hex()] * 2


def test_import_of_something_else(state: Path) -> None:
    result = run("import", "-", "--state", state, answer="{}\n")

    assert result.exit_code == 1
    assert "1: no line of an exported state: it has to begin with" in result.stderr


def test_compact(state: Path) -> None:
    told = of_json("compact", "--state", state)

    assert told["after"] == (state / "lmdb" / "data.mdb").stat().st_size
    assert told["before"] > 0
    assert len(remembered(state)) == 4


def test_what_writes_says_who_owns_the_state_and_what_reads_works(state: Path) -> None:
    export = run("export", "--state", state).stdout
    owner = OwnerLock.take(state / "lock")
    try:
        for command in (["forget", ADA, "--yes"], ["import", "-"], ["compact"]):
            result = run(*command, "--state", state, answer=export)
            assert result.exit_code == 1
            assert f"is in use by process {os.getpid()}; " in result.stderr
        for command in (["list"], ["stats"], ["show", ADA]):
            assert run(*command, "--state", state).exit_code == 0
    finally:
        owner.release()


@pytest.mark.parametrize("command", [["stats"], ["list"], ["show", "x"], ["forget", "x"], ["export"], ["compact"]])
def test_where_there_is_no_state(tmp_path: Path, command: list[str]) -> None:
    result = run(*command, "--state", tmp_path / "missing")

    assert result.exit_code == 1
    assert f"firstseen: {tmp_path / 'missing'} holds no state yet\n" in result.stderr
    assert not (tmp_path / "missing").exists()
