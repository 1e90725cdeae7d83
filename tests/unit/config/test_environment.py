import pytest

from firstseen.config.environment import UnsetError, expanded

ENVIRON = {"HOST": "192.0.2.7", "EMPTY": "", "OUTER": "${HOST}", "_2": "two"}


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("${HOST}:1", "192.0.2.7:1"),
        ("${EMPTY}", ""),
        ("${EMPTY:-else}", "else"),
        ("${UNSET:-}", ""),
        ("${HOST:-else}", "192.0.2.7"),
        ("${OUTER}", "${HOST}"),
        ("$HOST $$ $${HOST}", "$HOST $ ${HOST}"),
        ("${_2}", "two"),
    ],
)
def test_strings(text, result):
    assert expanded(text, ENVIRON) == result


def test_lists_and_what_is_no_text():
    assert expanded(["${HOST}", 1, ["${_2}"]], ENVIRON) == ["192.0.2.7", 1, ["two"]]
    assert expanded(True, ENVIRON) is True


@pytest.mark.parametrize("text", ["${", "${2}", "${A B}", "${A:-${B}}"])
def test_references_that_are_none(text):
    with pytest.raises(ValueError, match=r"expected \$\{NAME\} or"):
        expanded(text, ENVIRON)


def test_variables_that_are_not_set():
    with pytest.raises(UnsetError, match="the environment variable UNSET is not set"):
        expanded("${UNSET}", ENVIRON)
