import pytest

from firstseen.errors import ConfigError, KqlError, Problem, ProtocolError


def test_a_problem_is_a_line() -> None:
    assert str(Problem("a.toml", 3, "wrong")) == "a.toml:3: wrong"
    assert str(Problem("a.toml", None, "wrong")) == "a.toml: wrong"


def test_problems_are_told_one_a_line() -> None:
    error = ConfigError([Problem("a", 1, "x"), Problem("a", 2, "y")])

    assert str(error) == "a:1: x\na:2: y"
    assert len(error.problems) == 2


def test_a_protocol_error_names_the_tag_where_it_is_known() -> None:
    assert str(ProtocolError("odd")) == "odd"
    assert str(ProtocolError("odd", tag="a\nb")) == "odd (tag 'a\\nb')"


@pytest.mark.parametrize(
    ("query", "offset", "place"),
    [("a:", 2, (1, 3)), ("\n a: b c:d", 7, (2, 7)), ("x\ny\n", 4, (3, 1)), ("", 0, (1, 1))],
)
def test_a_kql_error_knows_its_place(query: str, offset: int, place: tuple[int, int]) -> None:
    error = KqlError("odd", query, offset)

    assert (error.line, error.column) == place
    line, caret = str(error).split("\n")[1:]
    assert line == "  " + query.split("\n")[place[0] - 1]
    assert caret.index("^") == place[1] + 1
