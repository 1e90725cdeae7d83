"""``docs/tuning.md``: each example of it, tried on the rules that are shipped and on calls that were never made."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from firstseen.cli import main
from support.pages import ROOT, blocks, section

PAGE = (ROOT / "docs/tuning.md").read_text()
USER, ROLE = "arn:aws:iam::111122223333:user/", "arn:aws:iam::111122223333:role/"
GET_CALLER_IDENTITY = "First GetCallerIdentity by an AWS identity"
DENIED = "Many different calls denied to an AWS identity"
LOGIN = "Console login of an AWS identity from a new address"
FAILURES = "Many failed AWS console logins from one address"
ADMINISTRATOR = "AdministratorAccess attached in AWS IAM"


def event(number: int, who: str, action: str, at: str, **more: Any) -> dict[str, Any]:
    """A call by a user of that name, at that moment of the year 2026."""
    return {
        "eventVersion": "1.10",
        "userIdentity": {"type": "IAMUser", "arn": f"{USER}{who}", "userName": who, "accountId": "111122223333"},
        "eventTime": f"2026-{at}Z",
        "eventSource": "sts.amazonaws.com",
        "eventName": action,
        "sourceIPAddress": "192.0.2.99",
        "userAgent": "aws-cli/2.17.0",
        "eventID": f"e-{number}",
        "recipientAccountId": "111122223333",
    } | more


def whoami(number: int, who: str, at: str = "05-24T09:00:00", **more: Any) -> dict[str, Any]:
    return event(number, who, "GetCallerIdentity", at, **more)


def session(number: int, role: str, name: str, at: str) -> dict[str, Any]:
    identity = {
        "type": "AssumedRole",
        "arn": f"arn:aws:sts::111122223333:assumed-role/{role}/{name}",
        "sessionContext": {"sessionIssuer": {"type": "Role", "arn": f"{ROLE}{role}", "userName": role}},
    }
    return whoami(number, "", at, userIdentity=identity)


def login(number: int, who: str, address: str, result: str = "Success") -> dict[str, Any]:
    return event(
        number,
        who,
        "ConsoleLogin",
        f"05-24T10:{number % 60:02}:00",
        eventSource="signin.amazonaws.com",
        sourceIPAddress=address,
        responseElements={"ConsoleLogin": result},
    )


def denied(first: int, who: str, count: int, **more: Any) -> list[dict[str, Any]]:
    return [
        event(first + each, who, f"List{each}", f"05-24T11:00:{each:02}", errorCode="AccessDenied", **more)
        for each in range(count)
    ]


WEEK = [
    whoami(1, "inventory", sourceIPAddress="203.0.113.5"),
    *denied(100, "inventory", 16, sourceIPAddress="203.0.113.5"),
    whoami(2, "ada"),
    login(3, "ada", "198.51.100.7"),
    login(4, "ada", "192.0.2.15"),
    login(5, "ada", "192.0.2.20"),
    session(6, "build", "b3f1", "05-24T12:00:00"),
    session(7, "build", "77ac", "05-25T12:00:00"),
    session(8, "deploy", "d", "05-25T12:00:00"),
]


def write(file: Path, events: Iterable[dict[str, Any]]) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text("".join(json.dumps(each) + "\n" for each in events))


def shell(folder: Path, commands: str) -> str:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    command = ["bash", "-e", "-o", "pipefail", "-c", commands]
    environment = os.environ | {"PATH": path, "PYTHONUTF8": "1"}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def firstseen(*arguments: str) -> str:
    """What the command prints, in the folder where the test is."""
    done = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def example(title: str) -> str:
    """The TOML under a headline of the page; there is only one."""
    (block,) = blocks(section(PAGE, title), "toml")
    return block


def config(folder: Path, block: str) -> None:
    """An example of a configuration, and what else it takes."""
    assert block.startswith("# firstseen.toml\n")
    rest = "" if "[state]\n" in block else "[state]\n"
    text = (f"[rules]\npaths = ['rules']\n{rest}{block}").replace("[state]\n", '[state]\npath = "state"\n')
    (folder / "firstseen.toml").write_text(text)


def changed(folder: Path, rule: str, title: str) -> None:
    """The rule's file with an example in it, in the place of the table of that name where it has one."""
    block = example(title)
    heading, _, values = block.partition("\n")
    assert heading == "# of the rule's file"
    table = re.match(r"(\[+[\w.]+\]+)\n", values)
    assert table is not None
    file = folder / "rules" / f"{rule}.toml"
    file.write_text(f"{file.read_text().partition(table[1])[0]}{values}")


def replay(folder: Path, *events: dict[str, Any], settings: str = "--rules rules") -> Counter[tuple[str, str]]:
    """How many alerts there are of each rule, and how they are meant."""
    write(folder / "events.json", events)
    lines = firstseen("replay", *settings.split(), "events.json").splitlines()
    return Counter((alert["rule"]["name"], alert["status"]) for line in lines for alert in json.loads(line)["alerts"])


def alerts(file: Path) -> Counter[str]:
    labels = [label for line in file.read_text().splitlines() for label in json.loads(line)["alerts"]]
    return Counter(label["rule"]["name"] for label in labels)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "rules", tmp_path / "rules")
    (tmp_path / "exceptions").mkdir()
    for block in [*blocks(PAGE, "toml"), *blocks(PAGE, "")]:
        named = re.match(r"# (exceptions/[\w.]+)\n", block)
        if named is not None:
            (tmp_path / named[1]).write_text(block)
    write(tmp_path / "week/events.json", WEEK)
    write(tmp_path / "event.json", WEEK[:1])
    return tmp_path


def test_what_is_excepted_is_gone_and_nothing_else(folder: Path) -> None:
    count, _ = blocks(section(PAGE, "## Count first"))

    shell(folder, count)

    before, after = alerts(folder / "before.ndjson"), alerts(folder / "after.ndjson")
    assert before == {GET_CALLER_IDENTITY: 5, DENIED: 1, LOGIN: 3}
    assert after == {GET_CALLER_IDENTITY: 2, LOGIN: 1}


def test_every_exception_is_for_a_rule_that_is_there(folder: Path) -> None:
    (folder / "firstseen.toml").write_text("[rules]\npaths = ['rules']\nexceptions = ['exceptions']\n")

    told = json.loads(firstseen("validate", "-c", "firstseen.toml", "--output", "json"))

    assert '`rules.exceptions = ["exceptions"]`' in PAGE
    assert [each["status"] for each in told["exceptions"]] == ["applied"] * 3
    assert told["unused"] == []


@pytest.mark.skipif(shutil.which("jq") is None, reason="needs jq on PATH")
def test_what_is_loud_is_counted(folder: Path) -> None:
    count, which = blocks(section(PAGE, "## Count first"))

    lines = shell(folder, count + which.replace("| head", "")).splitlines()

    assert [line.split(maxsplit=1)[0] for line in lines] == ["1"] * 9
    assert any(line.split("\t") == [line.split("\t")[0], f"{USER}ada"] for line in lines)


def test_learning(folder: Path) -> None:
    config(folder, example("## The first days"))

    told = json.loads(firstseen("validate", "-c", "firstseen.toml", "--output", "json"))

    assert told["unused"] == []
    assert replay(folder, whoami(1, "ada"), settings="-c firstseen.toml") == {(GET_CALLER_IDENTITY, "learning"): 1}


def test_terms_that_are_not_named_at_random(folder: Path) -> None:
    text = section(PAGE, "## Names at random")
    (term,) = re.findall(r"^`([\w.]+session_issuer\.arn)`", text, re.MULTILINE)
    rule = (folder / "rules/aws_sts_getcalleridentity_first_seen.toml").read_text()
    assert rule.count("aws.cloudtrail.user_identity.arn") == 1
    copy = rule.replace("aws.cloudtrail.user_identity.arn", term).replace("bdfc5dbe", "00000000")
    (folder / "own.toml").write_text(copy.replace(GET_CALLER_IDENTITY, "By role"))

    found = replay(folder, *WEEK, settings="--rules own.toml")

    assert found == {("By role", "open"): 2}


def test_suppression(folder: Path) -> None:
    arn = {"policyArn": "arn:aws:iam::aws:policy/AdministratorAccess", "userName": "eve"}
    attached = [
        event(
            number,
            who,
            "AttachUserPolicy",
            f"05-24T0{number}:00:00",
            eventSource="iam.amazonaws.com",
            requestParameters=arn,
        )
        for number, who in enumerate(["ada", "ada", "bob", "ada", "ada"])
    ]
    assert replay(folder, *attached) == {(ADMINISTRATOR, "open"): 5}

    changed(folder, "aws_iam_administrator_policy_attached", "## One alert for many")

    assert replay(folder, *attached) == {(ADMINISTRATOR, "open"): 2}


def test_a_threshold(folder: Path) -> None:
    assert replay(folder, *denied(1, "ada", 24)) == {(DENIED, "open"): 1}

    changed(folder, "aws_access_denied_burst", "## Thresholds")

    assert replay(folder, *denied(1, "ada", 24)) == {}
    assert replay(folder, *denied(1, "ada", 25)) == {(DENIED, "open"): 1}


def test_a_shadow(folder: Path) -> None:
    config(folder, example("## Trying a rule out"))

    found = replay(folder, *[login(n, "ada", "192.0.2.1", "Failure") for n in range(10)], settings="-c firstseen.toml")

    assert found == {(FAILURES, "shadow"): 1}


def test_a_window(folder: Path) -> None:
    calls = [whoami(1, "ada", "05-01T09:00:00"), whoami(2, "ada", "05-16T09:00:00")]
    assert replay(folder, *calls) == {(GET_CALLER_IDENTITY, "open"): 2}

    changed(folder, "aws_sts_getcalleridentity_first_seen", "## Windows")

    assert replay(folder, *calls) == {(GET_CALLER_IDENTITY, "open"): 1}


def test_an_event_is_explained(folder: Path) -> None:
    (explain,) = blocks(section(PAGE, "## An alert that is missing"))

    assert "exception nightly inventory applies" in shell(folder, explain)
