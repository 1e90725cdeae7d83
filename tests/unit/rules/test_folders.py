"""The walk itself is told in test_loader; here is what differs between those who walk."""

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
