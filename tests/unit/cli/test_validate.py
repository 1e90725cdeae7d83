import asyncio
import builtins
import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from firstseen.changes import Change, Changes
from firstseen.cli import main
from firstseen.control import Control
from firstseen.rules.loader import load_rules
from firstseen.running import Running
from firstseen.shelf import NAME, Shelf
from firstseen.store.lmdb import LmdbStore
from support.authority import Authority
from support.mmdb import asn_database, city_database
from support.rulebook import rule_text


def validate(folder: Path, config: str, *arguments: str) -> Result:
    file = folder / "firstseen.toml"
    file.write_text(config)
    return CliRunner().invoke(main, ["validate", "-c", str(file), *arguments])


def test_a_sound_configuration(tmp_path: Path) -> None:
    (tmp_path / "rule.toml").write_text(rule_text())

    result = validate(tmp_path, '[rules]\npaths = ["rule.toml"]\n')

    assert (result.exit_code, result.stdout) == (0, f"{tmp_path}/firstseen.toml: no problems; 1 of 1 rules run\n")


def test_every_problem_of_the_configuration_on_a_line_of_its_own(tmp_path: Path) -> None:
    result = validate(tmp_path, '[input]\nlisten = 7\nmax_fram = "1MiB"\n')

    lines = result.stdout.splitlines()
    assert result.exit_code == 78
    assert [
        line.startswith(f"{tmp_path}/firstseen.toml:{number}: input.")
        for line, number in zip(lines, (2, 3), strict=True)
    ]
    assert "input.max_frame" in lines[1]


def test_what_the_agent_has_read_of_the_rules_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule, settings = tmp_path / "rule.toml", '[rules]\npaths = ["rule.toml"]\n[state]\npath = "state"\n'
    rule.write_text(rule_text())
    assert validate(tmp_path, settings).exit_code == 0
    assert not (tmp_path / "state").exists()
    shelf = Shelf(tmp_path / "state")
    known = shelf.known()
    load_rules([rule], known=known)
    shelf.keep(known)
    kept = (tmp_path / "state" / NAME).stat().st_ino
    with monkeypatch.context() as patched:
        patched.setattr("firstseen.rules.loader.reading", lambda _: pytest.fail("it was read"))
        result = validate(tmp_path, settings)
    assert (result.exit_code, result.stdout) == (0, f"{tmp_path}/firstseen.toml: no problems; 1 of 1 rules run\n")
    rule.write_text(rule_text("event.action: ("))
    assert validate(tmp_path, settings).exit_code == 78
    assert (tmp_path / "state" / NAME).stat().st_ino == kept


def test_problems_of_rules(tmp_path: Path) -> None:
    (tmp_path / "rule.toml").write_text(rule_text("event.action: ("))

    result = validate(tmp_path, '[rules]\npaths = ["rule.toml"]\n')

    assert result.exit_code == 78
    assert f"{tmp_path}/rule.toml:" in result.stdout


def test_rules_that_do_not_run_are_no_problem_and_told_of(tmp_path: Path) -> None:
    (tmp_path / "rule.toml").write_text(rule_text().replace('type = "new_terms"', 'type = "esql"'))

    result = validate(tmp_path, '[rules]\npaths = ["rule.toml"]\n')

    assert result.exit_code == 0
    assert "rule.toml: not runnable: " in result.stdout
    assert "0 of 1 rules run" in result.stdout


def test_what_is_no_file_holds_nothing_up(tmp_path: Path) -> None:
    written(tmp_path, a=rule_text())
    os.mkfifo(tmp_path / "rules/pipe.toml")
    (tmp_path / "rules/zero.toml").symlink_to("/dev/zero")
    result = validate(tmp_path, '[rules]\npaths = ["rules"]\n')

    assert result.exit_code == 78
    assert [line.partition(": put")[0].replace(f"{tmp_path}/", "") for line in result.stdout.splitlines()[:2]] == [
        "rules/pipe.toml: cannot be read: it is a named pipe and no file",
        "rules/zero.toml: cannot be read: it is a device and no file",
    ]


def test_exceptions_are_checked_with_the_rules(tmp_path: Path) -> None:
    (tmp_path / "rule.toml").write_text(rule_text())
    exceptions = tmp_path / "exceptions.toml"
    settings = '[rules]\npaths = ["rule.toml"]\nexceptions = ["exceptions.toml"]\n'
    exceptions.write_text('[[exception]]\nname = "x"\nrules = ["gone"]\nquery = "a: 1"\n')

    sound = validate(tmp_path, settings)
    told = json.loads(validate(tmp_path, settings, "--output", "json").stdout)["exceptions"]
    exceptions.write_text('[[exception]]\nname = "x"\n')
    broken = validate(tmp_path, settings)

    assert sound.exit_code == 0
    assert f"{exceptions}:1: exception unused: x: there is no rule gone" in sound.stdout
    assert [(item["status"], item["rules"]) for item in told] == [("unused", 0)]
    assert broken.exit_code == 78
    assert f"{exceptions}:1: exception[0]: needs either a query or entries" in broken.stdout


def test_a_shadow_that_is_over_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "rule.toml").write_text(rule_text())
    settings = '[rules]\npaths = ["rule.toml"]\n[rules.shadow]\n"A rule*" = 2020-01-31\n'

    result = validate(tmp_path, settings)
    (told,) = json.loads(validate(tmp_path, settings, "--output", "json").stdout)["expired"]

    assert result.exit_code == 0
    line = "rules.shadow: A rule* is in shadow no more: that was until 2020-02-01T00:00:00.000Z"
    assert f"{tmp_path}/firstseen.toml:4: {line}\n" in result.stdout
    assert (told["line"], told["what"]) == (4, line)


def test_a_certificate_that_has_expired_is_told_of(tmp_path: Path) -> None:
    pem = Authority(tmp_path, "root").issue("agent", not_after=datetime(2020, 1, 31, tzinfo=UTC))
    settings = f'[input]\nlisten = ["tls://127.0.0.1:0"]\ntls = {{cert = "{pem.cert}", key = "{pem.key}"}}\n'
    settings += '[rules]\npaths = ["."]\n'

    result = validate(tmp_path, settings)
    (told,) = json.loads(validate(tmp_path, settings, "--output", "json").stdout)["certificates"]

    line = f"input.tls.cert: {pem.cert} has expired: it was valid until 2020-01-31T00:00:00Z"
    assert (told["line"], told["what"]) == (3, line)
    assert f"{tmp_path}/firstseen.toml:3: {line}\n" in result.stdout


def test_a_quarantine_that_cannot_be_written_is_told_of(tmp_path: Path) -> None:
    settings = '[rules]\npaths = ["."]\n[input]\nquarantine = "firstseen.toml/q"\n'

    result = validate(tmp_path, settings)
    (told,) = json.loads(validate(tmp_path, settings, "--output", "json").stdout)["quarantine"]

    assert (
        f"{tmp_path}/firstseen.toml:4: input.quarantine: {tmp_path}/firstseen.toml is no directory\n" in result.stdout
    )
    assert told["line"] == 4


def test_certificates_and_rules_at_once(tmp_path: Path) -> None:
    (tmp_path / "rule.toml").write_text(rule_text("event.action: ("))
    endpoints = 'listen = ["tls://127.0.0.1:0"]\ntls = {cert = "agent.crt", key = "agent.key"}\n'

    result = validate(tmp_path, f'[input]\n{endpoints}[rules]\npaths = ["rule.toml"]\n')

    first, second = result.stdout.splitlines()
    where = f"{tmp_path}/firstseen.toml:3: input.tls.cert"
    assert first == f"{where}: {tmp_path}/agent.crt cannot be read: No such file or directory"
    assert second.startswith(f"{tmp_path}/rule.toml:")
    assert result.exit_code == 78


def test_settings_and_what_they_name_at_once(tmp_path: Path) -> None:
    result = validate(tmp_path, '[rules]\npaths = ["gone"]\n[http]\nport = 1\n')

    assert [line.split(": ")[1] for line in result.stdout.splitlines()] == ["rules.paths", "http.port"]
    assert result.exit_code == 78


def test_as_json(tmp_path: Path) -> None:
    (tmp_path / "rule.toml").write_text(rule_text())

    sound = validate(tmp_path, '[rules]\npaths = ["rule.toml"]\n', "--output", "json")
    broken = validate(tmp_path, "[inputs]\n", "--output", "json")

    (rule,) = json.loads(sound.stdout)["rules"]
    (problem,) = json.loads(broken.stdout)["problems"]
    assert list(rule) == ["id", "name", "type", "file", "status", "reason", "needles"]
    assert rule["status"] == "loaded"
    assert (problem["line"], "[input]" in problem["what"]) == (1, True)
    assert broken.exit_code == 78


def test_settings_of_rules_that_are_not_there_are_told_of(tmp_path: Path) -> None:
    (tmp_path / "rule.toml").write_text(rule_text())
    settings = '[rules]\npaths = ["rule.toml"]\nlearning = {"A rule*" = "2d"}\nshadow = {gone = true}\n'

    result = validate(tmp_path, settings)
    told = json.loads(validate(tmp_path, settings, "--output", "json").stdout)

    line = f"{tmp_path}/firstseen.toml:4: rules.shadow: there is no rule gone"
    assert (result.exit_code, result.stdout.splitlines()[0]) == (0, line)
    assert [(problem["line"], problem["what"]) for problem in told["unused"]] == [
        (4, "rules.shadow: there is no rule gone")
    ]


def test_databases(tmp_path: Path) -> None:
    (tmp_path / "rule.toml").write_text(rule_text())
    asn_database(tmp_path / "city.mmdb")
    settings = '[rules]\npaths = ["rule.toml"]\n[geoip]\ncity = "city.mmdb"\n'

    result = validate(tmp_path, settings)

    assert result.exit_code == 78
    assert result.stdout == (
        f"{tmp_path}/firstseen.toml:4: geoip.city: {tmp_path}/city.mmdb is of type GeoLite2-ASN;"
        " one of City or Enterprise is wanted\n"
    )
    city_database(tmp_path / "city.mmdb")
    assert validate(tmp_path, settings).exit_code == 0


def test_a_shared_state_is_not_asked_for(tmp_path: Path) -> None:
    (tmp_path / "rule.toml").write_text(rule_text())

    result = validate(tmp_path, '[rules]\npaths = ["rule.toml"]\n[state]\nurl = "redis://192.0.2.1"\n')

    assert (result.exit_code, result.stdout) == (0, f"{tmp_path}/firstseen.toml: no problems; 1 of 1 rules run\n")


def test_what_a_shared_state_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rule.toml").write_text(rule_text())
    bring = builtins.__import__

    def lacking(name: str, *more: Any) -> Any:
        if name == "firstseen.store.redis.link":
            raise ImportError(name)
        return bring(name, *more)

    monkeypatch.setattr(builtins, "__import__", lacking)
    settings = '[rules]\npaths = ["rule.toml"]\n[state]\nurl = "rediss://ada:secret@192.0.2.1"\ntls = {ca = "ca"}\n'

    result = validate(tmp_path, settings)

    where = f"{tmp_path}/firstseen.toml"
    assert (result.exit_code, result.stdout.splitlines()) == (
        78,
        [
            f"{where}:5: state.tls.ca: {tmp_path}/ca cannot be read: No such file or directory",
            f"{where}:4: state.url: a state at rediss://ada:********@192.0.2.1 needs the package redis: "
            "pip install 'firstseen[redis]'",
        ],
    )


RULES = '[rules]\npaths = ["rules"]\n'


def written(folder: Path, **rules: str) -> None:
    """Rule files by their names, and no other."""
    (folder / "rules").mkdir(exist_ok=True)
    for file in (folder / "rules").iterdir():
        file.unlink()
    for name, text in rules.items():
        (folder / f"rules/{name}.toml").write_text(text)


def test_what_a_reload_would_change_where_there_is_no_state(tmp_path: Path) -> None:
    written(tmp_path, a=rule_text(rule_id="a"))

    result = validate(tmp_path, f'{RULES}[state]\npath = "state"\n', "--changes")

    assert result.exit_code == 0
    assert result.stdout.splitlines()[1:] == [
        "rule added: A rule for tests (a)",
        "reload: 1 rules; 1 added, 0 removed, 0 changed, 0 edited, 0 taken, 0 waits"
        " (no agent answers here, and there is no state yet)",
    ]
    assert not (tmp_path / "state").exists()


def test_what_a_reload_would_change_by_what_the_state_knows(tmp_path: Path) -> None:
    written(tmp_path, a=rule_text(rule_id="a"), b=rule_text(rule_id="b"))
    store = LmdbStore.open(tmp_path / "state", 1 << 22, durable=False)
    for rule in load_rules([tmp_path / "rules"]).rules:
        store.register([Running(rule).state], 0)
    store.close()
    written(tmp_path, a=rule_text("event.action: x", rule_id="a"), c=rule_text(rule_id="c"))

    settings = f'{RULES}[state]\npath = "state"\n'
    result = validate(tmp_path, settings, "--changes")
    told = json.loads(validate(tmp_path, settings, "--changes", "--output", "json").stdout)["reload"]

    assert [line for line in result.stdout.splitlines() if line.startswith("rule ")] == [
        "rule added: A rule for tests (c)",
        "rule removed: A rule for tests (b)",
        "rule changed: A rule for tests (a): it begins a new history",
    ]
    assert (told["against"], told["refused"], told["rules"]) == ("state", [], 2)
    assert told["changes"]["changed"] == [{"id": "a", "name": "A rule for tests"}]


@contextmanager
def an_agent(folder: Path, answer: Mapping[str, Any]) -> Iterator[list[Any]]:
    """Somebody who has the state in ``folder``; yields what he was asked."""
    asked: list[Any] = []
    folder.mkdir()

    async def foretell(request: Mapping[str, Any]) -> Mapping[str, Any]:
        asked.append(request)
        return answer

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    control = Control(folder, {"foretell": foretell})
    asyncio.run_coroutine_threadsafe(control.open(), loop).result(60)
    try:
        yield asked
    finally:
        loop.call_soon_threadsafe(control.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_the_agent_that_runs_is_asked(tmp_path: Path) -> None:
    written(tmp_path, a=rule_text(rule_id="a"))
    found = Changes(edited=[Change("a", "A")], taken=["rules.shadow"], waits=["http.listen"])
    with an_agent(tmp_path / "state", {"refused": [], "changes": found.as_dict(), "rules": 1}) as asked:
        result = validate(tmp_path, f'{RULES}[state]\npath = "state"\n', "--changes")

    assert asked == [{"do": "foretell", "file": str(tmp_path / "firstseen.toml")}]
    assert (result.exit_code, result.stdout.splitlines()[1:]) == (
        0,
        [
            "rule edited: A (a): its history goes on",
            "setting taken: rules.shadow",
            "setting waits: http.listen: it is taken at the next start",
            "reload: 1 rules; 0 added, 0 removed, 0 changed, 1 edited, 1 taken, 1 waits"
            " (as the agent says that runs here)",
        ],
    )


def test_what_only_the_agent_finds_wrong_is_wrong(tmp_path: Path) -> None:
    written(tmp_path, a=rule_text(rule_id="a"))
    with an_agent(tmp_path / "state", {"refused": ["a.toml: cannot be read: Permission denied"]}):
        result = validate(tmp_path, f'{RULES}[state]\npath = "state"\n', "--changes")

    assert (result.exit_code, result.stdout.splitlines()[1:]) == (
        78,
        [
            "a.toml: cannot be read: Permission denied",
            "reload refused: all stays as it is (as the agent says that runs here)",
        ],
    )


def test_what_is_wrong_would_be_refused(tmp_path: Path) -> None:
    written(tmp_path, a=rule_text("event.action: ("))
    broken = validate(tmp_path, f'{RULES}[state]\npath = "state"\n', "--changes")
    unreadable = validate(tmp_path, '[rule]\n[state]\npath = "state"\n', "--changes")

    for result in (broken, unreadable):
        assert result.exit_code == 78
        assert len(result.stdout.splitlines()) == 2
        assert result.stdout.splitlines()[1].startswith("reload refused: all stays as it is")


def test_the_agent_is_told_of_the_file_by_its_own_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, a=rule_text(rule_id="a"))
    (tmp_path / "data").mkdir()
    (tmp_path / "data/real.toml").write_text(f'{RULES}[state]\npath = "state"\n')
    (tmp_path / "firstseen.toml").symlink_to("data/real.toml")
    monkeypatch.chdir(tmp_path)
    with an_agent(tmp_path / "state", {"refused": ["x"]}) as asked:
        CliRunner().invoke(main, ["validate", "-c", "firstseen.toml", "--changes"])

    assert [each["file"] for each in asked] == [str(tmp_path / "firstseen.toml")]


@pytest.mark.parametrize(
    "answer", [{}, {"refused": []}, {"refused": [], "changes": {"added": 5}, "rules": "x"}, {"refused": 5}], ids=str
)
def test_an_answer_that_is_none(tmp_path: Path, answer: Mapping[str, Any]) -> None:
    written(tmp_path, a=rule_text(rule_id="a"))
    with an_agent(tmp_path / "state", answer):
        result = validate(tmp_path, f'{RULES}[state]\npath = "state"\n', "--changes")

    assert result.exit_code == 1
    assert f"firstseen: what {tmp_path}/state/control answers is no answer of this version: " in result.stderr


def test_what_an_agent_says_is_no_command_to_the_terminal(tmp_path: Path) -> None:
    written(tmp_path, a=rule_text(rule_id="a"))
    found = Changes(added=[Change("a", "\x1b[31mA\nreload: 9 rules")]).as_dict()
    for answer in ({"refused": ["one\n\x1b]0;two\x07"]}, {"refused": [], "changes": found, "rules": 1}):
        with an_agent(tmp_path / "state", answer):
            result = validate(tmp_path, f'{RULES}[state]\npath = "state"\n', "--changes")
        (tmp_path / "state").rmdir()

        assert all(line.isprintable() for line in result.stdout.splitlines())
        assert len(result.stdout.splitlines()) == 3  # no line is made by a name


FORETOLD = {"refused": [], "changes": Changes().as_dict(), "rules": 1}
NO_KEY = "input.shared_key: the environment variable FIRSTSEEN_TEST_KEY is not set"
KEYED = f'{RULES}[input]\nshared_key = "${{FIRSTSEEN_TEST_KEY}}"\n[state]\npath = "state"\n'


def reload_of(result: Result) -> Mapping[str, Any]:
    """What is told of the reload in JSON."""
    told: Mapping[str, Any] = json.loads(result.stdout)["reload"]
    return told


def test_the_environment_that_counts_is_that_of_the_agent(tmp_path: Path) -> None:
    written(tmp_path, a=rule_text(rule_id="a"))
    with an_agent(tmp_path / "state", FORETOLD) as asked:
        result = validate(tmp_path, KEYED, "--changes")
        told = reload_of(validate(tmp_path, KEYED, "--changes", "--output", "json"))

    first, last = result.stdout.splitlines()
    assert asked[0] == {"do": "foretell", "file": str(tmp_path / "firstseen.toml")}
    assert first.startswith(f"{tmp_path}/firstseen.toml:4: {NO_KEY}")
    assert (result.exit_code, last.startswith("reload: 1 rules; "), told["against"]) == (0, True, "agent")
    assert validate(tmp_path, KEYED).exit_code == 78


@pytest.mark.parametrize("of_agent", ["has no variable either", "finds something else"])
def test_what_the_agent_refuses_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, of_agent: str) -> None:
    written(tmp_path, a=rule_text(rule_id="a"))
    told = json.loads(validate(tmp_path, KEYED, "--output", "json").stdout)["problems"][0]
    line = f"{told['file']}:{told['line']}: {told['what']}" if "variable" in of_agent else "a.toml: it is gone"
    monkeypatch.chdir(tmp_path)
    with an_agent(tmp_path / "state", {"refused": [line]}):
        result = CliRunner().invoke(main, ["validate", "-c", "firstseen.toml", "--changes"])

    assert result.exit_code == 78
    assert result.stdout.splitlines() == [
        f"firstseen.toml:4: {told['what']}",
        *([] if "variable" in of_agent else [line]),
        "reload refused: all stays as it is (as the agent says that runs here)",
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        '[state]\npath = "state"\n[htpp]\nlisten = ""\n',
        '[state]\npath = "state"\npaths = "other"\n',
        '[state]\npath = "state"\nmap_size = 5\n',
        '[state]\npath = "state"\nurl = "redis://127.0.0.1:1"\npassword = "${FIRSTSEEN_TEST_KEY}"\n',
        '[state]\npath = "state"\n[stat]\npath = "other"\n',
    ],
)
def test_an_agent_that_can_be_found_is_asked_whatever_else_is_wrong(tmp_path: Path, wrong: str) -> None:
    written(tmp_path, a=rule_text(rule_id="a"))
    with an_agent(tmp_path / "state", {"refused": ["it is wrong"]}) as asked:
        result = validate(tmp_path, f"{RULES}{wrong}", "--changes")

    assert [each["file"] for each in asked] == [str(tmp_path / "firstseen.toml")]
    assert (result.exit_code, "it is wrong" in result.stdout.splitlines()) == (78, True)


@pytest.mark.parametrize(
    "wrong",
    [
        "state = 5\n",
        "[state]\npath = 5\n",
        '[state]\npath = "${FIRSTSEEN_TEST_KEY}"\n',
        '[state]\npaths = "state"\n',
        '[stat]\npath = "state"\n',
        "[state\n",
    ],
)
def test_no_agent_is_asked_where_the_file_does_not_say_which(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    monkeypatch.setattr("firstseen.cli.validate.ask", lambda *_, **__: pytest.fail("one was asked"))

    result = validate(tmp_path, wrong, "--changes")
    told = reload_of(validate(tmp_path, wrong, "--changes", "--output", "json"))

    said = "reload refused: all stays as it is (no agent was asked, as the file does not say where its state is)"
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (78, said)
    assert (told["against"], len(told["refused"])) == ("unasked", 1)


def test_settings_that_are_wrong_where_no_agent_answers(tmp_path: Path) -> None:
    result = validate(tmp_path, KEYED, "--changes")
    told = reload_of(validate(tmp_path, KEYED, "--changes", "--output", "json"))

    assert (result.exit_code, result.stdout.splitlines()[-1]) == (
        78,
        "reload refused: all stays as it is (no agent answers here)",
    )
    assert told["against"] == "nothing"


def test_what_is_wrong_is_told_where_the_agent_cannot_be_asked(tmp_path: Path) -> None:
    (tmp_path / "state/control").mkdir(parents=True)

    result = validate(tmp_path, KEYED, "--changes")

    assert (result.exit_code, NO_KEY in result.stdout) == (1, True)
    assert "is no socket" in result.stderr
