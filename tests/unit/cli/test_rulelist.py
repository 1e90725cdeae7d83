import json
from contextlib import closing
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from firstseen.cli import main, rulelist
from firstseen.rules.loader import load_rules
from firstseen.running import NO_POLICY, Running
from firstseen.states import OnDisk, Place, Shared, edit
from support.mmdb import city_database
from support.redis import RedisServer, new_prefix
from support.rulebook import rule_id, rule_text

EXCEPTIONS = f"""
[[exception]]
name = "inventory"
query = "user.name: ada"
[[exception]]
name = "over"
rules = ["{rule_id(1)}"]
query = "user.name: bob"
expires = 2020-01-01
[[exception]]
name = "of nothing"
rules = ["No such rule"]
query = "user.name: cyd"
"""
BROKEN = """
[[exception]]
name = "no network"
rules = ["A rule for tests"]
query = 'source.ip: "203.0.113.0/99"'
[[exception]]
name = "over, and of nothing"
rules = ["No such rule"]
query = "user.name: dan"
expires = 2020-01-01
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rules").mkdir()
    queries = [
        "event.action: Look and not host.name: x",
        "event.action: Look and source.geo.city_name: x",
        "user.name: *",
    ]
    for number, query in enumerate(queries, 1):
        (tmp_path / f"rules/{number}.toml").write_text(rule_text(query, ["user.name"], rule_id=rule_id(number)))
    (tmp_path / "exceptions.toml").write_text(EXCEPTIONS)
    return tmp_path


def listed(folder: Path, *arguments: object) -> dict[str, dict[str, object]]:
    command = ["rules", "list", *map(str, arguments), "--output", "json"]
    told = json.loads(CliRunner().invoke(main, command, catch_exceptions=False).stdout)
    return {Path(rule["file"]).stem: rule for rule in told}


def test_the_exceptions_of_each_rule_are_listed_with_what_became_of_them(folder: Path) -> None:
    told = listed(folder, folder / "rules", "--exceptions", folder / "exceptions.toml")

    assert [(item["name"], item["status"]) for item in told["1"]["exceptions"]] == [  # type: ignore[attr-defined]
        ("inventory", "applied"),
        ("over", "expired"),
    ]
    assert [item["name"] for item in told["3"]["exceptions"]] == ["inventory"]  # type: ignore[attr-defined]


def test_the_same_for_people_and_which_exceptions_are_for_no_rule(folder: Path) -> None:
    listing = rulelist.load(None, [folder / "rules"], [folder / "exceptions.toml"])

    lines = click.unstyle(rulelist.as_text(listing)).splitlines()

    assert lines[:5] == [
        "loaded        new_terms   A rule for tests",
        f"              {rule_id(1)}  {folder / 'rules/1.toml'}",
        "              needles: Look",
        "              exceptions: 2: inventory, over (expired)",
        "              not in CloudTrail: host.name",
    ]
    assert lines[-2] == f"{folder / 'exceptions.toml'}:10: exception unused: of nothing: there is no rule No such rule"
    assert lines[-1] == "3 rules: 1 loaded, 1 flagged, 1 not runnable, 0 skipped"


def test_why_an_exception_never_applies_is_told_whether_or_not_there_is_a_rule_for_it(folder: Path) -> None:
    file = folder / "broken.toml"
    file.write_text(BROKEN)

    lines = click.unstyle(rulelist.as_text(rulelist.load(None, [folder / "rules"], [file]))).splitlines()

    assert lines[-3].startswith(f'{file}:2: exception flagged: no network: never matches: "203.0.113.0/99" is not')
    assert lines[-2].startswith(f"{file}:6: exception expired: over, and of nothing: ")


def test_a_rule_that_looks_at_every_record_says_so(folder: Path) -> None:
    listing = rulelist.load(None, [folder / "rules/3.toml"], [])

    assert "needles: none, every record is looked at" in rulelist.as_text(listing)


def test_fields_that_no_cloudtrail_record_has_are_told_of(folder: Path) -> None:
    told = listed(folder, folder / "rules")

    assert told["1"]["unavailable"] == {"host.name": "host.name is not a field of CloudTrail"}
    assert told["3"]["unavailable"] == {}


def test_what_can_match_depends_on_the_databases_of_the_configuration(folder: Path) -> None:
    city_database(folder / "city.mmdb")
    config = folder / "firstseen.toml"
    config.write_text('[rules]\npaths = ["rules"]\nexceptions = ["exceptions.toml"]\n')

    without = listed(folder, "-c", config)
    config.write_text(config.read_text() + '[geoip]\ncity = "city.mmdb"\n')
    having = listed(folder, "-c", config)

    assert (without["2"]["status"], having["2"]["status"]) == ("not_runnable", "loaded")
    assert str(without["2"]["reason"]).startswith("no event can match: source.geo.city_name (")
    assert [len(rule["exceptions"]) for rule in having.values()] == [2, 1, 1]  # type: ignore[arg-type]


def test_of_documents_anything_may_be_there(folder: Path) -> None:
    config = folder / "firstseen.toml"
    config.write_text('[rules]\npaths = ["rules"]\n[sources]\n"*" = "ecs"\n')

    told = listed(folder, "-c", config)

    assert told["2"]["status"] == "loaded"
    assert told["1"]["unavailable"] == {}


def test_a_database_that_is_missing_is_told_of_where_the_rule_can_do_without(folder: Path) -> None:
    text = rule_text("event.action: Look and not source.geo.city_name: x", ["user.name"])
    (folder / "rules/1.toml").write_text(text)

    told = rulelist.as_text(rulelist.load(None, [folder / "rules/1.toml"], [])).splitlines()

    assert [line.strip() for line in told if "needs" in line] == [
        "source.geo.city_name needs a database of places (geoip.city)"
    ]


@pytest.fixture(params=["disk", pytest.param("shared", marks=pytest.mark.redis)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "disk":
        return OnDisk(tmp_path / "state", 1 << 20)
    server: RedisServer = request.getfixturevalue("redis_server")
    return Shared(server.url, new_prefix().decode())


def test_the_state_tells_since_when_each_rule_has_its_history(folder: Path, place: Place) -> None:
    match place:
        case OnDisk(path):
            settings, named = f'path = "{path}"', ["--state", path]
        case Shared(url, prefix):
            settings, named = f'url = "{url}"\nprefix = "{prefix}"', ["--state", url, "--prefix", prefix]
    config = folder / "firstseen.toml"
    config.write_text(f'[rules]\npaths = ["rules"]\n[state]\n{settings}\n')

    before = listed(folder, "-c", config)
    missing = CliRunner().invoke(main, ["rules", "list", str(folder / "rules"), *map(str, named)])
    with closing(edit(place)) as state:
        for rule in load_rules([folder / "rules"]).rules:
            state.register([Running(rule, NO_POLICY).state], 1_790_000_000_000)
    found = [listed(folder, "-c", config), listed(folder, folder / "rules", *named)]

    assert "history" not in before["1"]
    assert (missing.exit_code, f"{place} holds no state yet" in missing.stderr) == (1, True)
    for each in found:
        assert each["1"]["history"]["since"] == "2026-09-21T14:13:20.000Z"  # type: ignore[index]
        assert each["2"]["history"] is None, "it does not run"
