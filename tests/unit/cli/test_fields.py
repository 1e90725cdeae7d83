import json
from pathlib import Path

from click.testing import CliRunner

from firstseen.cli import main

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
