"""The walk itself is told in test_loader; here is what differs between those who walk."""

import pytest

from firstseen.rules.folders import toml_files


def test_an_empty_directory_says_what_is_not_in_it(tmp_path):
    problems = []
    assert list(toml_files([tmp_path], problems, "rule")) == []
    assert [str(problem) for problem in problems] == [f"{tmp_path}: no rule in this directory: no *.toml at any depth"]


def test_an_empty_directory_is_fine_where_nothing_has_to_be_in_it(tmp_path):
    problems = []
    assert list(toml_files([tmp_path], problems)) == []
    assert problems == []


def test_files_that_are_named_come_first_where_they_are_named_first(tmp_path):
    for name in ("a.toml", "b.toml"):
        (tmp_path / name).write_text("")
    problems = []
    assert list(toml_files([tmp_path / "b.toml", tmp_path], problems, "rule")) == [
        tmp_path / "b.toml",
        tmp_path / "a.toml",
    ]
    assert not problems


def test_a_directory_in_the_place_of_a_file_is_told_of_wherever_it_is(tmp_path):
    named, below = tmp_path / "named.toml", tmp_path / "rules" / "sub" / "below.toml"
    linked = tmp_path / "rules" / "linked.toml"
    for place in (named, below):
        place.mkdir(parents=True)
        (place / "rule.toml").write_text("")
    linked.symlink_to(named)
    sound = tmp_path / "rules" / "sound.toml"
    sound.write_text("")
    problems = []
    assert list(toml_files([named, tmp_path / "rules"], problems)) == [sound]
    assert [str(problem) for problem in problems] == [
        f"{place}: cannot be read: it is a directory with the name of a file: put a file in its place, or rename it"
        for place in (named, linked, below)
    ]


def test_a_hidden_directory_is_passed_over_whatever_it_is_called(tmp_path):
    (tmp_path / ".old.toml").mkdir()
    (tmp_path / ".old.toml" / "rule.toml").write_text("")
    problems = []
    assert list(toml_files([tmp_path], problems)) == []
    assert not problems


@pytest.mark.parametrize("name", ["gone.toml", "team-a"])
@pytest.mark.parametrize("target", ["nowhere", "sound.toml/below", "link"])
def test_a_link_that_leads_nowhere_is_told_of(tmp_path, name, target):
    (tmp_path / "sound.toml").write_text("")
    (tmp_path / "link").symlink_to("link")
    link = tmp_path / "sub" / name
    link.parent.mkdir()
    link.symlink_to(tmp_path / target)
    problems = []
    assert list(toml_files([tmp_path / "sub", tmp_path / "sound.toml"], problems)) == [tmp_path / "sound.toml"]
    assert [str(problem) for problem in problems] == [f"{link}: a link that leads nowhere: mend or remove it"]


def test_a_link_to_what_is_closed_to_us_is_told_of(tmp_path):
    link = tmp_path / "team-a"
    link.symlink_to("x" * 300)  # one that is too long fails for root as well
    problems = []
    assert list(toml_files([tmp_path], problems)) == []
    assert [str(problem) for problem in problems] == [f"{link}: cannot be read: File name too long"]


@pytest.mark.parametrize("name", [".#rule.toml", ".#rule", "rule.test.toml"])
def test_a_link_that_leads_nowhere_is_harmless_where_nothing_would_be_read(tmp_path, name):
    (tmp_path / "rule.toml").write_text("")
    (tmp_path / name).symlink_to("root@host.4711:1790000000")
    problems = []
    assert list(toml_files([tmp_path], problems)) == [tmp_path / "rule.toml"]
    assert not problems
