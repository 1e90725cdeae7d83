import codecs
import datetime
import os

import pytest

from firstseen import toml
from firstseen.errors import FirstseenError, Problem
from firstseen.toml import TomlError

TEXT = r'''# a comment with [brackets] and "quotes"
title = "a # no comment"
owner.name = "dotted"
'odd key' = 1
"esc\"aped" . x = 2

[ server . "a.b" ]  # spaced, quoted
list = [
    "]", # a bracket in a comment: ]
    [1, 2],
]
inline = { x = 1, y = { z = "}" } }
basic = """
[no.header]
key = 1\
    still "quoted" ""\""""""
literal = ~~~
# no comment
[[nor.this]]~~~
after = 2026-05-24 09:12:33

[[products]]
name = "first"
[products.details]
size = 1
[[products]]
name = "second"
[[products.parts]]
id = 1
[[products.parts]]
id = 2
[server]
last = true'''.replace("~~~", "'''")

LINES = {
    ("title",): 2,
    ("owner",): 3,
    ("owner", "name"): 3,
    ("odd key",): 4,
    ('esc"aped',): 5,
    ('esc"aped', "x"): 5,
    ("server", "a.b"): 7,
    ("server", "a.b", "list"): 8,
    ("server", "a.b", "list", 1, 0): 8,
    ("server", "a.b", "inline"): 12,
    ("server", "a.b", "inline", "y", "z"): 12,
    ("server", "a.b", "basic"): 13,
    ("server", "a.b", "literal"): 17,
    ("server", "a.b", "after"): 20,
    ("server", "a.b", "missing"): 7,
    ("products",): 22,
    ("products", 0): 22,
    ("products", 0, "name"): 23,
    ("products", 0, "details", "size"): 25,
    ("products", 1): 26,
    ("products", 1, "name"): 27,
    ("products", 1, "parts"): 28,
    ("products", 1, "parts", 0, "id"): 29,
    ("products", 1, "parts", 1): 30,
    ("products", 1, "parts", 1, "id"): 31,
    ("products", 1, "absent"): 26,
    ("server",): 32,
    ("server", "last"): 33,
    ("nowhere",): None,
    (): None,
}


@pytest.mark.parametrize("path", LINES)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_line_of(path, newline):
    document = toml.parse(TEXT.replace("\n", newline).encode(), "x.toml")
    assert document.line_of(*path) == LINES[path]


def test_a_byte_order_mark_is_passed_over():
    """As Windows writes it before UTF-8."""
    document = toml.parse(codecs.BOM_UTF8 + b"one = 1\ntwo = 2\n", "here.toml")
    assert (document.data, document.line_of("two")) == ({"one": 1, "two": 2}, 2)
    with pytest.raises(TomlError, match=r"here.toml:1: .*\(column 4\)"):
        toml.parse(codecs.BOM_UTF8 + b"[[a]\n", "here.toml")
    with pytest.raises(TomlError, match=r"here\.toml:2: not UTF-8"):
        toml.parse(codecs.BOM_UTF8 + b"#\n\xff", "here.toml")


def test_a_document_keeps_what_it_was_read_from(tmp_path):
    path = tmp_path / "a.toml"
    path.write_bytes(b"a = 1\r\n")
    document = toml.load(path)
    assert (document.file, document.raw, document.data) == (str(path), b"a = 1\r\n", {"a": 1})
    assert document.problem("odd", "a") == Problem(str(path), 1, "odd")


@pytest.mark.parametrize(
    ("text", "offset", "line", "column"),
    [
        ("k = 'abc'", 1, 1, 7),
        ('k = "a\\tc"', 2, 1, 9),
        ("k = '''ab\ncd'''", 3, 2, 1),
        ("k = '''\nab\n  cd\n'''", 5, 3, 3),
        ("k = '''\nab'''", 2, 2, 3),
        ('k = """\nab\ncd"""', 3, 3, 1),
        ('k = """a\\\n\n   b\\nc"""', 1, 3, 4),
        ('k = """a\\\n\n   b\\nc"""', 3, 3, 7),
        ('k = """\n\\u0041\\U00000042\\x43D"""', 3, 2, 21),
        ('k = """\nab"""', 2, 2, 3),
        ('k = ""', 0, 1, 6),
        ("\n[t]\nk = '''\r\na\r\nb'''", 2, 5, 1),
    ],
)
def test_position_in(text, offset, line, column):
    path = ("t", "k") if "[t]" in text else ("k",)
    assert toml.parse(text.encode(), "x").position_in(offset, *path) == (line, column)


def test_position_in_what_is_no_string_of_its_own():
    document = toml.parse(b'a = 1\nb = ["x"]\n', "x")
    assert document.position_in(0, "a") is None
    assert document.position_in(0, "b", 0) is None
    assert document.position_in(0, "c") is None


def refused(raw, name="x.toml"):
    with pytest.raises(TomlError) as caught:
        toml.parse(raw, name)
    return str(caught.value)


def test_faults_name_the_line():
    assert refused(b"a = 1\nb =\n") == "x.toml:2: invalid value (column 4)"
    assert refused(b"a = 1\nb = 'caf\xe9'\n") == "x.toml:2: not UTF-8, as TOML has to be"
    assert refused(b"a = " + b"[" * 100_000) == "x.toml: arrays or inline tables are nested too deeply"


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("[a]\nx = 1\n\n[a]\ny = 2\n", 4, "[a] stands at line 1 already"),
        ("# head\n['a.b']\n[c]\n[ 'a.b' ]\n", 4, "[a.b] stands at line 2 already"),
        ("[a]\nb = {}\n[a.b]\nc = 1\n", 3, "a.b stands at line 2 already"),
        ("[a]\nb = {x = 1}\n[a.b.c]\n", 3, "a.b stands at line 2 already"),
        ("[a]\nb = {}\nb.c = 1\n", 3, "a.b stands at line 2 already"),
        ("[a]\nb.c = 1\n[a.b]\n", 3, "a.b stands at line 2 already"),
        ("[a.b]\n[a]\nb.c = 1\n", 3, "[a.b] stands at line 1 already"),
        ("a = 1\n[a]\n", 2, "a stands at line 1 already"),
        ("a = []\n[[a]]\n", 2, "a stands at line 1 already"),
        ("[[a]]\n[a]\n", 2, "[a] stands at line 1 already"),
        ("[[a]]\n[a.b]\n[[a]]\n[a.b]\n[a.b]\n", 5, "[a[1].b] stands at line 4 already"),
    ],
)
def test_what_is_written_a_second_time_is_told_with_where_it_stands(text, line, told):
    what = f"{told}: what is to be set here belongs there"
    assert refused(text.encode()).partition(" (column ")[0] == f"x.toml:{line}: {what}"


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("[a]\nx = 1\nx = 2", 3, "a.x is set at line 2 already (column 6)"),
        ("x = 1\n\nx = [\n  2,\n]\n", 5, "x is set at line 1 already (column 2)"),
        ('x = """\ny = 1\n"""\nx.y = 1\n', 4, "x stands at line 1 already: what is to be set here belongs there"),
        ("[a]\nx = {b = {}, b.c = 1}\n", 2, "cannot mutate immutable namespace"),
        ("[a]\nx = {b = 1, b = 2}\n", 2, "duplicate inline table key"),
    ],
)
def test_a_key_that_is_set_twice(text, line, told):
    assert refused(text.encode()).startswith(f"x.toml:{line}: {told}")


def test_unreadable_files(tmp_path):
    with pytest.raises(TomlError) as caught:
        toml.load(tmp_path / "a.toml")
    assert caught.value.problem == Problem(str(tmp_path / "a.toml"), None, "no such file")
    with pytest.raises(FirstseenError, match="cannot be read: Is a directory"):
        toml.load(tmp_path)
    os.mkfifo(tmp_path / "pipe.toml")
    with pytest.raises(FirstseenError, match=r"pipe\.toml: cannot be read: it is a named pipe and no file: put a file"):
        toml.load(tmp_path / "pipe.toml")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (True, "a boolean"),
        (1, "an integer"),
        (1.5, "a number with a fraction"),
        ("x", "a string"),
        ("", "an empty string"),
        ([1], "a list"),
        ([], "an empty list"),
        ({}, "a table"),
        (datetime.date(2026, 5, 24), "a date or time"),
        (datetime.time(9, 12), "a date or time"),
    ],
)
def test_in_words(value, words):
    assert toml.in_words(value) == words


def test_in_words_knows_all_of_toml():
    with pytest.raises(AssertionError):
        toml.in_words(None)


def test_dotted():
    assert toml.dotted(("rule", "threat", 0, "tactic")) == "rule.threat[0].tactic"
