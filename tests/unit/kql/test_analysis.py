from __future__ import annotations

import pytest

from firstseen.kql.analysis import holds_phrase, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("-BXor", ["bxor"]),
        ("System.IO.Compression", ["system.io.compression"]),
        ("$env:ComSpec[4", ["env:comspec", "4"]),
        ("it's 1,000.5; 2;3 a;b a,b", ["it's", "1,000.5", "2;3", "a", "b", "a", "b"]),
        ("a1.b 1.b a.1", ["a1", "b", "1", "b", "a", "1"]),
        ("snake_case _x a._b", ["snake_case", "_x", "a", "_b"]),
        ("end. 'quoted' a..b", ["end", "quoted", "a", "b"]),
        ("Ärger Ünïcode", ["ärger", "ünïcode"]),
        ("", []),
        ("-- !", []),
    ],
)
def test_words(text, words):
    assert list(words_of(text)) == words


def test_a_long_word_comes_in_pieces():
    assert [len(word) for word in words_of("x" * 600)] == [255, 255, 90]


def test_a_text_too_long_to_keep_has_the_same_words():
    assert words_of("ab " * 30_000) == ("ab",) * 30_000


@pytest.mark.parametrize(
    ("phrase", "holds"),
    [(("b", "c"), True), (("c", "b"), False), (("a", "c"), False), (("d",), True), (("d", "e"), False), ((), False)],
)
def test_phrases(phrase, holds):
    assert holds_phrase(("a", "b", "c", "d"), phrase) is holds
