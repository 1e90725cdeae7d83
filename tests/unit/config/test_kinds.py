from pathlib import Path
from typing import Annotated, Literal

import pytest
from msgspec import Meta

from firstseen.config import ClientTls, Server, User
from firstseen.config.kinds import as_toml, bare, by_pattern, in_words, is_optional, item_of, meta, mismatch, table_of
from firstseen.notation import Duration, Endpoint, Mode, Size, Until

BY_NAME = tuple[tuple[str, Duration], ...]
MAYBE = Annotated[Path | None, Meta(description="A path.")]


def test_taking_types_apart():
    assert (bare(MAYBE), is_optional(MAYBE), meta(MAYBE).description) == (Path, True, "A path.")
    assert (bare(Path), is_optional(Path), meta(Path).description) == (Path, False, None)
    assert (item_of(Annotated[tuple[User, ...], Meta(min_length=1)]), item_of(Path)) == (User, None)
    assert (by_pattern(BY_NAME), by_pattern(tuple[User, ...]), by_pattern(Path)) == (Duration, None, None)
    assert (table_of(User), table_of(Path), table_of(tuple[User, ...])) == (User, None, None)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (MAYBE, 'a path or ""'),
        (tuple[Path, ...], "a list of paths"),
        (Literal["a", "b"], 'one of "a", "b"'),
        (Annotated[int, Meta(ge=1, title="a whole number from 1")], "a whole number from 1"),
        (BY_NAME, 'a table of patterns, each with a duration with its unit, such as "60s"'),
        (Until, "true, a date such as 2027-01-31, or a date and time"),
        (ClientTls, "a table with ca, cert, key, verify, server_name"),
        (tuple[User, ...], "a list of tables with name, password, password_file"),
        (Server, 'an endpoint, "host:port", "tls://host:port" or "unix:/path", or a table with address, entries'),
    ],
)
def test_in_words(kind, words):
    assert in_words(kind) == words


@pytest.mark.parametrize(
    ("kind", "value", "got"),
    [
        (bool, "yes", '"yes"'),
        (bool, "", "an empty string"),
        (Annotated[int, Meta(title="a number")], 7, "7"),
        (Annotated[int, Meta(title="a number")], True, "a boolean"),
        (Size, 7, "an integer"),
        (tuple[Path, ...], ["a", ""], "a list with an empty string in it"),
        (User, "alice s3cret", "a string"),
        (BY_NAME, [], "an empty list"),
        (tuple[User, ...], "alice s3cret", "a string"),
        (tuple[Server, ...], "a:1", '"a:1"'),
    ],
)
def test_mismatches(kind, value, got):
    assert mismatch(kind, value) == f"expected {in_words(kind)}, got {got}"


def test_what_is_missing_is_no_kind_of_its_own():
    assert mismatch(str, "") == "expected a string that is not empty"


@pytest.mark.parametrize(
    ("value", "toml"),
    [
        (None, '""'),
        (True, "true"),
        (3, "3"),
        ("ü", '"ü"'),
        (Mode("0660"), '"0660"'),
        (("a", "b"), '["a", "b"]'),
        ((), "[]"),
        ((Server(address=Endpoint("a:1")),), '["a:1"]'),
    ],
)
def test_as_toml(value, toml):
    assert as_toml(value) == toml
