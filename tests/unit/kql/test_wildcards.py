from __future__ import annotations

import pytest

from firstseen.kql.wildcards import parted, wildcard


@pytest.mark.parametrize(
    ("pieces", "text", "fits"),
    [
        (("", ""), "", True),
        (("ab", "bc"), "abc", False),
        (("a", "b", "c"), "axbyc", True),
        (("a", "bb", "b"), "abb", False),
        (("", "\n", ""), "a\nb", True),
        (("A", ""), "ab", False),
    ],
)
def test_pieces_fit_in_order(pieces, text, fits):
    assert wildcard(pieces)(text) is fits


@pytest.mark.parametrize(
    ("pieces", "words"),
    [
        (("", "S3 Browser", ""), [("", "S3"), ("Browser", "")]),
        (("a", "b"), [("a", "b")]),
        (("a b", ""), [("a",), ("b", "")]),
        (("", " ", ""), [("", ""), ("", "")]),
        (("a\u00a0b", "\u3000\tc"), [("a\u00a0b", ""), ("c",)]),
    ],
)
def test_a_blank_parts_words(pieces, words):
    assert parted(pieces) == words
