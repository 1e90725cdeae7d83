import json
import logging
from pathlib import Path

import pytest

from firstseen import config
from firstseen.config import Config
from firstseen.configuredrules import configured_policy, configured_rules, notices, notices_beside, tell_of
from firstseen.errors import RuleError
from firstseen.geoip import GeoIp
from firstseen.rules.ruleset import RuleSet
from firstseen.running import NO_POLICY
from support.rulebook import rule_id, rule_text


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rules").mkdir()
    write(tmp_path, rule_text(rule_id=rule_id(1)))
    return tmp_path


def write(folder: Path, text: str, name: str = "a") -> Path:
    path = folder / f"rules/{name}.toml"
    path.write_text(text)
    return path


def settings(folder: Path, more: str = "") -> Config:
    file = folder / "firstseen.toml"
    file.write_text(f'[rules]\npaths = ["rules"]\n{more}')
    return config.load(file)


def loaded(given: Config | None, **more: object) -> RuleSet:
    return configured_rules(given, 0, GeoIp(), **more)  # type: ignore[arg-type]


def test_what_is_named_goes_before_what_is_configured(folder: Path) -> None:
    other = folder / "other.toml"
    other.write_text(rule_text("event.action: Look"))
    exceptions = folder / "exceptions.toml"
    exceptions.write_text('[[exception]]\nname = "ada"\nquery = "user.name: ada"\n')
    given = settings(folder, 'exceptions = ["exceptions.toml"]\n')

    assert [rule.needles for rule in loaded(given).rules] == [{b"GetCallerIdentity"}]
    assert [rule.needles for rule in loaded(given, paths=[other]).rules] == [{b"Look"}]
    assert [rule.needles for rule in loaded(None, paths=[other]).rules] == [{b"Look"}]
    assert [len(rule.exceptions) for rule in loaded(given, paths=[other]).rules] == [1]
    exceptions.write_text("")
    more = folder / "more.toml"
    more.write_text('[[exception]]\nname = "bob"\nquery = "user.name: bob"\n')
    assert [item.name for rule in loaded(given, exceptions=[more]).rules for item in rule.exceptions] == ["bob"]


def test_a_path_that_leads_nowhere_is_told_of_where_it_is_configured_beside_all_else(folder: Path) -> None:
    write(folder, "?", "b")
    (folder / "link").symlink_to("nowhere")
    given = settings(folder)
    given.path.write_text('[rules]\npaths = [\n  "rules",\n  "link",\n]\nexceptions = ["gone", "rules/a.toml/e"]\n')
    with pytest.raises(RuleError) as caught:
        loaded(config.load(given.path))

    assert str(caught.value).replace(f"{folder}/", "").splitlines() == [
        "firstseen.toml:2: rules.paths: link cannot be read: No such file or directory",
        "firstseen.toml:6: rules.exceptions: gone cannot be read: No such file or directory",
        "firstseen.toml:6: rules.exceptions: rules/a.toml/e cannot be read: Not a directory",
        "rules/b.toml:1: invalid statement (column 1)",
    ]


@pytest.mark.parametrize(
    ("query", "runs"),
    [
        ("source.as.number: *", False),
        ("azure.name: x and source.as.number: *", True),
        ("event.action: x and not source.as.number: 7", True),
    ],
)
def test_a_missing_database_hinders_the_rules_that_cloudtrail_could_fulfil(
    folder: Path, query: str, runs: bool
) -> None:
    path = write(folder, rule_text(query, ["user.name"]))

    assert bool(loaded(settings(folder)).rules) is runs
    assert bool(loaded(None, paths=[path]).rules) is runs
    assert loaded(settings(folder, '[sources]\n"*" = "ecs"\n')).rules


@pytest.mark.parametrize(
    ("query", "fields", "told"),
    [
        (
            "event.actoin: x",
            ["user.name"],
            "event.actoin is not a field of ECS or CloudTrail: did you mean event.action?",
        ),
        ("event.action: x and not event.actoin: y", ["user.name"], "did you mean event.action?"),
        ("event.action: Look", ["aws.cloudtrail.user_identity.arm"], "did you mean aws.cloudtrail.user_identity.arn?"),
    ],
)
def test_a_rule_that_asks_for_a_field_that_nothing_has_runs_and_says_so(
    folder: Path, query: str, fields: list[str], told: str
) -> None:
    write(folder, rule_text(query, fields))
    for more in ("", '[sources]\n"*" = "ecs"\n', '[sources]\n"*" = "cloudtrail"\n'):
        rules = loaded(settings(folder, more))

        (report,) = rules.reports
        assert report.status == "flagged"
        assert report.reason.endswith(told)
        assert len(rules.rules) == 1


@pytest.mark.parametrize(
    ("sources", "flagged"),
    [
        ("", False),
        ('"*" = "cloudtrail"', True),
        ('"old.*" = "none"\n"*" = "cloudtrail"', True),
        ('"aws.*" = "cloudtrail"', False),
        ('"aws.*" = "cloudtrail"\n"*" = "ecs"', False),
        ('"*" = "ecs"', False),
    ],
)
def test_a_field_of_other_sources_is_a_slip_only_where_all_is_cloudtrails(
    folder: Path, sources: str, flagged: bool
) -> None:
    write(folder, rule_text("event.action: Look and okta.actor.id: ada", ["user.name"]))
    rules = loaded(settings(folder, f"[sources]\n{sources}\n"))

    assert [report.status for report in rules.reports] == ["flagged" if flagged else "loaded"]
    assert len(rules.rules) == 1


@pytest.mark.parametrize(
    ("exception", "told"),
    [
        ('query = "*"', "it excepts every event of 2 rules: they alert on nothing"),
        ('query = ""', "it excepts every event of 2 rules: they alert on nothing"),
        ('query = "a: b or not (not *)"\nrules = ["*1"]', "it excepts every event of 1 rule: they alert on nothing"),
        ('query = "usr.nme: x"', "usr.nme is not a field of ECS or CloudTrail: did you mean user.name?"),
        (
            'entries = [{field = "event.actoin", type = "exists"}]',
            "event.actoin is not a field of ECS or CloudTrail: did you mean event.action?",
        ),
    ],
)
def test_an_exception_of_everything_or_by_a_field_that_nothing_has_says_so(
    folder: Path, exception: str, told: str
) -> None:
    write(folder, rule_text(rule_id=rule_id(2)), "b")
    file = folder / "exceptions.toml"
    file.write_text(f'[[exception]]\nname = "x"\n{exception}\n')
    given = settings(folder, 'exceptions = ["exceptions.toml"]\n')

    rules = loaded(given)

    assert list(map(str, notices(rules, given))) == [f"{file}:1: exception flagged: x: {told}"]


@pytest.mark.parametrize(
    "query", ["a: b", "a: *", "not *", "a: b and *", "not (a: b or *)", "not a: b", "a: b or c: d"]
)
def test_an_exception_of_some_events_is_nothing_to_be_told_of(folder: Path, query: str) -> None:
    file = folder / "exceptions.toml"
    file.write_text(f"[[exception]]\nname = 'x'\nquery = '{query}'\n")

    assert not list(notices(loaded(settings(folder, 'exceptions = ["exceptions.toml"]\n'))))


def test_settings_of_rules_that_are_not_there_are_told_of(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    given = settings(folder, 'learning = {"A rule*" = "1d", gone = "2d"}\nshadow = {lost = true}\n')
    rules = loaded(given)

    assert list(map(str, notices(rules, given))) == [
        f"{given.path}:3: rules.learning: there is no rule gone",
        f"{given.path}:4: rules.shadow: there is no rule lost",
    ]
    assert list(notices(rules)) == [], "of no configuration nothing is said"
    tell_of(notices(rules, given))
    assert [record.getMessage() for record in caplog.records] == ["setting_unused"] * 2


def test_a_shadow_that_is_over_is_told_of(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    shadow = '[rules.shadow]\n"A rule for *" = 2026-01-31\nb = true\n"A rule*" = 2026-02-01\n'
    given = settings(folder, shadow)
    rules, end_ms = loaded(given), 1_769_904_000_000  # the end of January

    def over(now_ms: int) -> list[str]:
        return [str(each) for each in notices(rules, given, now_ms) if each.event == "setting_expired"]

    assert over(end_ms - 1) == []
    assert over(end_ms) == [
        f"{given.path}:4: rules.shadow: A rule for * is in shadow no more: that was until 2026-02-01T00:00:00.000Z"
    ]
    tell_of(notices(rules, given, end_ms))
    assert [record.getMessage() for record in caplog.records] == ["setting_unused", "setting_expired"]


def test_what_does_not_run_is_told_of(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    eql = write(folder, rule_text(rule_id=rule_id(2)).replace('"new_terms"', '"eql"'), "b")
    off = write(folder, rule_text(rule_id=rule_id(3)) + "enabled = false\n", "c")
    given = settings(folder)
    rules = loaded(given)

    tell_of(notices(rules, given))

    assert [record.getMessage() for record in caplog.records] == ["rule_not_runnable", "rule_skipped"]
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert list(map(str, notices(rules))) == [
        f"{eql}: not runnable: rule type eql is not supported by this version",
        f"{off}: skipped: turned off (rule.enabled)",
    ]


def test_exceptions_without_effect_are_told_of(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = folder / "exceptions.toml"
    file.write_text(f'[[exception]]\nname = "x"\nrules = {json.dumps(["gone"])}\nquery = "a: 1"\n')
    given = settings(folder, 'exceptions = ["exceptions.toml"]\n')
    rules = loaded(given)

    tell_of(notices(rules, given))

    (notice,) = notices_beside(rules, given)
    assert str(notice) == f"{file}:1: exception unused: x: there is no rule gone"
    (record,) = caplog.records
    assert (record.levelname, record.getMessage()) == ("WARNING", "exception_unused")


def test_how_alerts_are_meant_is_a_matter_of_the_configuration(folder: Path) -> None:
    given = settings(folder, 'learning = {"A rule*" = "1d"}\n[state]\nlearning_period = "2d"\n')

    assert configured_policy(None) == NO_POLICY
    assert configured_policy(given).learning_ms == 2 * 86_400_000
    assert list(configured_policy(given).learning) == [("A rule*", 86_400_000)]
