import json
from pathlib import Path

import pytest
from msgspec.structs import asdict

from firstseen.errors import RuleError
from firstseen.rules.loader import load_rules
from support.rulefiles import BASE, BASES, changed

ROOT = Path(__file__).parents[3]


def write(path, number=1, *changes):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(changed([("000000000001", f"{number:012}"), *changes]), "utf-8")
    return path


def problems(*paths):
    with pytest.raises(RuleError) as caught:
        load_rules(paths)
    return [str(problem) for problem in caught.value.problems]


def test_directories_are_walked_in_order(tmp_path):
    for number, name in enumerate(["b.toml", "a/z.toml", "a/b/c.toml"], start=1):
        write(tmp_path / name, number)
    (tmp_path / "README.md").write_text("no rule")
    loaded = load_rules([tmp_path])
    assert [rule.file for rule in loaded.rules] == [
        str(tmp_path / name) for name in ("a/b/c.toml", "a/z.toml", "b.toml")
    ]


def test_paths_keep_their_order(tmp_path):
    first, second = write(tmp_path / "z.toml", 1), write(tmp_path / "a.toml", 2)
    assert [rule.file for rule in load_rules([first, second]).rules] == [str(first), str(second)]


def test_hidden_names_are_passed_over(tmp_path):
    """Kubernetes mounts a ConfigMap as links to a hidden directory."""
    write(tmp_path / "..2026_05_24/rule.toml")
    (tmp_path / "..data").symlink_to("..2026_05_24")
    (tmp_path / "rule.toml").symlink_to("..data/rule.toml")
    (tmp_path / ".draft.toml").write_text("no TOML")
    assert [rule.file for rule in load_rules([tmp_path]).rules] == [str(tmp_path / "rule.toml")]


def test_links_to_directories_are_followed_once(tmp_path):
    rules = tmp_path / "rules"
    write(rules / "own.toml", 1)
    write(tmp_path / "elsewhere/other.toml", 2)
    (rules / "linked").symlink_to(tmp_path / "elsewhere")
    (rules / "linked-again").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/up").symlink_to(rules)
    files = [rule.file for rule in load_rules([rules]).rules]
    assert len(files) == 2
    assert files[1] == str(rules / "own.toml")


def test_a_path_that_cannot_be_looked_at(tmp_path, monkeypatch):
    path = write(tmp_path / "closed/rule.toml")

    def closed(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "is_dir", closed)
    monkeypatch.setattr(Path, "read_bytes", closed)
    assert problems(path) == [f"{path}: cannot be read: Permission denied"]


def test_a_file_that_several_paths_lead_to_is_loaded_once(tmp_path):
    path = write(tmp_path / "a/rule.toml")
    assert len(load_rules([tmp_path, path.parent, path]).rules) == 1


def test_any_name_will_do_for_a_file_that_is_named(tmp_path):
    assert len(load_rules([write(tmp_path / "rule.txt")]).rules) == 1


def test_paths_that_lead_nowhere(tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    assert problems(tmp_path / "absent", empty) == [
        f"{tmp_path}/absent: no such file",
        f"{empty}: no rule in this directory: no *.toml at any depth",
    ]


def test_a_directory_that_cannot_be_read_is_a_problem(tmp_path, monkeypatch):
    write(tmp_path / "a.toml")

    def walk(top, onerror, followlinks):
        onerror(PermissionError(13, "Permission denied", str(top / "locked")))
        yield str(top), ["locked"], ["a.toml"]

    monkeypatch.setattr("os.walk", walk)
    assert problems(tmp_path) == [f"{tmp_path}/locked: cannot be read: Permission denied"]


def test_all_problems_of_all_files(tmp_path):
    write(tmp_path / "a.toml", 1, ('severity = "low"', ""))
    write(tmp_path / "b.toml", 2)
    (tmp_path / "c.toml").write_text("?")
    write(tmp_path / "d.toml", 3, ("risk_score = 21", "risk_score = -1"), ('name = "First', 'name = ""#'))
    assert problems(tmp_path) == [
        f"{tmp_path}/a.toml:4: rule.severity: missing",
        f"{tmp_path}/c.toml:1: invalid statement (column 1)",
        f"{tmp_path}/d.toml:6: rule.name: must not be empty",
        f"{tmp_path}/d.toml:10: rule.risk_score: expected a whole number from 0 to 100, got -1",
    ]


def test_two_rules_with_one_id(tmp_path):
    first, second = write(tmp_path / "a.toml"), write(tmp_path / "b.toml", 1, ('type = "new_terms"', 'type = "eql"'))
    assert problems(tmp_path) == [
        f"{second}:5: rule.rule_id: 5f0c4a0e-0000-4000-8000-000000000001 is the id of the rule at {first}:5 too"
    ]


def test_a_rule_that_is_turned_off_may_share_its_id(tmp_path):
    write(tmp_path / "a.toml", 1, ('severity = "low"', "enabled = false"))
    write(tmp_path / "b.toml")
    assert [report.status for report in load_rules([tmp_path]).reports] == ["skipped", "loaded"]


def test_a_report_is_plain_json(tmp_path):
    (report,) = load_rules([write(tmp_path / "a.toml")]).reports
    assert json.loads(json.dumps(asdict(report))) == {
        "id": "5f0c4a0e-0000-4000-8000-000000000001",
        "name": "First call of an API by a user",
        "type": "new_terms",
        "file": str(tmp_path / "a.toml"),
        "status": "loaded",
        "reason": "",
        "needles": ["CreateUser"],
    }


def test_the_hash_is_of_the_file_s_bytes(tmp_path):
    path = tmp_path / "a.toml"
    path.write_bytes(b"")
    path.write_text(BASE)
    hashes = {load_rules([path]).rules[0].hash}
    path.write_bytes(BASE.replace("\n", "\r\n").encode())
    hashes.add(load_rules([path]).rules[0].hash)
    assert len(hashes) == 2
    assert all(len(each) == 64 for each in hashes)


def test_the_shipped_rules_run():
    loaded = load_rules([ROOT / "rules"])
    assert [(report.status, report.reason) for report in loaded.reports] == [("loaded", "")] * len(loaded.reports)
    assert {rule.license for rule in loaded.rules} == {"Apache-2.0"}
    assert all(rule.threat and rule.references and rule.tags for rule in loaded.rules)


@pytest.mark.parametrize(
    ("query", "terms", "status", "reason"),
    [
        ("a: x and geo.city: *", "user.name", "not_runnable", "no event can match: geo.city (no database)"),
        ("a: x", "geo.city", "not_runnable", "no event can match: geo.city (no database)"),
        ("event.action: CreateUser and not geo.city: y", "user.name", "flagged", "runs without geo.city (no database)"),
        ("event.action: CreateUser", "user.name", "loaded", ""),
    ],
)
def test_fields_that_no_event_can_have(tmp_path, query, terms, status, reason):
    path = tmp_path / "rule.toml"
    path.write_text(changed([('event.action: "CreateUser"', query), ("user.name", terms)]))
    loaded = load_rules([path], unavailable={"geo.city": "no database"}.get)
    (report,) = loaded.reports
    assert (report.status, report.reason) == (status, reason)
    assert len(loaded.rules) == (status != "not_runnable")


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("azure.name: x and geo.city: *", "loaded"),
        ("azure.name: x and not geo.city: *", "loaded"),
        ("not azure.name: x and geo.city: *", "not_runnable"),
        ("(azure.name: x or a: y) and geo.city: *", "not_runnable"),
    ],
)
def test_what_one_source_lacks_does_not_hinder_a_rule_about_another(tmp_path, query, status):
    path = tmp_path / "rule.toml"
    path.write_text(changed([('event.action: "CreateUser"', f"event.action: CreateUser and {query}")]))
    unavailable, elsewhere = {"geo.city": "no database"}.get, {"azure.name": "not of this source"}.get
    (report,) = load_rules([path], unavailable=unavailable, elsewhere=elsewhere).reports
    assert report.status == status


def test_a_threshold_needs_the_field_whose_values_it_counts(tmp_path):
    path = tmp_path / "rule.toml"
    path.write_text(BASES["threshold"] + 'cardinality = [{field = "geo.city", value = 2}]\n')
    (report,) = load_rules([path], unavailable={"geo.city": "no database"}.get).reports
    assert report.status == "not_runnable"


def test_a_rule_that_is_loaded_again_means_the_same(tmp_path):
    path = write(tmp_path / "a.toml")
    first, second = (load_rules([path]).rules[0] for _ in range(2))
    assert first is not second
    assert (first.node, first.meaning, first.needles) == (second.node, second.meaning, second.needles)
