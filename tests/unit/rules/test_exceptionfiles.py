"""The forms are cases in tests/spec/exceptions; here is what they cannot say."""

from firstseen.rules.exceptionfiles import read_exceptions


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_files_are_read_in_order_and_each_once(tmp_path):
    for name in ("b", "a", "deep/c"):
        write(tmp_path / f"{name}.toml", f'[[exception]]\nname = "{name}"\nquery = "a: *"\n')
    problems = []
    found = read_exceptions([tmp_path, tmp_path / "a.toml"], problems)
    assert [each.item.name for each in found] == ["a", "b", "deep/c"]
    assert problems == []


def test_a_file_with_a_fault_does_not_hide_the_others(tmp_path):
    write(tmp_path / "a.toml", "?")
    write(tmp_path / "b.toml", '[[exception]]\nquery = "a: ("\n[[exception]]\nquery = "a: *"\n')
    problems = []
    found = read_exceptions([tmp_path, tmp_path / "absent.toml"], problems)
    assert len(found) == 1
    assert [str(problem).replace(f"{tmp_path}/", "") for problem in problems] == [
        "a.toml:1: invalid statement (column 1)",
        "b.toml:2: exception[0].query: expected a field or a value, found the end of the query (column 14)",
        "absent.toml: no such file",
    ]


def test_a_file_may_be_empty(tmp_path):
    problems = []
    assert read_exceptions([write(tmp_path / "a.toml", "# none at present\n")], problems) == []
    assert problems == []


def test_lists_stand_beside_the_file_that_names_them(tmp_path):
    text = '[[exception]]\nentries = [{field = "a", type = "list", list = {id = "l", type = "keyword"}}]\n'
    for folder, value in (("one", "x"), ("two", "y")):
        write(tmp_path / folder / "e.toml", text)
        write(tmp_path / folder / "l.txt", value)
    found = read_exceptions([tmp_path], [])
    assert [each.item.node.value.texts for each in found] == [{"x"}, {"y"}]
