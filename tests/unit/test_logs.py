import io
import json
import logging

import pytest

from firstseen.logs import LONGEST, TextFormatter, complain, event, set_up
from firstseen.sparing import TIMES


@pytest.fixture(autouse=True)
def _root_logger():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def logged():
    """Logs through a fresh set-up and gives the lines that came of it."""

    def logged(line_format, log, level="info"):
        stream = io.StringIO()
        set_up(level, line_format, stream)
        log(logging.getLogger("firstseen.test"))
        assert stream.getvalue().endswith("\n") or not stream.getvalue()
        return stream.getvalue().split("\n")[:-1]

    return logged


def text(**fields):
    record = logging.LogRecord("x", logging.WARNING, "x.py", 1, "happened", None, None)
    record.created = 1779613953.25
    record.firstseen_fields = fields
    return TextFormatter().format(record)


def test_text():
    assert text(peer="192.0.2.7:40312", bytes=12, ratio=0.5, acked=True, tag=None) == (
        "2026-05-24T09:12:33.250Z warning happened peer=192.0.2.7:40312 bytes=12 ratio=0.5 acked=true"
    )


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("", '""'),
        ("two words", '"two words"'),
        ("münchen", '"münchen"'),
        ('a="b" c', r'"a=\"b\" c"'),
        ("a\\b", r'"a\\b"'),
        ("a\nlevel=error", r'"a\nlevel=error"'),
        ("\x1b[31mred\x7f", r'"\u001b[31mred\u007f"'),
        ("a\u2028b\u0085c", r'"a\u2028b\u0085c"'),
        ("\u202egnp.exe", r'"\u202egnp.exe"'),
        ("\udc80", r'"\udc80"'),
        (["a:1", "b c"], 'a:1,"b c"'),
        ([], ""),
    ],
)
def test_values_cannot_break_out_of_their_line(value, shown):
    assert text(tag=value).removeprefix("2026-05-24T09:12:33.250Z warning happened tag=") == shown


@pytest.mark.parametrize("complains", [False, True])
def test_long_values_are_cut(logged, complains):
    def log(logger):
        for fields in ({"tag": long + "x"}, {"tags": [long + "x"]}, {"tag": long}):
            if complains:
                complain(logger, logging.WARNING, "happened", (str(fields),), **fields)
            else:
                event(logger, logging.WARNING, "happened", **fields)

    long = "x" * LONGEST
    cut = long + f"… ({LONGEST + 1} characters)"
    lines = [line.partition("happened ")[2] for line in logged("text", log)]
    assert lines == [f'tag="{cut}"', f'tags="{cut}"', f"tag={long}"]


def test_what_looks_the_same_is_the_same(logged):
    def log(logger):
        for end in "abc":
            tag = "x" * LONGEST + end
            complain(logger, logging.WARNING, "happened", (tag,), tag=tag)

    assert len(logged("text", log)) == 1


def test_json(logged):
    (line,) = logged(
        "json", lambda log: event(log, logging.ERROR, "chunk_rejected", tag="a\nb\udc80", size=3, listen=["x"], no=None)
    )
    assert line.isascii()
    fields = json.loads(line)
    assert fields.pop("time").endswith("Z")
    assert fields == {"level": "error", "event": "chunk_rejected", "tag": "a\nb\udc80", "size": 3, "listen": ["x"]}


@pytest.mark.parametrize("line_format", ["text", "json"])
def test_the_level_is_kept(logged, line_format):
    def log(logger):
        event(logger, logging.INFO, "no")
        event(logger, logging.WARNING, "yes")

    (line,) = logged(line_format, log, level="warning")
    assert "yes" in line


def test_other_libraries_log_in_the_same_form(logged):
    (line,) = logged("text", lambda _: logging.getLogger("asyncio").warning("slow: %s\n", "x"))
    assert line.endswith(r' warning asyncio message="slow: x\n"')


def test_a_traceback_stays_on_one_line(logged):
    def fail():
        raise ValueError("x" * LONGEST)

    def log(logger):
        try:
            fail()
        except ValueError:
            logger.exception("failed")

    (line,) = logged("json", log)
    fields = json.loads(line)
    assert fields["message"] == "failed"
    assert fields["traceback"].startswith("Traceback (most recent call last):\n")
    assert fields["traceback"].endswith("x" * LONGEST)


def test_set_up_again_replaces_what_was():
    first, second = io.StringIO(), io.StringIO()
    set_up("info", "text", first)
    set_up("info", "json", second)
    event(logging.getLogger("x"), logging.INFO, "once")
    assert first.getvalue() == ""
    assert json.loads(second.getvalue())["event"] == "once"


def test_stderr_is_where_it_goes(capsys):
    set_up("info", "text")
    event(logging.getLogger("x"), logging.INFO, "here")
    assert capsys.readouterr().err.endswith(" info here\n")


def test_fields_may_be_called_as_the_parameters_are(logged):
    (line,) = logged("text", lambda log: event(log, logging.INFO, "x", logger="a", name="b"))
    assert line.endswith(" x logger=a name=b")


def test_what_is_complained_of_while_it_is_set_up_again_is_told():
    log = logging.getLogger("firstseen.test")

    class Another(logging.Handler):
        """Complains when the count is told, as another thread may."""

        def emit(self, record):
            if hasattr(record, TIMES):
                complain(log, logging.WARNING, "odd", ("same",))

    set_up("info", "text", io.StringIO(), beside=[Another()])
    for _ in range(2):
        complain(log, logging.WARNING, "odd", ("same",))
    after = io.StringIO()
    set_up("info", "text", after)
    assert after.getvalue().endswith(" warning odd\n")
