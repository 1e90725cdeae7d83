"""Which state a command means: the options that say so, and what they come to."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from firstseen import config
from firstseen.cli import CONFIG_FILE
from firstseen.states import OnDisk, Place, configured, named, read, read_if_there
from firstseen.store.base import StateReader

_Function = TypeVar("_Function", bound=Callable[..., Any])


def state_options(what: str) -> Callable[[_Function], _Function]:
    """The options ``state`` and ``prefix``; ``what`` is done with the state that they name."""

    def options(function: _Function) -> _Function:
        by_name = click.option("--state", metavar="DIR|URL", help=f"{what}: a directory, or redis://host:6379/0.")
        by_prefix = click.option(
            "--prefix", metavar="TEXT", help="What the keys of a state at a URL begin with.  [default: firstseen:]"
        )
        return by_name(by_prefix(function))

    return options


def placed(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a command on a state; it is called with the ``place`` that they name."""

    @click.option("-c", "--config", "file", type=CONFIG_FILE, help="The state of this agent.")
    @state_options("The state that is there")
    @functools.wraps(function)
    def found(*arguments: Any, file: Path | None, state: str | None, prefix: str | None, **more: Any) -> Any:
        place = place_of(file, state, prefix)
        if place is None:
            raise click.UsageError("say which state: with --state, or with a configuration file")
        return function(*arguments, place=place, **more)

    return found


def place_of(file: Path | None, state: str | None, prefix: str | None) -> Place | None:
    """What ``state`` names, else the state of the agent that runs by the configuration ``file``; None without either.

    Raises `ConfigError` and `click.UsageError`.
    """
    needed = ["state" if state is None else "state.map_size"]
    settings = None if file is None else config.load_part(file, needed)
    if state is None:
        if prefix is not None:
            raise click.UsageError("--prefix goes with a URL in --state; in a configuration file it is state.prefix")
        return None if settings is None else configured(settings)
    try:
        place = named(state, prefix)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--state") from error
    if isinstance(place, OnDisk) and settings is not None:
        return place._replace(map_size=settings.state.map_size.bytes)
    return place


@contextmanager
def reader_of(file: Path | None, state: str | None, prefix: str | None) -> Iterator[StateReader | None]:
    """The state of `place_of`, to look into. One that is named has to be there, that of an agent may be missing.

    Raises `StoreError`, and what `place_of` does.
    """
    place = place_of(file, state, prefix)
    reader = None if place is None else read_if_there(place) if state is None else read(place)
    try:
        yield reader
    finally:
        if reader is not None:
            reader.close()
