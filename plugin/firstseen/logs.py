"""The agent's own log: named events with fields, as text or as JSON, one line each.

Whatever a field holds (tags and reasons come from peers), a line stays one line and cannot pass for another: control
characters, line separators and what reorders text are escaped, and long values are cut. Nothing here belongs in the hot
path: an event is logged once per happening, not once per record.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal, TextIO

from firstseen.sparing import SAME, SEVERAL, TIMES, Sparing

Value = str | int | float | bool | Sequence[str] | None
"""What a field may hold; None leaves the field out."""

LONGEST = 1_000
"""Characters of a value beyond which it is cut."""

_BARE = re.compile(r"[A-Za-z0-9_./:@+-]+")


def set_up(
    level: str,
    line_format: Literal["text", "json"],
    stream: TextIO | None = None,
    beside: Sequence[logging.Handler] = (),
) -> None:
    """Send everything that is logged in this process to ``stream`` (stderr) and to the handlers ``beside``.

    ``level`` is the least important one that is written: debug, info, warning or error; each handler has its own. May
    be called again: what was there before is told to its end.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if line_format == "json" else TextFormatter())
    handler.setLevel(level.upper())
    handlers = [handler, *beside]
    root = logging.getLogger()
    before = root.handlers[:]
    root.handlers[:] = [Sparing(handlers)]
    root.setLevel(min(each.level for each in handlers))
    _sum_up(before, all_of_it=True)  # behind that, or what another thread complains of in between was counted only


def event(logger: logging.Logger, level: int, name: str, /, **fields: Value) -> None:
    """Log that ``name`` happened; the ``fields`` tell about it, and are not called time, level or event."""
    logger.log(level, name, extra={_FIELDS: _cut(fields)})


def complain(logger: logging.Logger, level: int, name: str, same: Sequence[str], /, **fields: Value) -> None:
    """Log that ``name`` happened, which may happen again and again: it is the same where all that is in ``same`` is.

    What is the same is counted for a while, and told in one line: see `firstseen.sparing`. Only that is looked at which
    a line would show.
    """
    logger.log(level, name, extra={_FIELDS: _cut(fields), SAME: tuple(map(_cut_text, same))})


def sum_up(*, all_of_it: bool) -> None:
    """Tell what was only counted for long enough by now, or ``all_of_it``."""
    _sum_up(logging.getLogger().handlers, all_of_it=all_of_it)


def _sum_up(handlers: Sequence[logging.Handler], *, all_of_it: bool) -> None:
    for handler in handlers:
        if isinstance(handler, Sparing):
            handler.sum_up(all_of_it=all_of_it)


def as_fields(record: logging.LogRecord) -> dict[str, Value]:
    """A record as an object: its time, its level, what happened, and the fields that tell about it."""
    name, fields = _read(record)
    return {"time": _time(record), "level": record.levelname.lower(), "event": name, **fields}


_FIELDS = "firstseen_fields"


class TextFormatter(logging.Formatter):
    """``2026-05-24T09:12:33.000Z warning connection_refused peer=192.0.2.7:40312 reason="no msgpack"``."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, without its end."""
        name, fields = _read(record)
        pairs = (f"{key}={_text(value)}" for key, value in fields.items())
        return " ".join((_time(record), record.levelname.lower(), _text(name), *pairs))


class JsonFormatter(logging.Formatter):
    """``{"time": …, "level": …, "event": …}`` and the fields beside them."""

    def format(self, record: logging.LogRecord) -> str:
        """One line of ASCII, without its end."""
        return json.dumps(as_fields(record))


def _read(record: logging.LogRecord) -> tuple[str, Mapping[str, Value]]:
    """The event and its fields; what other libraries log is an event by the name of their logger."""
    fields: Mapping[str, Value] | None = getattr(record, _FIELDS, None)
    if fields is not None:
        if getattr(record, SEVERAL, False):
            # The fields of one of them would say that all the others were his.
            fields = {"several": True}
        told = {key: value for key, value in fields.items() if value is not None}
        times: int | None = getattr(record, TIMES, None)
        return record.getMessage(), told if times is None else {**told, "times": times}
    message: dict[str, Value] = {"message": record.getMessage()}
    if record.exc_info:
        message["traceback"] = logging.Formatter().formatException(record.exc_info)
    return record.name, message


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def _cut(fields: Mapping[str, Value]) -> dict[str, Value]:
    """The fields as they are told, before anybody keeps them: a record that stands for others waits for its time."""
    return {key: _cut_value(value) for key, value in fields.items()}


def _cut_value(value: Value) -> Value:
    if isinstance(value, str):
        return _cut_text(value)
    return [_cut_text(each) for each in value] if isinstance(value, Sequence) else value


def _cut_text(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text)} characters)"


def _text(value: Value) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ",".join(map(_text, value))
    if not isinstance(value, str):
        return json.dumps(value)
    if _BARE.fullmatch(value):
        return value
    quoted = json.dumps(value, ensure_ascii=False)
    if quoted.isprintable():
        return quoted
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in quoted)
