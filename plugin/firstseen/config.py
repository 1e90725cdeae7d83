"""The configuration: one TOML file, read whole, with every problem in it reported at once.

Each setting is declared once, in the section it belongs to, with its type, its default and its description. Reading,
the shipped sample and the reference documentation come from that declaration; what is not declared is an error.
"""

from __future__ import annotations

import json
import os
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin

import msgspec
from msgspec import Meta, Struct

from firstseen import toml
from firstseen.errors import ConfigError, FirstseenError, Problem
from firstseen.notation import Address, Duration, Size
from firstseen.toml import TomlError, in_words


class Section(Struct, frozen=True, kw_only=True):
    """A table of the file. The docstring of each section is its description."""


class Input(Section, frozen=True, kw_only=True):
    """Where records come from: the agent is a Forward server."""

    listen: Annotated[
        tuple[Address, ...],
        Meta(min_length=1, description="Addresses to listen on. Port 0 takes a free port."),
    ] = (Address("127.0.0.1:24225"),)
    max_frame: Annotated[
        Size, Meta(description="Largest message from a client. One that is larger closes its connection.")
    ] = Size("16MiB")
    max_decompressed: Annotated[
        Size, Meta(description="Largest content of a compressed message, inflated. One that is larger is refused.")
    ] = Size("64MiB")
    max_in_flight: Annotated[
        Size,
        Meta(
            description="Bytes that were received and are not yet delivered, over all connections. At this limit"
            " reading stops until something is delivered."
        ),
    ] = Size("64MiB")
    drain_timeout: Annotated[
        Duration,
        Meta(description="How long a stopping agent waits until what it received is delivered and acknowledged."),
    ] = Duration("30s")


class Output(Section, frozen=True, kw_only=True):
    """Where records go: the agent is a Forward client."""

    servers: Annotated[
        tuple[Address, ...], Meta(min_length=1, description="The server to deliver to. Exactly one.")
    ] = (Address("127.0.0.1:24224"),)
    require_ack: Annotated[
        bool,
        Meta(
            description="Ask the server to acknowledge each message. Turn this off only for a server that cannot: what"
            " was written to its connection then counts as delivered, and may be lost with it."
        ),
    ] = True
    ack_timeout: Annotated[
        Duration,
        Meta(
            description="How long to wait for an acknowledgement before the message is sent again, on a new connection."
        ),
    ] = Duration("60s")


class Rules(Section, frozen=True, kw_only=True):
    """What is looked for."""

    paths: Annotated[
        tuple[Path, ...],
        Meta(min_length=1, description="Rule files, and directories that are searched for *.toml at any depth."),
    ] = (Path("/etc/firstseen/rules"),)


class State(Section, frozen=True, kw_only=True):
    """What was seen before."""

    path: Annotated[Path, Meta(description="Directory of the database. Only one agent may use it.")] = Path(
        "/var/lib/firstseen"
    )
    map_size: Annotated[
        Size,
        Meta(description="Largest size of the database. Its file is sparse and takes up only what is used."),
    ] = Size("1GiB")


class Alerts(Section, frozen=True, kw_only=True):
    """How a record that matched is marked."""

    key: Annotated[str, Meta(min_length=1, description="Key of the record under which the list of alerts is put.")] = (
        "alerts"
    )
    tag_prefix: Annotated[
        str,
        Meta(
            description='Put in front of the tag of records with an alert: with "alert." they can be routed on their'
            " own. Empty keeps the tag."
        ),
    ] = ""


class Log(Section, frozen=True, kw_only=True):
    """What the agent says of itself, on stderr."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="The least important events that are written.")
    ] = "info"
    format: Annotated[Literal["text", "json"], Meta(description="Lines for people, or one JSON object per line.")] = (
        "text"
    )


class Config(Struct, frozen=True, kw_only=True):
    """The whole configuration; ``path`` is the file it was read from."""

    path: Path
    input: Input = Input()
    output: Output = Output()
    rules: Rules = Rules()
    state: State = State()
    alerts: Alerts = Alerts()
    log: Log = Log()


_SECTIONS: Mapping[str, type[Section]] = {
    field.name: field.type for field in msgspec.structs.fields(Config) if field.name != "path"
}


class Setting(NamedTuple):
    """One setting as documentation shows it; ``default`` is TOML."""

    section: str
    key: str
    type: str
    default: str
    description: str


def settings() -> Iterator[Setting]:
    """Every setting there is, in the order of the sample."""
    for name, section in _SECTIONS.items():
        for field in msgspec.structs.fields(section):
            description = next(meta.description for meta in get_args(field.type)[1:] if meta.description)
            yield Setting(name, field.name, _type_in_words(field.type), _as_toml(field.default), description)


def sample() -> str:
    """The shipped configuration file: every setting with its description and its default."""
    blocks = [_HEAD]
    section = ""
    for setting in settings():
        if setting.section != section:
            section = setting.section
            blocks.append(f"\n[{section}]  # {_SECTIONS[section].__doc__}")
        comment = textwrap.fill(setting.description, 100, initial_indent="# ", subsequent_indent="# ")
        blocks.append(f"{comment}\n{setting.key} = {setting.default}")
    return "\n".join(blocks) + "\n"


_HEAD = """\
# Configuration of firstseen. Every setting is listed with its default, and may be left out.
#
# Sizes carry a unit (B, kB, MB, GB, KiB, MiB, GiB), durations too (ms, s, m, h, d, w). Relative paths start at the
# directory of this file. In strings, ${NAME} is replaced by that environment variable, ${NAME:-text} by "text" where
# the variable is not set or empty, and $$ is a dollar sign."""


def load(path: Path, environ: Mapping[str, str] = os.environ) -> Config:
    """Read the configuration at ``path``; raises `ConfigError` with every problem found in it."""
    try:
        document = toml.load(path)
    except TomlError as error:
        raise ConfigError([_advised(error)]) from error
    reader = _Reader(document, path.parent, environ)
    sections = {name: reader.section(name) for name in _SECTIONS}
    reader.no_other_sections()
    config = msgspec.structs.replace(Config(path=path), **sections)
    reader.check(config)
    if reader.problems:
        raise ConfigError(sorted(reader.problems, key=lambda problem: problem.line or 0))
    return config


def _advised(error: TomlError) -> Problem:
    problem = error.problem
    if isinstance(error.__cause__, FileNotFoundError):
        return Problem(problem.file, None, f"{problem.what}: name the configuration with -c, or start from the sample")
    return problem


class _SettingError(FirstseenError):
    """A value that is no value of its setting; says what was expected."""


class _Reader:
    """Reads a document setting by setting, each on its own, so that one problem does not hide the next."""

    def __init__(self, document: toml.Document, base: Path, environ: Mapping[str, str]) -> None:
        self._document = document
        self._base = base
        self._environ = environ
        self._faulty: set[str] = set()
        self.problems: list[Problem] = []

    def section(self, name: str) -> Section:
        """The section ``name`` with what the document says of it; settings with a problem keep their default."""
        table = self._document.data.get(name, {})
        if not isinstance(table, dict):
            self._report(f"expected a section, [{name}], got {in_words(table)}", name)
            table = {}
        fields = {field.name: field.type for field in msgspec.structs.fields(_SECTIONS[name])}
        values = {}
        for key, value in table.items():
            if key not in fields:
                self._report(f"unknown setting{_hint(name, key)}", name, key)
                continue
            try:
                values[key] = self._converted(value, fields[key])
            except _SettingError as error:
                self._report(str(error), name, key)
        return _SECTIONS[name](**values)

    def no_other_sections(self) -> None:
        """Report what the document holds beside the sections there are."""
        for name, value in self._document.data.items():
            if name not in _SECTIONS:
                what = "section" if isinstance(value, dict) else "setting"
                self._report(f"unknown {what}{_hint('', name)}", name)

    def check(self, config: Config) -> None:
        """Report settings that do not go together; those that have a problem of their own are left out."""
        faulty = frozenset(self._faulty)
        for names, what in _disagreements(config):
            if faulty.isdisjoint(names):
                self._report(what, *names[0].split("."))

    def _report(self, what: str, *path: str) -> None:
        self._faulty.add(".".join(path))
        self.problems.append(self._document.problem(f"{'.'.join(path)}: {what}", *path))

    def _converted(self, value: object, kind: Any) -> object:
        value = _expanded(value, self._environ)
        try:
            return msgspec.convert(value, kind, strict=True, dec_hook=self._hook)
        except msgspec.ValidationError:
            raise _SettingError(_mismatch(kind, value)) from None

    def _hook(self, kind: type, value: object) -> object:
        """What the types that the library does not know make of ``value``."""
        if not isinstance(value, str) or not value:
            raise msgspec.ValidationError
        if kind is Path:
            return self._base / value
        try:
            return kind(value)
        except ValueError as error:
            raise _SettingError(str(error)) from None


def _disagreements(config: Config) -> Iterator[tuple[Sequence[str], str]]:
    """The settings of one fault, the one to be changed first, and what is wrong between them."""
    given, taken = config.input, config.output
    for setting in settings():
        value = getattr(getattr(config, setting.section), setting.key)
        if isinstance(value, Size) and value.bytes == 0:
            yield [f"{setting.section}.{setting.key}"], "must be more than nothing"
    if given.max_frame.bytes > given.max_in_flight.bytes:
        what = f"must not be larger than input.max_in_flight, which is {given.max_in_flight}"
        yield ["input.max_frame", "input.max_in_flight"], what
    fixed = [address for address in given.listen if address.port]
    for twice in sorted({str(address) for address in fixed if fixed.count(address) > 1}):
        yield ["input.listen"], f"{twice} is listed twice"
    if len(taken.servers) > 1:
        yield ["output.servers"], "more than one server is not supported by this version"
    for address in taken.servers:
        if not address.port:
            yield ["output.servers"], f'a server has a port from 1 to 65535, got "{address}"'
        if address in fixed:
            yield ["output.servers", "input.listen"], f"{address} is where this agent listens itself"
    if not taken.ack_timeout.ms:
        yield ["output.ack_timeout"], "must be more than no time"


_REFERENCE = re.compile(r"\$(?:\$|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<else>:-(?P<default>[^{}]*))?\}|(?P<open>\{))")


def _expanded(value: object, environ: Mapping[str, str]) -> object:
    """``value`` with the environment variables that its strings refer to; raises `_SettingError`."""
    if isinstance(value, list):
        return [_expanded(each, environ) for each in value]
    if not isinstance(value, str):
        return value

    def replacement(match: re.Match[str]) -> str:
        name = match["name"]
        if match["open"]:
            raise _SettingError('expected ${NAME} or ${NAME:-text}; write "$${" for a dollar sign and a brace')
        if name is None:
            return "$"
        if match["else"]:
            return environ.get(name) or match["default"]
        if name not in environ:
            raise _SettingError(f"the environment variable {name} is not set, and ${{{name}:-text}} gives a default")
        return environ[name]

    return _REFERENCE.sub(replacement, value)


def _hint(section: str, key: str) -> str:
    """What may have been meant by an unknown ``key`` of ``section``; the top of the file is called ""."""
    everywhere = {setting.key: f"{setting.section}.{setting.key}" for setting in settings()}
    here = {setting.key: f"{section}.{setting.key}" for setting in settings() if setting.section == section}
    here = here or {name: f"[{name}]" for name in _SECTIONS}
    if key in everywhere:
        return f"; did you mean {everywhere[key]}?"
    for names in (here, everywhere):
        for close in get_close_matches(key, names, n=1):
            return f"; did you mean {names[close]}?"
    return f"; there is {', '.join(here.values())}"


_WORDS: Mapping[object, tuple[str, str]] = {
    bool: ("true or false", "booleans"),
    str: ("a string", "strings"),
    Path: ("a path", "paths"),
    Address: ('an address, "host:port"', 'addresses, "host:port"'),
    Duration: (f'a duration with its unit, such as "{Duration.EXAMPLE}"', "durations"),
    Size: (f'a size with its unit, such as "{Size.EXAMPLE}"', "sizes"),
}
"""One of a type, and many."""


def _type_in_words(kind: object) -> str:
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(json.dumps(choice) for choice in get_args(kind))
    if get_origin(kind) is tuple:
        return f"a list of {_WORDS[get_args(kind)[0]][1]}"
    return _WORDS[kind][0]


def _mismatch(kind: object, value: object) -> str:
    got = json.dumps(value) if isinstance(value, str) and value else in_words(value)
    if isinstance(value, list) and value and _type_in_words(kind).startswith("a list"):
        odd = next(each for each in value if not isinstance(each, str) or not each)
        got = f"a list with {in_words(odd)} in it"
    return f"expected {_type_in_words(kind)}, got {got}"


def _as_toml(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_as_toml, value))}]"
    return json.dumps(value if isinstance(value, bool) else str(value), ensure_ascii=False)
