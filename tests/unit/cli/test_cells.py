import pytest

from firstseen.cli.cells import Span, cut, fill, flush_right, rendered, width


@pytest.mark.parametrize(("text", "cells"), [("abc", 3), ("", 0), ("ä", 1), ("a\u0301", 1), ("漢字", 4), ("–…", 2)])
def test_width(text: str, cells: int) -> None:
    assert width(text) == cells


@pytest.mark.parametrize(
    ("text", "cells", "shown"),
    [
        ("abcdef", 6, "abcdef"),
        ("abcdef", 5, "abcd…"),
        ("abcdef", 1, "…"),
        ("abcdef", 0, ""),
        ("abcdef", -3, ""),
        ("漢字漢字", 5, "漢字…"),
        ("漢字漢字", 4, "漢…"),
    ],
)
def test_cut(text: str, cells: int, shown: str) -> None:
    assert cut(text, cells) == shown
    assert width(shown) <= max(cells, 0)


@pytest.mark.parametrize("text", ["\x1b[2J", "a\nb", "\x9b2J", "\u202eevil", "\ud800", "\u200b", "\x07"])
def test_what_cannot_be_seen_is_spelt(text: str) -> None:
    for shown in (cut(text, 40), fill(text, 40), flush_right(text, 40), rendered([Span(text)], 40, colour=False)):
        assert shown.isprintable()
        assert shown.isascii()


def test_filled_up() -> None:
    assert fill("ab", 4) == "ab  "
    assert fill("漢字漢", 4) == "漢… "
    assert flush_right("ab", 4) == "  ab"
    assert fill("ab", 0) == ""


def test_a_line_is_cut_across_its_pieces_and_coloured_on_demand() -> None:
    line = [Span("abc", "red bold"), Span("def"), Span("   ")]
    assert rendered(line, 10, colour=False) == "abcdef"
    assert rendered(line, 5, colour=False) == "abcd…"[:3] + "d…"
    assert rendered(line, 10, colour=True) == "\x1b[31m\x1b[1mabc\x1b[0mdef   "
    assert rendered([Span("abc", "dim")], 10, colour=True) == "\x1b[2mabc\x1b[0m"
