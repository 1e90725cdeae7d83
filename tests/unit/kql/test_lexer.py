from __future__ import annotations

import pytest

from firstseen.errors import KqlError
from firstseen.kql.lexer import Lexer, Word


def at(text: str, position: int) -> Lexer:
    lexer = Lexer(text)
    lexer.position = position
    return lexer


@pytest.mark.parametrize(
    ("text", "position"),
    [("", 0), ("a", 0), (" \t\r\n\u00a0a", 5), ("\u2003a", 0), ("   ", 3)],
)
def test_blanks_are_skipped(text, position):
    lexer = Lexer(text)
    lexer.skip_blanks()
    assert lexer.position == position
    assert lexer.at_end() is (position == len(text))


def test_the_first_sign_that_fits_is_read_behind_blanks():
    lexer = Lexer(" \n<= 5")
    assert lexer.sign("<=", "<") == "<="
    assert lexer.position == 4


def test_blanks_before_a_sign_that_is_missing_stay():
    lexer = Lexer("  and")
    assert lexer.sign("(", ":") is None
    assert lexer.position == 0


@pytest.mark.parametrize("text", [" and x", "\n\tAND\u00a0 x", " And x"])
def test_a_chain_keyword_is_read_with_its_blanks(text):
    lexer = Lexer(text)
    assert not lexer.chain("or")
    assert lexer.chain("and")
    assert lexer.position == len(text) - 1


@pytest.mark.parametrize("text", ["and x", " andx", " and(x)", " and", " android x"])
def test_a_chain_keyword_needs_a_blank_on_both_sides(text):
    lexer = Lexer(text)
    assert not lexer.chain("and")
    assert lexer.position == 0


def test_negation_is_read_with_the_blanks_after_it():
    lexer = Lexer("NoT \n(x)")
    assert lexer.negation()
    assert lexer.position == 5


@pytest.mark.parametrize("text", ["not", "not(x)", " not x", "notes x", "not:x"])
def test_negation_needs_a_blank_after_it(text):
    assert not Lexer(text).negation()


@pytest.mark.parametrize(
    ("text", "pieces", "end"),
    [
        ("foo bar:baz", ("foo bar",), 7),
        ("foo  \t(", ("foo",), 3),
        ("foo or bar", ("foo",), 3),
        ("foo \n AND bar", ("foo",), 3),
        ("foo orbar", ("foo orbar",), 9),
        ("cannot be", ("can",), 3),
        ("cannot", ("cannot",), 6),
        ("a*b\\*c*", ("a", "b*c", ""), 7),
        ("\\u0041\\t\\x", None, 8),
        ("*", ("", ""), 1),
        ("* x ", ("", " x"), 3),
        ("\\t ", ("",), 2),
        ("a\\ud83d\\ude00", ("a\U0001f600",), 13),
        ("\\ud83d*\\ude00", ("\ud83d", "\ude00"), 13),
    ],
)
def test_unquoted_words(text, pieces, end):
    lexer = Lexer(text)
    if pieces is None:
        with pytest.raises(KqlError) as raised:
            lexer.word()
        assert raised.value.offset == end
    else:
        assert lexer.word() == Word(pieces, False, (0, end))
        assert lexer.position == end


@pytest.mark.parametrize("sign", "():<>{}")
def test_a_sign_ends_a_word_and_starts_none(sign):
    assert Lexer(sign).word() is None
    assert Lexer(f"a{sign}").word() == Word(("a",), False, (0, 1))


def test_there_is_no_word_at_the_end_or_at_a_keyword():
    assert Lexer("").word() is None
    assert Lexer("not x").word() is None


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ('""', ""),
        ('" a* "', " a* "),
        ('"\\"\\\\\\n\\q"', '"\\\n\\q'),
        ('"\\u00e9\\u00zz"', "é\\u00zz"),
        ('"not x"y', "not x"),
    ],
)
def test_quoted_words(text, content):
    assert at(f"a:{text}", 2).word() == Word((content,), True, (2, 2 + len(text.removesuffix("y"))))


@pytest.mark.parametrize("text", ['a:"', 'a:"b\\"', 'a:"b\\'])
def test_a_quote_that_is_not_closed_is_an_error_where_it_opens(text):
    with pytest.raises(KqlError, match="never closed") as raised:
        at(text, 2).word()
    assert raised.value.offset == 2


@pytest.mark.parametrize(
    "text",
    ["n" * 200_000, "a" + " " * 200_000 + "b", "\\:" * 100_000, "*" * 200_000, "a " * 100_000, "no" * 100_000],
    ids=["letters", "blanks", "escapes", "stars", "words", "almost keywords"],
)
def test_long_words_are_read_whole(text):
    lexer = Lexer(text)
    assert lexer.word() is not None
    assert lexer.position == len(text.rstrip())


@pytest.mark.parametrize("text", ['"' + "\\" * 200_001, '"' + 'ab\\"' * 50_000], ids=["backslashes", "quotes"])
def test_a_long_quote_that_is_not_closed_is_an_error(text):
    with pytest.raises(KqlError):
        Lexer(text).word()
