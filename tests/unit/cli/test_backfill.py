import gzip
import io
import json
import os
import signal
from contextlib import closing
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from click.testing import CliRunner, Result

from firstseen.backfill import reading
from firstseen.backfill.reading import Part, Totals
from firstseen.backfill.tasks import Plan
from firstseen.cli import main
from firstseen.cli.backfill import _progress
from firstseen.detect.law import Occurrence
from firstseen.detect.new_terms import NewTermsLaw, Sighting
from firstseen.model import Verdict
from firstseen.rules.loader import load_rules
from firstseen.running import NO_POLICY, Running
from firstseen.states import Shared, read
from firstseen.store.base import RuleState, Wanted
from firstseen.store.lmdb import LmdbReader, LmdbStore
from support.redis import Fleet, RedisServer, claim_all, new_prefix
from support.rulebook import rule_id, rule_text

ADA, BOB = "arn:aws:iam::111122223333:user/ada", "arn:aws:iam::111122223333:user/bob"
T8, T9 = 1_790_064_000_000, 1_790_067_600_000  # 2026-09-22, at 8 and at 9


def call(arn: str, event_id: str, time: str = "2026-09-22T08:00:00Z") -> dict[str, Any]:
    return {
        "userIdentity": {"type": "IAMUser", "arn": arn},
        "eventTime": time,
        "eventSource": "sts.amazonaws.com",
        "eventName": "GetCallerIdentity",
        "eventID": event_id,
    }


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "rule.toml").write_text(rule_text())
    path = tmp_path / "firstseen.toml"
    path.write_text('[rules]\npaths = ["rule.toml"]\n[state]\npath = "state"\nmap_size = "16MiB"\n')
    return path


def write(path: Path, *events: dict[str, Any] | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "\n".join(event if isinstance(event, str) else json.dumps(event) for event in events)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def backfill(*arguments: object, since: str | None = "2026-01-01") -> Result:
    options = [] if since is None else ["--since", since]
    return CliRunner().invoke(main, ["backfill", "--jobs", "1", *options, *map(str, arguments)])


def told(result: Result) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(result.stdout)
    return told


def remembered(state: Path) -> dict[Any, Any]:
    reader = LmdbReader.open(state)
    try:
        return {entry.terms[0]: entry.memory for entry in reader.entries()}
    finally:
        reader.close()


def test_the_state_knows_who_was_seen_in_the_files(tmp_path: Path, config: Path) -> None:
    logs = tmp_path / "logs"
    write(logs / "2.json.gz", call(ADA, "late", "2026-09-22T09:00:00Z"))
    write(logs / "deep/1.json", {"Records": [call(ADA, "early"), call(BOB, "other"), {"eventName": "Else"}]})

    result = backfill("-c", config, logs)

    assert result.exit_code == 0
    assert remembered(tmp_path / "state") == {
        ADA: Sighting(T8, T9, 2, "early", "late"),
        BOB: Sighting(T8, T8, 1, "other", "other"),
    }
    assert "4 events in 2 files" in result.stdout
    assert "3 matches: 2 new terms, 2 remembered in all" in result.stdout
    assert result.stderr == ""


def test_documents_of_elasticsearch_are_read_by_the_time_of_their_arrival(tmp_path: Path, config: Path) -> None:
    source = {
        "@timestamp": "2026-09-22T08:00:00Z",
        "event": {"provider": "sts.amazonaws.com", "action": "GetCallerIdentity", "id": "e-1", "ingested": T9},
        "aws": {"cloudtrail": {"user_identity": {"arn": ADA}}},
    }
    dump = write(tmp_path / "dump.ndjson", {"_index": "logs", "_id": "1", "_source": source})
    found = write(tmp_path / "found.json", {"took": 1, "hits": {"hits": [{"_index": "logs", "_source": source}]}})
    bridge = write(tmp_path / "bridge.json", {"source": "aws.sts", "detail-type": "x", "detail": call(BOB, "e-2")})

    assert backfill("-c", config, dump, found, bridge).exit_code == 0
    assert remembered(tmp_path / "state") == {
        ADA: Sighting(T9, T9, 2, "e-1", "e-1"),
        BOB: Sighting(T8, T8, 1, "e-2", "e-2"),
    }


def test_events_are_read_as_the_configuration_says_of_all_tags(tmp_path: Path, config: Path) -> None:
    file = write(
        tmp_path / "e.json",
        {
            "eventSource": "sts.amazonaws.com",
            "eventName": "Else",
            "@timestamp": "2026-09-22T08:00:00Z",
            "event": {"provider": "sts.amazonaws.com", "action": "GetCallerIdentity", "id": "e-1"},
            "aws": {"cloudtrail": {"user_identity": {"arn": ADA}}},
        },
    )

    auto = told(backfill("-c", config, "--output", "json", file))
    config.write_text(config.read_text() + '[sources]\n"aws.*" = "cloudtrail"\n"*" = "ecs"\n')
    ecs = told(backfill("-c", config, "--output", "json", file))

    assert (auto["matches"], ecs["matches"]) == (0, 1)
    assert remembered(tmp_path / "state") == {ADA: Sighting(T8, T8, 1, "e-1", "e-1")}


def test_standard_input_is_read(tmp_path: Path, config: Path) -> None:
    arguments = ["backfill", "--since", "2026-01-01", "-c", str(config), "-"]

    stream = io.BufferedReader(io.BytesIO(json.dumps(call(ADA, "e-1")).encode()))  # as standard input is
    result = CliRunner().invoke(main, arguments, input=stream)

    assert (result.exit_code, list(remembered(tmp_path / "state"))) == (0, [ADA])


def test_files_are_read_once_unless_they_are_to_be_read_again(tmp_path: Path, config: Path) -> None:
    file = write(tmp_path / "e.json", call(ADA, "e-1"))

    results = [told(backfill("-c", config, "--output", "json", *more, file)) for more in ([], [], ["--restart"])]

    assert [(each["files"], each["files_known"]) for each in results] == [(1, 0), (0, 1), (1, 0)]
    assert remembered(tmp_path / "state")[ADA].count == 2, "who reads them again counts them again"


@pytest.mark.parametrize("option", ["--since", "--until"])
def test_how_long_ago_is_the_same_a_while_later(tmp_path: Path, config: Path, option: str) -> None:
    file = write(tmp_path / "e.json", call(ADA, "e-1", "2024-05-24T08:00:00Z"))
    ago = {"--since": "36500d", "--until": "1d"}[option]

    results = [told(backfill("-c", config, "--output", "json", option, ago, file)) for _ in range(2)]

    assert [(each["files"], each["files_known"]) for each in results] == [(1, 0), (0, 1)]


def test_by_default_only_the_history_window_is_looked_at(tmp_path: Path, config: Path) -> None:
    old = write(tmp_path / "e.json", call(ADA, "e-1", "2020-05-24T08:00:00Z"))

    result = told(backfill("-c", config, "--output", "json", old, since=None))

    assert (result["matches"], result["outside"], result["terms"]) == (1, 1, 0)


@pytest.mark.parametrize(
    ("options", "seen"),
    [
        (["--until", "2026-09-22T09:00:00Z"], [ADA]),
        (["--since", "2026-09-22T08:30:00Z"], [BOB]),
        (["--since", "3650d", "--until", "2026-09-23"], [ADA, BOB]),
    ],
)
def test_a_span_of_time_may_be_asked_for(tmp_path: Path, config: Path, options: list[str], seen: list[str]) -> None:
    file = write(tmp_path / "e.json", call(ADA, "e-1"), call(BOB, "e-2", "2026-09-22T09:00:00Z"))

    backfill("-c", config, *options, file)

    assert sorted(remembered(tmp_path / "state")) == seen


def test_the_summary_as_json(tmp_path: Path, config: Path) -> None:
    file = write(tmp_path / "e.json", call(ADA, "e-1"), call(ADA, "e-2"))

    summary = told(backfill("-c", config, "--output", "json", file))

    assert summary.pop("seconds") > 0
    assert summary == {
        "files": 1,
        "files_known": 0,
        "files_older": 0,
        "bytes": file.stat().st_size,
        "stored_bytes": file.stat().st_size,
        "events": 2,
        "candidates": 2,
        "matches": 2,
        "outside": 0,
        "undated": 0,
        "terms_dropped": 0,
        "rule_errors": 0,
        "terms_new": 1,
        "terms": 1,
        "rules_without_terms": 0,
        "unreadable": [],
        "stopped": False,
    }


def test_a_file_that_cannot_be_read_does_not_hide_the_others(tmp_path: Path, config: Path) -> None:
    broken = write(tmp_path / "a.json", call(BOB, "e-1"), "broken", call(BOB, "e-2"))
    whole = write(tmp_path / "b.json", call(ADA, "e-3"))

    results = [backfill("-c", config, broken, whole) for _ in range(2)]

    for result in results:
        assert result.exit_code == 1
        assert f"firstseen: {broken}:2: this is no JSON" in result.stderr
        assert "1  files could not be read to their end" in result.stdout
    assert {arn: sighting.count for arn, sighting in remembered(tmp_path / "state").items()} == {ADA: 1, BOB: 1}


def test_other_rules_begin_with_the_agent(tmp_path: Path, config: Path) -> None:
    flat = rule_text(rule_id=rule_id(7)).replace('type = "new_terms"', 'type = "query"')
    (tmp_path / "query.toml").write_text(flat)
    file = write(tmp_path / "e.json", call(ADA, "e-1"))

    with_both = backfill("-c", config, "--rules", tmp_path / "rule.toml", "--rules", tmp_path / "query.toml", file)
    alone = backfill("-c", config, "--rules", tmp_path / "query.toml", file)

    assert "1  rules remember nothing of the past: they begin with the agent" in with_both.stdout
    assert (alone.exit_code, "none of the rules" in alone.stderr) == (1, True)
    reader = LmdbReader.open(tmp_path / "state")
    assert len(list(reader.rules())) == 1
    reader.close()


def test_exceptions_take_events_out(tmp_path: Path, config: Path) -> None:
    exceptions = tmp_path / "exceptions.toml"
    exceptions.write_text(f"[[exception]]\nquery = 'aws.cloudtrail.user_identity.arn: \"{ADA}\"'\n")
    file = write(tmp_path / "e.json", call(ADA, "e-1"), call(BOB, "e-2"))

    backfill("-c", config, "--exceptions", exceptions, file)

    assert list(remembered(tmp_path / "state")) == [BOB]


def test_a_state_in_use_is_left_alone(tmp_path: Path, config: Path) -> None:
    store = LmdbStore.open(tmp_path / "state", 1 << 24)
    result = backfill("-c", config, write(tmp_path / "e.json", call(ADA, "e-1")))
    store.close()

    assert result.exit_code == 1
    assert "is in use by process" in result.stderr
    assert "stop that first" in result.stderr
    assert remembered(tmp_path / "state") == {}


def test_a_signal_stops_it_with_what_it_has(tmp_path: Path, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [write(tmp_path / f"{n}.json", call(f"{ADA}-{n}", f"e-{n}")) for n in range(3)]
    read = reading.Reader.look_at

    def interrupted(self: reading.Reader, events: list[bytes]) -> None:
        read(self, events)
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(reading.Reader, "look_at", interrupted)
    monkeypatch.setattr("firstseen.backfill.tasks.TASK_FILES", 1)
    stopped = backfill("-c", config, *files)
    monkeypatch.setattr(reading.Reader, "look_at", read)
    half = list(remembered(tmp_path / "state"))
    resumed = backfill("-c", config, "--output", "json", *files)

    assert stopped.exit_code == 1
    assert "run the same command again to go on from here" in stopped.stdout
    assert half == [f"{ADA}-0"]
    assert (resumed.exit_code, told(resumed)["files"], told(resumed)["files_known"]) == (0, 2, 1)
    assert {entry.count for entry in remembered(tmp_path / "state").values()} == {1}
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["file.json"], 2, "say which rules and which state"),
        (["--rules", "{folder}/rule.toml", "file.json"], 2, "say which rules and which state"),
        (["--rules", "nowhere", "--state", "{folder}/s", "file.json"], 78, "nowhere"),
        (["-c", "{folder}/firstseen.toml", "file.json"], 1, "file.json: there is no such file"),
        (["-c", "{folder}/firstseen.toml", "--until", "soon", "file.json"], 2, "'soon' is no 2026-05-24"),
        (
            ["-c", "{folder}/firstseen.toml", "--since", "1d", "--until", "30d", "file.json"],
            2,
            "--since is not before --until",
        ),
        (["-c", "{folder}/firstseen.toml", "--jobs", "9999999", "file.json"], 2, "1<=x<=512"),
        (["-c", "{folder}/firstseen.toml"], 2, "FILE"),
    ],
)
def test_mistakes_are_told_of(tmp_path: Path, config: Path, arguments: list[str], code: int, said: str) -> None:
    result = backfill(*(argument.replace("{folder}", str(config.parent)) for argument in arguments))

    assert (result.exit_code, said in result.stderr) == (code, True)


def test_rules_and_a_state_are_enough(tmp_path: Path, config: Path) -> None:
    file = write(tmp_path / "e.json", call(ADA, "e-1"))

    result = backfill("--rules", config.parent / "rule.toml", "--state", tmp_path / "other", file)

    assert (result.exit_code, list(remembered(tmp_path / "other"))) == (0, [ADA])


class Terminal(io.StringIO):
    """What a terminal would show."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("stream", "shown"), [(Terminal(), True), (io.StringIO(), False)], ids=["terminal", "pipe"])
def test_a_bar_is_shown_on_a_terminal_only(stream: io.StringIO, shown: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", stream)

    with _progress(Plan([(Part("a"), 50), (Part("b"), 50)], 0, 0)) as show:
        show(Totals(files=1, stored=50, content=2_000_000, events=1_234))

    said = "1 of 2 files, 2 MB, 1,234 events" in stream.getvalue()
    assert (said, "50%" in stream.getvalue()) == (shown, shown)


@pytest.fixture
def there(redis_server: RedisServer) -> Shared:
    return Shared(redis_server.url, new_prefix().decode())


@pytest.fixture
def shared(tmp_path: Path, config: Path, there: Shared) -> Path:
    """A configuration of an agent whose state is shared."""
    path = tmp_path / "shared.toml"
    path.write_text(f'[rules]\npaths = ["rule.toml"]\n[state]\nurl = "{there.url}"\nprefix = "{there.prefix}"\n')
    return path


def known(there: Shared) -> dict[Any, Any]:
    with closing(read(there)) as reader:
        return {entry.terms[0]: entry.memory for entry in reader.entries()}


@pytest.mark.redis
def test_a_shared_state_is_filled_and_files_are_read_once(tmp_path: Path, shared: Path, there: Shared) -> None:
    early = write(tmp_path / "1.json", call(ADA, "early"), call(BOB, "other"))
    late = write(tmp_path / "2.json", call(ADA, "late", "2026-09-22T09:00:00Z"))
    named = ("--state", str(there.url), "--prefix", there.prefix, "--rules", tmp_path / "rule.toml")

    first = told(backfill("-c", shared, "--output", "json", late))
    second = told(backfill(*named, "--output", "json", early, late))

    assert (first["terms_new"], first["terms"], second["terms_new"], second["terms"]) == (1, 1, 1, 2)
    assert (second["files"], second["files_known"]) == (1, 1)
    assert known(there) == {ADA: Sighting(T8, T9, 2, "early", "late"), BOB: Sighting(T8, T8, 1, "other", "other")}


@pytest.mark.redis
def test_a_shared_state_is_what_one_on_disk_would_be(tmp_path: Path, config: Path, shared: Path, there: Shared) -> None:
    names = [f"{ADA}-{number % 7}" for number in range(60)]
    events = [call(name, f"e-{n}", f"2026-09-22T{n % 24:02}:00:00Z") for n, name in enumerate(names)]
    files = [write(tmp_path / f"{number}.json.gz", *events[number::5]) for number in range(5)]

    for file in (config, shared):
        assert backfill("-c", file, *files).exit_code == 0

    assert known(there) == remembered(tmp_path / "state")


@pytest.mark.redis
def test_agents_run_beside_it(tmp_path: Path, shared: Path, there: Shared, redis_server: RedisServer) -> None:
    fleet = Fleet(redis_server, tmp_path / "fleet")
    fleet.prefix = there.prefix.encode()
    agent, (rule, law) = fleet.agent(), rule_of(tmp_path)
    try:
        agent.register([rule], T9)
        (alert,) = claim_all(agent, [Wanted(rule, (ADA,), Occurrence(T9, "live"), law)])
        assert backfill("-c", shared, write(tmp_path / "e.json", call(ADA, "past"), call(BOB, "other"))).exit_code == 0
        agent.confirm([alert]).result(60)
        (quiet,) = claim_all(agent, [Wanted(rule, (BOB,), Occurrence(T9, "live"), law)])
        agent.confirm([quiet]).result(60)
    finally:
        fleet.close()

    assert (alert.verdict, quiet.verdict) == (Verdict.NEW, Verdict.KNOWN)
    assert known(there) == {ADA: Sighting(T8, T9, 2, "live", "live"), BOB: Sighting(T8, T9, 2, "other", "live")}


def rule_of(folder: Path) -> tuple[RuleState, NewTermsLaw]:
    """The rule that is there, as the state knows it."""
    (rule,) = load_rules([folder / "rule.toml"], now_ms=T9).rules
    running = Running(rule, NO_POLICY)
    assert isinstance(running.law, NewTermsLaw)
    return running.state, running.law


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_named_pipe_is_read_as_standard_input_is(tmp_path: Path, config: Path, jobs: int) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    text = (json.dumps(call(ADA, "e-1")) + "\n").encode()

    for _ in range(2):
        writer = Thread(target=pipe.write_bytes, args=(text,), daemon=True)
        writer.start()
        result = backfill("-c", config, "--jobs", jobs, "--output", "json", pipe)
        writer.join()
        summary = json.loads(result.stdout)
        assert (result.exit_code, summary["files"], summary["events"], summary["files_known"]) == (0, 1, 1, 0)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_link_that_leads_nowhere_is_told_of_and_the_rest_is_read(tmp_path: Path, config: Path, jobs: int) -> None:
    write(tmp_path / "logs" / "a.json", call(ADA, "e-1"))
    link = tmp_path / "logs" / "b.json"
    link.symlink_to("nowhere")

    result = backfill("-c", config, "--jobs", jobs, link.parent)

    assert (result.exit_code, f"firstseen: {link}: " in result.stderr) == (1, True)
    assert "1  files could not be read to their end" in result.stdout
    assert "1 match: 1 new term, 1 remembered in all" in result.stdout


def test_an_empty_directory_is_told_of(tmp_path: Path, config: Path) -> None:
    (tmp_path / "logs").mkdir()

    result = backfill("-c", config, tmp_path / "logs")

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"firstseen: {tmp_path / 'logs'}: there is nothing to read")
