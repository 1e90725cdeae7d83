import json
from pathlib import Path

from click.testing import CliRunner, Result

from firstseen.cli import main
from support.mmdb import asn_database, city_database

EVENT = {
    "eventVersion": "1.08",
    "userIdentity": {"type": "IAMUser", "arn": "arn:aws:iam::111122223333:user/ada"},
    "eventTime": "2026-09-21T08:00:00Z",
    "eventSource": "sts.amazonaws.com",
    "eventName": "GetCallerIdentity",
}


def test_events_are_printed_as_ecs_documents(tmp_path: Path) -> None:
    file = tmp_path / "log.json"
    file.write_text(json.dumps({"Records": [EVENT, EVENT]}) + '\n{"event": {"action": "x"}}')

    result = CliRunner().invoke(main, ["fields", str(file)])

    documents = [json.loads(line) for line in result.stdout.splitlines()]
    assert [document["event"]["action"] for document in documents] == ["GetCallerIdentity"] * 2 + ["x"]
    assert documents[0]["aws"]["cloudtrail"]["user_identity"]["arn"] == EVENT["userIdentity"]["arn"]
    assert documents[0]["event"]["outcome"] == "success"
    assert result.exit_code == 0


def test_what_cannot_be_read_is_told_of_and_the_rest_is_printed(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("broken")
    (tmp_path / "b.json").write_text(json.dumps(EVENT))

    result = CliRunner().invoke(main, ["fields", str(tmp_path)])

    assert result.exit_code == 1
    assert "a.json: this is no JSON" in result.stderr
    assert len(result.stdout.splitlines()) == 1


def test_nothing_that_is_printed_is_a_command_to_a_terminal(tmp_path: Path) -> None:
    name = "a\x9b2J\u202e\U0001f600"
    (tmp_path / "a.json").write_text(json.dumps(EVENT | {"userAgent": name}))

    result = CliRunner().invoke(main, ["fields", str(tmp_path)])

    assert result.stdout.isascii()
    assert json.loads(result.stdout)["user_agent"]["original"] == name


def city_of(result: Result) -> list[str]:
    return [json.loads(line)["source"]["geo"]["city_name"] for line in result.stdout.splitlines()]


def test_databases_named_on_the_command_line_or_in_a_configuration(tmp_path: Path) -> None:
    event, config = tmp_path / "event.json", tmp_path / "firstseen.toml"
    event.write_text(json.dumps(EVENT | {"sourceIPAddress": "192.0.2.7"}))
    city, asn = city_database(tmp_path / "city.mmdb"), asn_database(tmp_path / "asn.mmdb")
    config.write_text('[geoip]\ncity = "city.mmdb"\n[input]\nshared_key = "${FIRSTSEEN_TEST_KEY}"\n')

    named = CliRunner().invoke(main, ["fields", "--city", str(city), "--asn", str(asn), str(event)])
    configured = CliRunner().invoke(main, ["fields", "-c", str(config), str(event)])
    both = CliRunner().invoke(main, ["fields", "-c", str(config), "--city", str(city), str(event)])

    assert city_of(named) == city_of(configured) == ["Leeds"]
    assert json.loads(named.stdout)["source"]["as"] == {"number": 64496, "organization": {"name": "Example Networks"}}
    assert "as" not in json.loads(configured.stdout)["source"]
    assert both.exit_code == 2
    assert "not both" in both.stderr


def test_a_database_that_cannot_be_used(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["fields", "--asn", str(tmp_path / "gone"), str(tmp_path)])

    assert result.exit_code == 1
    assert result.stderr == f"firstseen: geoip.asn: {tmp_path}/gone cannot be read: No such file or directory\n"
