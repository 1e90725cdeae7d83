from __future__ import annotations

import asyncio
import gzip
import io
import json
import os
import re
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest
from click.testing import CliRunner, Result

from firstseen.cli import main
from firstseen.control import Control
from firstseen.detect.law import Occurrence
from firstseen.detect.new_terms import NewTermsLaw, Sighting
from firstseen.detect.suppression import Window
from firstseen.detect.threshold import Bucket, Mark
from firstseen.model import Verdict
from firstseen.states import OnDisk, Place, Shared, edit, read
from firstseen.store.base import ClaimLost, Entry, History, RuleState, Wanted
from firstseen.store.lmdb import LmdbStore
from firstseen.store.lock import OwnerLock
from support.redis import Fleet, RedisServer, claim_all, free_port, new_prefix

OLD, RULE = RuleState(b"rule old", "id-1", "First call"), RuleState(b"rule one", "id-1", "First call")
OTHER = RuleState(b"rule two", "id-2", "Other")
ADA, BOB = "arn:aws:iam::111122223333:user/ada", "arn:aws:iam::111122223333:user/bob"
DAY = 86_400_000
MAP_SIZE = 1 << 20


Options = list[str]


def fill(place: Place, *entries: Entry, histories: list[History]) -> Options:
    """The options that name it, once this is in it."""
    with closing(edit(place)) as store:
        store.absorb(histories, list(entries))
    return options(place)


def options(place: Place) -> Options:
    match place:
        case OnDisk(path):
            return ["--state", str(path)]
        case Shared(url, prefix):
            return ["--state", str(url), "--prefix", prefix]


def sighting(rule: RuleState, term: str, day: int, count: int = 1) -> Entry:
    return Entry(rule.key, (term,), Sighting(0, day * DAY, count, "e1", "e2"))


@pytest.fixture(params=["disk", pytest.param("shared", marks=pytest.mark.redis)])
def new_place(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Place]:
    """Gives places at which nothing is yet."""
    if request.param == "disk":
        return iter([OnDisk(tmp_path / f"state{number}", MAP_SIZE) for number in range(9)]).__next__
    server: RedisServer = request.getfixturevalue("redis_server")
    return lambda: Shared(server.url, new_prefix().decode())


@pytest.fixture
def place(new_place: Callable[[], Place]) -> Place:
    return new_place()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """For a state on disk."""
    return tmp_path / "folder"


def filled(place: Place) -> Options:
    return fill(
        place,
        *[sighting(OLD, ADA, 1), sighting(RULE, ADA, 2, 5), sighting(RULE, BOB, 3), sighting(OTHER, "x\n", 4)],
        histories=[History(OLD, 0), History(RULE, DAY), History(OTHER, 2 * DAY)],
    )


@pytest.fixture
def state(place: Place) -> Options:
    """The options that name a state with something in it."""
    return filled(place)


def run(*arguments: object, answer: str | None = None) -> Result:
    stdin = None if answer is None else io.BufferedReader(io.BytesIO(answer.encode()))  # type: ignore[arg-type]
    return CliRunner().invoke(main, ["state", *map(str, arguments)], input=stdin)


def of_json(*arguments: object, answer: str | None = None) -> Any:
    result = run(*arguments, "--output", "json", answer=answer)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def remembered(place: Place) -> list[Entry]:
    with closing(read(place)) as reader:
        return list(reader.entries())


def test_stats(state: Options) -> None:
    told = of_json("stats", *state)

    assert (told["entries"], told["oldest"]) == (4, "1970-01-01T00:00:00.000Z")
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
    text = run("stats", *state).stdout
    assert "4 terms, oldest 1970-01-01T00:00:00.000Z" in text
    assert "First call  (old: the rule has changed since)" in text


def test_stats_of_an_empty_state(place: Place) -> None:
    named = fill(place, histories=[History(RULE, 0)])

    assert of_json("stats", *named)["oldest"] is None
    assert "0 terms, oldest none" in run("stats", *named).stdout
    assert "last seen never" in run("stats", *named).stdout


def test_stats_of_one_term(folder: Path) -> None:
    named = fill(OnDisk(folder, MAP_SIZE), sighting(RULE, ADA, 1), histories=[History(RULE, 0)])
    assert ": 1 term, oldest" in run("stats", *named).stdout


def test_how_much_of_its_map_a_state_on_disk_uses(folder: Path) -> None:
    named = filled(OnDisk(folder, MAP_SIZE))

    told = of_json("stats", *named)

    assert (told["path"], told["map_size"], "prefix" in told) == (str(folder), MAP_SIZE, False)
    assert told["used"] == round(told["used_bytes"] / MAP_SIZE, 4)
    assert f"map {MAP_SIZE} ({told['used']:.1%} used)" in run("stats", *named).stdout


@pytest.mark.redis
def test_how_much_of_the_memory_of_a_server_is_used_and_by_whom(redis_server: RedisServer) -> None:
    place = Shared(redis_server.url, new_prefix().decode())
    named = filled(place)

    told = of_json("stats", *named)
    text = run("stats", *named).stdout

    assert (told["path"], told["prefix"]) == (str(redis_server.url), place.prefix)
    assert (told["map_size"], told["used"], told["used_bytes"] > 0) == (0, None, True)
    assert text.startswith(f"{redis_server.url} ({place.prefix}): 4 terms, ")
    assert "bytes of memory used by all that is on the server, without a bound: maxmemory is 0" in text


@pytest.mark.redis
def test_how_much_of_the_bound_of_a_server_is_used(tmp_path: Path) -> None:
    with RedisServer(tmp_path, "--maxmemory", "100mb") as server:
        named = filled(Shared(server.url, "p:"))

        told = of_json("stats", *named)
        text = run("stats", *named).stdout

    assert (told["map_size"], 0 < told["used"] < 1) == (100 << 20, True)
    assert re.search(rf"on the server, maxmemory {100 << 20} \(\d+\.\d% used\)", text)


def test_the_state_is_the_one_of_the_configuration(place: Place, state: Options, tmp_path: Path) -> None:
    config = tmp_path / "firstseen.toml"
    match place:
        case OnDisk(path):
            there = f'path = "{path}"'
        case Shared(url, prefix):
            there = f'url = "{url}"\nprefix = "{prefix}"'
    config.write_text(f'[rules]\npaths = ["."]\n[state]\n{there}\n')

    assert of_json("stats", "-c", config) == of_json("stats", *state) | {"used_bytes": ANY, "file_bytes": ANY}
    assert of_json("show", BOB, "-c", config) == of_json("show", BOB, *state)
    assert of_json("forget", BOB, "--yes", "-c", config) == {"forgotten": 1}
    assert run("stats").exit_code == 2


@pytest.mark.redis
def test_the_password_is_the_one_of_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("open sesame\n")
    with RedisServer(tmp_path, "--requirepass", "open sesame") as server:
        config = tmp_path / "firstseen.toml"
        config.write_text(f'[state]\nurl = "{server.url}"\npassword_file = "secret"\n')
        line = '{"form": "firstseen-state", "version": 1}\n'

        inside = run("import", "-", "-c", config, answer=line)
        without = run("stats", "--state", server.url)
        by_url = run("stats", "--state", f"redis://:open%20sesame@127.0.0.1:{server.port}")

    assert inside.stdout == "0 terms of 0 rules merged\n"
    assert without.exit_code == 1
    assert f"firstseen: the state at {server.url} cannot be " in without.stderr
    assert by_url.stdout.startswith(f"redis://:********@127.0.0.1:{server.port} (firstseen:): 0 terms")


def test_list_shows_terms_and_pages(state: Options) -> None:
    result = run("list", *state, "--limit", 3)

    assert result.stdout.splitlines()[0] == f"1970-01-02T00:00:00.000Z  First call: {ADA}"
    key = result.stderr.split()[-1]
    rest = run("list", *state, "--after", key)
    assert rest.stdout == '1970-01-05T00:00:00.000Z  Other: "x\\n"\n'
    assert rest.stderr == ""


def test_list_in_json(state: Options) -> None:
    told = of_json("list", *state, "--rule", RULE.key.hex(), "--limit", 1)

    (entry,) = told["entries"]
    assert told["next"] == entry["key"]
    assert len(entry["key"]) == 48
    assert entry["rule"] == {"key": RULE.key.hex(), "id": "id-1", "name": "First call"}
    assert (entry["law"], entry["event"], entry["last_event"]) == ("new_terms", "e1", "e2")
    assert of_json("list", *state, "--after", told["next"], "--rule", RULE.key.hex())["next"] is None


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
def test_list_filters(state: Options, options: list[str], days: list[str]) -> None:
    lines = run("list", *state, *options).stdout.splitlines()

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
def test_list_says_what_it_does_not_take(state: Options, options: list[str], says: str) -> None:
    result = run("list", *state, *options)

    assert result.exit_code == 2
    assert says in result.stderr


def test_show_tells_everything_known_of_a_term(state: Options) -> None:
    told = of_json("show", ADA, *state)

    assert [(each["rule"]["key"], each["last_seen"][:10], each["count"]) for each in told] == [
        (OLD.key.hex(), "1970-01-02", 1),
        (RULE.key.hex(), "1970-01-03", 5),
    ]
    text = run("show", ADA, *state).stdout
    assert "First call" in text
    assert "count       5" in text
    assert f"terms       {ADA}" in text


def test_show_of_nothing(state: Options) -> None:
    result = run("show", "nobody", *state)

    assert (result.exit_code, result.stdout, result.stderr) == (1, "", "nothing is known of nobody\n")
    assert run("show", "nobody", *state, "--output", "json").stdout == "[]\n"


def test_forget_asks(place: Place, state: Options) -> None:
    assert run("forget", ADA, *state, answer="n\n").exit_code == 1
    assert len(remembered(place)) == 4

    result = run("forget", ADA, *state, answer="y\n")

    assert "forget 2 terms?" in result.stderr
    assert result.stdout == "2 forgotten\n"
    assert [entry.terms for entry in remembered(place)] == [(BOB,), ("x\n",)]


def test_forget_of_one_rule(place: Place, state: Options) -> None:
    assert of_json("forget", ADA, "--rule", OLD.key.hex(), "--yes", *state) == {"forgotten": 1}
    assert [entry.rule_key for entry in remembered(place)] == [RULE.key, RULE.key, OTHER.key]


def test_forget_a_whole_rule_and_its_beginning(place: Place, state: Options) -> None:
    assert of_json("forget", "--rule", "First*", "--yes", *state) == {"forgotten": 3}
    assert [entry.rule_key for entry in remembered(place)] == [OTHER.key]
    assert [rule["id"] for rule in of_json("stats", *state)["rules"]] == ["id-2"]


def test_forget_nothing(state: Options) -> None:
    assert run("forget", "nobody", *state).stdout == "0 forgotten\n"
    assert run("forget", *state).exit_code == 2


def test_forget_leaves_the_bound_as_it_is(folder: Path) -> None:
    named = filled(OnDisk(folder, MAP_SIZE))
    of_json("forget", BOB, "--yes", *named)
    assert of_json("stats", *named)["map_size"] == MAP_SIZE


def fill_up(folder: Path) -> int:
    """How many terms it took to fill a state of 256 KiB, or one more."""
    store = LmdbStore.open(folder, 1 << 18, durable=False)
    store.register([RULE], 0)
    number = 0
    while store.problem is None:
        claimed = store.claim(RULE, (f"{number:0200}", number % 2), Occurrence(1, "e"), NewTermsLaw(1))
        store.confirm([claimed]).exception(60)
        number += 1
    store.close()
    return number


def test_forget_finds_room_in_a_full_state(folder: Path) -> None:
    number = fill_up(folder)

    named = options(OnDisk(folder))
    assert of_json("forget", "--rule", RULE.key.hex(), "--yes", *named)["forgotten"] >= number - 1


def test_the_bound_of_a_full_state_is_the_configured_one_when_room_was_made(folder: Path, tmp_path: Path) -> None:
    """To forget something in it took a larger map, which the file remembers until it is written anew."""
    fill_up(folder)
    config = tmp_path / "firstseen.toml"
    config.write_text(f'[state]\npath = "{folder}"\nmap_size = "256KiB"\n')

    of_json("forget", "1", "--yes", "-c", config)

    told = of_json("stats", "-c", config)
    assert told["map_size"] == max(1 << 18, told["file_bytes"]) < 1 << 19
    assert of_json("stats", *options(OnDisk(folder)))["map_size"] > 1 << 24
    of_json("compact", "-c", config)
    for named in (["-c", str(config)], options(OnDisk(folder))):
        told = of_json("stats", *named)
        assert told["file_bytes"] <= told["map_size"] < 1 << 19


def test_two_states_merge_in_either_order(new_place: Callable[[], Place], tmp_path: Path) -> None:
    state = filled(new_place())
    other = fill(new_place(), sighting(RULE, ADA, 9), sighting(RULE, "new", 1), histories=[History(RULE, 5)])
    files = []
    for number, each in enumerate((state, other)):
        files.append(tmp_path / f"{number}.ndjson")
        files[-1].write_text(run("export", *each).stdout)

    exported = []
    for order in ([*files], files[::-1], [*files, *files]):
        into = options(new_place())
        for file in order:
            assert run("import", file, *into).exit_code == 0
        exported.append(run("export", *into).stdout)
    told = of_json("import", files[0], *state)

    assert exported[0] == exported[1] == exported[2]
    assert exported[0].count("\n") == 1 + 3 + 5
    assert told == {"rules": 3, "terms": 4}


@pytest.mark.redis
def test_a_state_moves_to_a_server_and_back_as_it_is(folder: Path, tmp_path: Path, redis_server: RedisServer) -> None:
    marks = (Mark(DAY - 1, b"8 bytes.", frozenset([b"a value.", b"another."])), Mark(DAY, b"8 bytes!", frozenset()))
    kept: list[Entry] = [
        Entry(RULE.key, (ADA, 1, 2.5, True, "\ud800", 1 << 70), Sighting(1, DAY, 1 << 60, "e1", "e2")),
        Entry(RULE.key, ("1",), Sighting(-1, -1, 1, "6f1c6a1e-0d3b-4c55-9c6a-0123456789ab", "\ud800")),
        Entry(OTHER.key, (), Bucket(1, DAY, 2, "e1", DAY + 1, None, DAY, DAY + 2, marks)),
        Entry(OLD.key, (ADA, None), Window(1, DAY, "e1", 3)),
    ]
    histories = [History(OLD, 3), History(RULE, 5), History(RuleState(OTHER.key, "\ud800", "*", DAY), -5)]
    first = fill(OnDisk(folder, MAP_SIZE), *kept, histories=histories)
    shared = options(Shared(redis_server.url, new_prefix().decode()))
    lines = run("export", *first).stdout
    assert lines.count("\n") == 1 + 3 + 4

    assert run("import", "-", *shared, answer=lines).exit_code == 0
    assert run("export", *shared).stdout == lines

    back = options(OnDisk(tmp_path / "back"))
    assert run("import", "-", *back, answer=run("export", *shared).stdout).exit_code == 0
    assert run("export", *back).stdout == lines


def test_export_of_one_rule(state: Options) -> None:
    lines = [json.loads(line) for line in run("export", "--rule", "id-2", *state).stdout.splitlines()]

    assert lines[0] == {"form": "firstseen-state", "version": 1}
    assert [line["rule"] for line in lines[1:]] == [OTHER.key.hex()] * 2


def test_import_of_what_is_compressed(state: Options, folder: Path, tmp_path: Path) -> None:
    backup = tmp_path / "state.ndjson.gz"
    backup.write_bytes(gzip.compress(run("export", *state).stdout.encode()))

    told = of_json("import", backup, "--state", folder)

    assert told["terms"] == len(remembered(OnDisk(folder, MAP_SIZE))) == 4


def test_import_of_a_backup_that_is_cut_short(state: Options, folder: Path, tmp_path: Path) -> None:
    backup = tmp_path / "state.ndjson.gz"
    backup.write_bytes(gzip.compress(run("export", *state).stdout.encode())[:-9])

    result = run("import", backup, "--state", folder)

    assert (result.exit_code, result.stderr.startswith(f"firstseen: {backup}: ")) == (1, True), result.stderr


def test_import_of_something_else(state: Options) -> None:
    result = run("import", "-", *state, answer="{}\n")

    assert result.exit_code == 1
    assert "1: no line of an exported state: it has to begin with" in result.stderr


@pytest.mark.parametrize("answer", ["", "{}\n", '{"form": "firstseen-state", "version": 1}\n{}\n'])
def test_import_of_something_else_begins_no_state(folder: Path, answer: str) -> None:
    assert run("import", "-", "--state", folder, answer=answer).exit_code == 1
    assert not folder.exists()


def test_compact(folder: Path) -> None:
    place = OnDisk(folder, MAP_SIZE)
    told = of_json("compact", *filled(place))

    assert told["after"] == (folder / "lmdb" / "data.mdb").stat().st_size
    assert told["before"] > 0
    assert len(remembered(place)) == 4


def test_compact_where_it_cannot_be_known_whether_an_agent_runs(folder: Path) -> None:
    named = filled(OnDisk(folder, MAP_SIZE))
    (folder / "control").write_text("x")

    result = run("compact", *named)

    assert result.exit_code == 1
    assert f"firstseen: {folder}/control is no socket, so that it is not known whether an agent runs" in result.stderr


def test_the_agent_compacts_its_state(folder: Path) -> None:
    async def sizes(_: object) -> dict[str, int]:
        return {"before": 7, "after": 5}

    async def asked() -> dict[str, Any]:
        control = Control(folder, {"compact": sizes})
        await control.open()
        try:
            return await asyncio.to_thread(of_json, "compact", *named)
        finally:
            control.close()

    named = filled(OnDisk(folder, MAP_SIZE))
    assert asyncio.run(asked()) == {"before": 7, "after": 5}


def test_a_server_compacts_by_itself() -> None:
    result = run("compact", "--state", "redis://:secret@127.0.0.1:1/0")

    assert result.exit_code == 2
    assert "redis://:********@127.0.0.1:1/0 (firstseen:) is on a server, which gives back by itself" in result.stderr


def test_what_writes_says_who_owns_the_state_and_what_reads_works(folder: Path) -> None:
    named = filled(OnDisk(folder, MAP_SIZE))
    export = run("export", *named).stdout
    owner = OwnerLock.take(folder / "lock")
    try:
        for command in (["forget", ADA, "--yes"], ["import", "-"], ["compact"]):
            result = run(*command, *named, answer=export)
            assert result.exit_code == 1
            assert f"is in use by process {os.getpid()}; " in result.stderr
        for command in (["list"], ["stats"], ["show", ADA]):
            assert run(*command, *named).exit_code == 0
    finally:
        owner.release()


@pytest.mark.redis
def test_what_writes_a_shared_state_does_so_while_agents_run(redis_server: RedisServer, tmp_path: Path) -> None:
    fleet = Fleet(redis_server, tmp_path)
    place = Shared(redis_server.url, fleet.prefix.decode())
    export = run("export", *filled(Shared(redis_server.url, new_prefix().decode()))).stdout
    agent = fleet.agent()
    law = NewTermsLaw(30 * DAY)
    agent.register([RULE], 0)
    try:
        claims = claim_all(agent, [Wanted(RULE, (ADA,), Occurrence(9 * DAY, "e9"), law)])
        assert of_json("import", "-", *options(place), answer=export)["terms"] == 4
        agent.confirm(claims).result(60)
        both = agent.get(RULE.key, (ADA,))
        assert of_json("forget", ADA, "--yes", *options(place)) == {"forgotten": 2}
        (again,) = claim_all(agent, [Wanted(RULE, (ADA,), Occurrence(9 * DAY + 1, "e10"), law)])
        lost = agent.confirm([again]).exception(60)
        (news,) = claim_all(agent, [Wanted(RULE, (ADA,), Occurrence(9 * DAY + 1, "e10"), law)])
    finally:
        fleet.close()

    assert both == Sighting(0, 9 * DAY, 6, "e9", "e9")
    assert isinstance(lost, ClaimLost), "known by what the agent has met, which was forgotten: the chunk comes again"
    assert news.verdict is Verdict.NEW


EMPTY = [["stats"], ["list"], ["show", "x"], ["forget", "x"], ["export"]]


@pytest.mark.parametrize("command", [*EMPTY, ["compact"]])
def test_where_there_is_no_state(tmp_path: Path, command: list[str]) -> None:
    result = run(*command, "--state", tmp_path / "missing")

    assert result.exit_code == 1
    assert f"firstseen: {tmp_path / 'missing'} holds no state yet\n" in result.stderr
    assert not (tmp_path / "missing").exists()


@pytest.mark.redis
@pytest.mark.parametrize("command", EMPTY)
def test_where_there_is_no_state_on_a_server(redis_server: RedisServer, command: list[str]) -> None:
    prefix = new_prefix()
    result = run(*command, "--state", redis_server.url, "--prefix", prefix.decode())

    assert result.exit_code == 1
    assert f"firstseen: {redis_server.url} ({prefix.decode()}) holds no state yet\n" in result.stderr
    assert redis_server.call("EXISTS", prefix + b"schema") == 0


@pytest.mark.parametrize("command", [*EMPTY, ["import", "-"]])
def test_where_there_is_no_server(command: list[str]) -> None:
    result = run(
        *command, "--state", f"redis://127.0.0.1:{free_port()}", answer='{"form": "firstseen-state", "version": 1}'
    )

    assert result.exit_code == 1
    assert re.search(r"firstseen: the state at redis://127.0.0.1:\d+ cannot be reached: .*refused", result.stderr)
