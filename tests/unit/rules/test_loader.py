import json
from pathlib import Path

import pytest
from msgspec.structs import asdict

from firstseen import plainfile
from firstseen.errors import RuleError
from firstseen.rules.loader import Known, load_rules
from firstseen.toml import parse
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
    monkeypatch.setattr(plainfile, "read", closed)
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


def same(one, other):
    """What two rule sets say, but for what is compiled."""
    plain = [[{**asdict(rule), "node": rule.node} for rule in rules.rules] for rules in (one, other)]
    return plain[0] == plain[1] and one.reports == other.reports and one.exceptions == other.exceptions


def test_what_is_known_is_not_compiled_again(tmp_path, monkeypatch):
    for number in (1, 2, 3):
        write(tmp_path / f"{number}.toml", number)
    known = Known()
    first = load_rules([tmp_path], known=known)
    assert known.rules is first
    compiled = []
    monkeypatch.setattr(
        "firstseen.rules.loader.toml.parse", lambda raw, file: compiled.append(file) or parse(raw, file)
    )
    write(tmp_path / "2.toml", 2, ("CreateUser", "DeleteUser"))
    second = load_rules([tmp_path], known=known)
    assert compiled == [str(tmp_path / "2.toml")]
    assert [one is other for one, other in zip(first.rules, second.rules, strict=True)] == [True, False, True]
    assert same(second, load_rules([tmp_path]))
    (tmp_path / "1.toml").unlink()
    assert [rule.file for rule in load_rules([tmp_path], known=known).rules] == [
        str(tmp_path / f"{n}.toml") for n in "23"
    ]


@pytest.mark.parametrize("what", ["added", "changed", "expired", "list"])
def test_a_known_rule_meets_other_exceptions(tmp_path, what):
    rules, exceptions = tmp_path / "rules", tmp_path / "exceptions.toml"
    write(rules / "1.toml", 1, ("query = ", 'exceptions_list = [{list_id = "jobs"}]\nquery = '))
    text = '[[exception]]\nname = "x"\nquery = "user.name: ada"\nexpires = 1970-01-02T00:00:00Z\n'
    exceptions.write_text("" if what == "added" else text)
    known = Known()
    first = load_rules([rules], [exceptions], known=known)
    if what == "added":
        exceptions.write_text(text)
    elif what == "changed":
        exceptions.write_text(text.replace("ada", "bob"))
    elif what == "list":
        exceptions.write_text(
            "[[exceptions]]\ncontainer = {list_id = 'jobs'}\n[[exceptions.items]]\nname = 'x'\n"
            "entries = [{field = 'user.name', operator = 'included', type = 'match', value = 'a'}]\n"
        )
    now_ms = 2 * 86_400_000 if what == "expired" else 0
    second = load_rules([rules], [exceptions], now_ms=now_ms, known=known)
    assert same(second, load_rules([rules], [exceptions], now_ms=now_ms))
    assert not same(first, second)


def test_a_known_rule_is_judged_by_what_there_is_now(tmp_path):
    write(tmp_path / "1.toml", 1, ('event.action: "CreateUser"', "source.as.number: 64496"))
    known = Known()
    assert load_rules([tmp_path], known=known).rules
    lacks = load_rules(
        [tmp_path], known=known, unavailable=lambda field: "a database" if "source.as" in field else None
    )
    assert not lacks.rules
    assert load_rules([tmp_path], known=known).rules


def test_nothing_is_kept_of_a_set_with_a_problem(tmp_path):
    write(tmp_path / "1.toml", 1)
    known = Known()
    first = load_rules([tmp_path], known=known)
    (tmp_path / "2.toml").write_text("[rule]\n")
    with pytest.raises(RuleError):
        load_rules([tmp_path], known=known)
    assert known.rules is first
    (tmp_path / "2.toml").unlink()
    assert load_rules([tmp_path], known=known).rules == first.rules
