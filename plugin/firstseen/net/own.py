"""Errors of our own, where the event loop takes them for those of a connection.

Reading, writing and closing fail inside of the loop, and it says so in ``connection_lost``. So an `OSError` that a
protocol raises is never its connection's: it is one of what is done about that which came, as of a file that cannot be
opened. But the loop would close the connection for it, without a word, and what was half done would stay so.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

Given = ParamSpec("Given")
Result = TypeVar("Result")


class OwnError(Exception):
    """Something went wrong that no peer has to do with. It is a bug of ours that this was not expected."""


def own(call: Callable[Given, Result]) -> Callable[Given, Result]:
    """For what a protocol does about that which came: its `OSError` ends the process, as any other mistake does."""

    @functools.wraps(call)
    def called(*args: Given.args, **more: Given.kwargs) -> Result:
        try:
            return call(*args, **more)
        except OSError as error:
            raise OwnError(f"not of the other end: {error!r}") from error

    return called
