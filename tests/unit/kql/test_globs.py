from __future__ import annotations

import pytest

from firstseen.kql.globs import glob_expression, pieces_of


@pytest.mark.parametrize(
    ("glob", "fits", "differs"),
    [
        ("", [""], ["a"]),
        ("a*c", ["ac", "abc", "a\nc"], ["abcd", "AC", "xac"]),
        ("a?c", ["abc", "a😀c"], ["ac", "abbc"]),
        (r"a\*c", ["a*c"], ["abc", r"a\*c"]),
        (r"a\?\\", ["a?\\"], ["ab\\"]),
        (r"C:\dir", ["C:dir"], [r"C:\dir"]),
        ("a\\", ["a\\"], ["a"]),
        ("a.c[x]", ["a.c[x]"], ["abcx"]),
    ],
)
def test_the_whole_value_fits(glob, fits, differs):
    expression = glob_expression(glob, False)
    assert [text for text in fits + differs if expression.fullmatch(text)] == fits


def test_case_can_be_left_out_of_account():
    assert glob_expression("*.EXE", True).fullmatch("Cmd.exe")


@pytest.mark.parametrize(
    ("glob", "pieces"), [("a*b?c", ("a", "b", "c")), (r"\**", ("*", "")), ("", ("",)), ("a\\", ("a\\",))]
)
def test_pieces_are_what_stands_for_itself(glob, pieces):
    assert pieces_of(glob) == pieces
