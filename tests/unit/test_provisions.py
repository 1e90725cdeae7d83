from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import pytest

from firstseen import config
from firstseen.errors import ConfigError, FirstseenError
from firstseen.provisions import ProvisionsError, configuration, opened_quarantine, provide
from firstseen.rules.loader import Known
from support.rulebook import rule_text


def configured(folder: Path, more: str = "") -> config.Config:
    file = folder / "firstseen.toml"
    file.write_text(f'[rules]\npaths = ["rule.toml"]\n{more}')
    return config.load(file)


def test_all_that_is_named_is_there(tmp_path: Path) -> None:
    (tmp_path / "rule.toml").write_text(rule_text())
    known = Known()
    between: list[None] = []
    settings = configured(tmp_path, 'learning = {"*" = "1d"}\n')
    found = provide(settings, 7, known, lambda: between.append(None))
    assert (found.config, found.now_ms, len(found.rules.rules), len(between)) == (settings, 7, 1, 1)
    assert found.tls == (None, None, None)
    assert found.policy.learning == [("*", 86_400_000)]
    assert provide(settings, 7, known).rules.rules == found.rules.rules


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_redis(name: str, *more: Any) -> Any:
        if name == "firstseen.store.redis.link":
            raise ImportError(name)
        return real(name, *more)

    (tmp_path / "rule.toml").write_text("[rule]\n")
    settings = configured(
        tmp_path,
        '[input]\nlisten = ["tls://127.0.0.1:0"]\ntls = {cert = "gone", key = "gone"}\n'
        '[geoip]\nasn = "gone"\n[state]\nurl = "redis://127.0.0.1"\n',
    )
    with monkeypatch.context() as patched:
        patched.setattr(builtins, "__import__", without_redis)
        with pytest.raises(ProvisionsError) as caught:
            provide(settings, 0)
    told = [problem.what.partition(":")[0] for problem in caught.value.problems]
    assert told[:3] == ["input.tls.cert", "geoip.asn", "state.url"]
    assert {Path(problem.file).name for problem in caught.value.problems[3:]} == {"rule.toml"}
    assert caught.value.found.rules.rules == ()
    assert str(caught.value).count("\n") == len(caught.value.problems) - 1


def test_what_can_be_used_is_there_beside_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "rule.toml").write_text(rule_text())
    with pytest.raises(ProvisionsError) as caught:
        provide(configured(tmp_path, '[geoip]\nasn = "gone"\n'), 0)
    assert len(caught.value.found.rules.rules) == 1


def refused(folder: Path, text: str) -> list[str]:
    """Where the problems of this configuration are."""
    file = folder / "firstseen.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        configuration(file, 0)
    return [f"{Path(each.file).name}:{each.line}: {each.what.partition(': ')[0]}" for each in caught.value.problems]


def test_what_settings_name_is_told_of_beside_settings_that_are_wrong(tmp_path: Path) -> None:
    (tmp_path / "rule.toml").write_text("?")
    settings = '[rules]\npaths = ["rule.toml", "gone"]\n[input]\nmax_frames = 1\n[geoip]\nasn = "gone"\n'
    assert refused(tmp_path, settings) == [
        "firstseen.toml:2: rules.paths",
        "firstseen.toml:4: input.max_frames",
        "firstseen.toml:6: geoip.asn",
        "rule.toml:1: invalid statement (column 1)",
    ]


def test_who_asks_meanwhile_is_served_beside_settings_that_are_wrong(tmp_path: Path) -> None:
    (tmp_path / "rule.toml").write_text(rule_text())
    file = tmp_path / "firstseen.toml"
    file.write_text('[rules]\npaths = ["rule.toml"]\n[input]\nmax_frames = 1\n')
    between: list[None] = []
    with pytest.raises(ConfigError):
        configuration(file, 0, lambda: between.append(None))
    assert len(between) == 1


def test_a_setting_that_is_wrong_hides_none_of_its_table(tmp_path: Path) -> None:
    (tmp_path / "rule.toml").write_text(rule_text())
    settings = '[rules]\npaths = ["rule.toml"]\n[output]\nservers = ["tls://127.0.0.1:1"]\n[output.tls]\ncaa = "x"\n'
    assert refused(tmp_path, f'{settings}cert = "gone"\nkey = "gone"\n') == [
        "firstseen.toml:6: output.tls.caa",
        "firstseen.toml:7: output.tls.cert",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("rules = 3\n", ["1: rules"]),
        ("[rules]\npaths = 3\n", ["2: rules.paths"]),
        ('[rules]\npath = ["rule.toml"]\n', ["2: rules.path"]),
        ("[inputs]\n", ["1: inputs"]),
        ('[rules]\npaths = ["gone"]\n[inputs]\n', ["2: rules.paths", "3: inputs"]),
    ],
)
def test_rules_that_nobody_named_are_not_looked_for(tmp_path: Path, text: str, told: list[str]) -> None:
    assert refused(tmp_path, text) == [f"firstseen.toml:{each}" for each in told]


def test_a_quarantine_that_cannot_be_used_is_told_of_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "firstseen.toml"
    file.write_text('[input]\n\nquarantine = "firstseen.toml"\n')

    with pytest.raises(FirstseenError) as caught:
        opened_quarantine(config.load(file))

    assert str(caught.value) == f"{file}:3: input.quarantine: the quarantine {file} cannot be used: File exists"


def test_without_a_quarantine_none_is_opened(tmp_path: Path) -> None:
    file = tmp_path / "firstseen.toml"
    file.write_text("")

    assert opened_quarantine(config.load(file)) is None
