import pytest

from firstseen import toml
from firstseen.notation import Duration
from firstseen.rules.rulefile import RuleFile

TEXT = b"""
text = "x"
blank = " "
texts = ["a", "b"]
number = 3
tables = [{a = 1}, {a = 2}]
[table]
ago = "now-10d"
"""


@pytest.fixture
def file():
    return RuleFile(toml.parse(TEXT, "r.toml"))


def problems(file):
    return [str(problem) for problem in file.problems]


def test_values(file):
    assert file.value("text") == "x"
    assert file.value("tables", 1, "a") == 2
    assert file.value("table", "ago", "deeper") is None
    assert file.value("texts", "a") is None
    assert file.value("texts", 2) is None
    assert file.value("absent", "deeper") is None


def test_what_is_there_is_read(file):
    assert file.text("text") == "x"
    assert file.text("absent", default="d") == "d"
    assert file.text("blank", may_be_empty=True) == " "
    assert file.texts("texts") == ("a", "b")
    assert file.texts("absent") == ()
    assert file.number("number", most=3) == 3
    assert file.choice(("x", "y"), "text") == "x"
    assert file.tables("tables") == [("tables", 0), ("tables", 1)]
    assert file.tables("absent") == []
    assert file.ago("table", "ago") == Duration("10d")
    assert file.ago("absent", default="now-6m") == Duration("6m")
    assert problems(file) == []


def test_what_is_not_is_noted_and_reads_as_nothing(file):
    assert file.text("table", "absent") == ""
    assert file.text("blank") == " "
    assert file.text("number") == ""
    assert file.texts("text") == ()
    assert file.number("absent", most=3) == 0
    assert file.number("number", most=2) == 0
    assert file.choice(("y", "z"), "text") == "x"
    assert file.choice(("y", "z"), "number") == ""
    assert file.tables("number") == []
    assert file.tables("texts") == []
    assert file.ago("number") is None
    assert problems(file) == [
        "r.toml:7: table.absent: missing",
        "r.toml:3: blank: must not be empty",
        "r.toml:5: number: expected a string, got an integer",
        "r.toml:2: text: expected a list of strings, got a string",
        "r.toml: absent: missing",
        "r.toml:5: number: expected a whole number from 0 to 2, got 3",
        'r.toml:2: text: expected one of y, z, got "x"',
        "r.toml:5: number: expected a string, got an integer",
        "r.toml:5: number: expected a list of tables, got an integer",
        "r.toml:4: texts: expected a list of tables, got a list with a string in it",
        "r.toml:5: number: expected a string, got an integer",
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("now-1M", 'absent: months and years, as in "now-1M", are not supported by this version'),
        ("now-10d/d", 'absent: rounding, as in "now-10d/d", is not supported by this version'),
    ],
)
def test_date_math_that_is_right_and_not_understood_is_a_reason(file, text, reason):
    assert file.ago("absent", default=text) is None
    assert (problems(file), file.reasons) == ([], [reason])


def test_a_fault_may_have_a_line_of_its_own(file):
    file.fault_at(42, "odd")
    assert problems(file) == ["r.toml:42: odd"]
