"""What lists mean is told by the cases in tests/spec/exceptions; here is what can be wrong with them."""

import os

import pytest

from firstseen import toml
from firstseen.kql.ast import Addresses, Members
from firstseen.rules.rulefile import RuleFile
from firstseen.rules.valuelists import MOST_BYTES, ValueLists


def read(folder, table, lists=None):
    path = folder / "e.toml"
    path.write_text(f"list = {table}")
    file = RuleFile(toml.load(path))
    return (lists or ValueLists()).named(file, ("list",)), [
        str(problem).replace(f"{folder}/", "") for problem in file.problems
    ]


def test_a_list_of_texts(tmp_path):
    (tmp_path / "a.txt").write_text("x\n\n # a comment\n#another\n\ty z \r\nx#y\nx")
    assert read(tmp_path, '{id = "a", type = "keyword"}') == (Members("a", frozenset({"x", "y z", "x#y"})), [])


@pytest.mark.parametrize("odd", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1e"])
def test_a_line_goes_on_to_the_end_that_editors_and_programs_give_it(tmp_path, odd):
    (tmp_path / "a.txt").write_bytes(f"team{odd}root\r\nx\ny".encode())
    assert read(tmp_path, '{id = "a", type = "keyword"}') == (Members("a", frozenset({f"team{odd}root", "x", "y"})), [])


@pytest.mark.parametrize("kind", ["ip", "ip_range"])
def test_a_list_of_addresses(tmp_path, kind):
    (tmp_path / "a.txt").write_text("192.0.2.1\n192.0.2.0/24\n192.0.2.1-192.0.2.3\n")
    assert read(tmp_path, f'{{id = "a", type = "{kind}"}}') == (
        Addresses("a", ("192.0.2.1", "192.0.2.0/24", "192.0.2.1-192.0.2.3")),
        [],
    )


def test_a_list_is_read_once(tmp_path):
    lists = ValueLists()
    (tmp_path / "a.txt").write_text("x")
    first, _ = read(tmp_path, '{id = "a", type = "keyword"}', lists)
    (tmp_path / "a.txt").unlink()
    assert read(tmp_path, '{id = "a", type = "keyword"}', lists) == (first, [])


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ('"a"', "e.toml:1: list: expected a table, got a string"),
        ('{id = "a"}', "e.toml:1: list.type: missing"),
        ('{type = "ip"}', "e.toml:1: list.id: missing"),
        ('{id = "a", type = "text"}', 'e.toml:1: list.type: expected one of keyword, ip, ip_range, got "text"'),
        ('{id = "../a", type = "ip"}', 'e.toml:1: list.id: no name of a file, got "../a"'),
        ('{id = ".a", type = "ip"}', 'e.toml:1: list.id: no name of a file, got ".a"'),
        ('{id = "b", type = "ip"}', "e.toml:1: list: the list b.txt cannot be read: No such file or directory"),
        ('{id = "odd", type = "ip"}', 'odd.txt:2: expected an address, a network or a range of addresses, got "x"'),
        ('{id = "bytes", type = "ip"}', "e.toml:1: list: the list bytes.txt is not UTF-8"),
        (
            '{id = "pipe", type = "ip"}',
            "e.toml:1: list: the list pipe.txt cannot be read: it is a named pipe and no file: put a file in its place,"
            " or take it away",
        ),
    ],
)
def test_what_is_wrong_with_a_list(tmp_path, table, problem):
    (tmp_path / "odd.txt").write_text("192.0.2.1\nx\n")
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe")
    os.mkfifo(tmp_path / "pipe.txt")
    assert read(tmp_path, table) == (None, [problem])


def test_a_list_that_is_too_large(tmp_path):
    with (tmp_path / "a.txt").open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    problem = "e.toml:1: list: the list a.txt cannot be read: it is larger than 256 MiB: is it the right file?"
    assert read(tmp_path, '{id = "a", type = "ip"}') == (None, [problem])
