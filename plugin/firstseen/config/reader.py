"""From the file to the sections, setting by setting, each on its own, so that one problem does not hide the next."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from firstseen import toml
from firstseen.config.checks import faults
from firstseen.config.environment import UnsetError, expanded
from firstseen.config.kinds import bare, by_pattern, in_words, is_optional, item_of, meta, mismatch, table_of
from firstseen.config.manual import hint, section_meant
from firstseen.config.secret import Secret, SecretFile
from firstseen.config.section import Section
from firstseen.config.sections import SECTIONS, Config
from firstseen.config.sources import Sources, View
from firstseen.errors import ConfigError, FirstseenError, Problem
from firstseen.notation import Endpoint, PlainEndpoint, Until
from firstseen.toml import KeyPath, TomlError, dotted
from firstseen.toml import in_words as kind_of_value


class Wrong(NamedTuple):
    """A problem with ``setting``, as "input.listen", or with all of a section, "input", as it may be any of it.

    ``is_unset`` tells that it is no more than a variable of the environment that is not set.
    """

    problem: Problem
    setting: str
    is_unset: bool


class SettingsError(ConfigError):
    """Settings are wrong; ``rest`` is the configuration without them, and without rules where it names none itself.

    ``unset`` are those of the problems that another environment would not have.
    """

    def __init__(
        self, wrong: Sequence[Wrong], settings: Config, given: Collection[str], beside: Sequence[Problem] = ()
    ) -> None:
        problems = [*(each.problem for each in wrong), *beside]
        own = [each for each in problems if each.file == str(settings.path)]
        others = [each for each in problems if each.file != str(settings.path)]
        super().__init__([*sorted(own, key=lambda each: each.line or 0), *others])
        self._wrong, self._settings, self._given = wrong, settings, given
        self.unset = frozenset(each.problem for each in wrong if each.is_unset)
        self.rest = settings if "rules.paths" in given else _without_rules(settings)

    def beside(self, problems: Sequence[Problem]) -> SettingsError:
        """The same, where there are other problems with what is configured as well."""
        return SettingsError(self._wrong, self._settings, self._given, problems)

    def part(self, needed: Collection[str], *, strict: bool) -> Config:
        """The configuration, for who looks at these sections and settings alone, such as "http" or "state.path".

        In others a variable that is not set is no matter, and nothing is that is wrong unless it is ``strict``: they
        have their defaults. Raises `ConfigError` with the problems that matter.
        """
        problems = [
            each.problem for each in self._wrong if self._is_of(each.setting, needed) or (strict and not each.is_unset)
        ]
        if problems:
            raise ConfigError(sorted(problems, key=lambda problem: problem.line or 0))
        return self._settings

    def _is_of(self, wrong: str, needed: Collection[str]) -> bool:
        """Whether what is wrong is something that is needed, or may have been meant for it."""
        in_doubt = {name.partition(".")[0] for name in needed if name not in self._given}
        return wrong in needed or wrong in in_doubt or wrong.partition(".")[0] in needed


def load(path: Path, environ: Mapping[str, str] = os.environ) -> Config:
    """Read the configuration at ``path``, and the secrets it names; raises `ConfigError` with every problem in it.

    It is a `SettingsError` where the file can be read.
    """
    try:
        document = toml.load(path)
    except TomlError as error:
        raise ConfigError([_advised(error)]) from error
    reader = _Reader(document, path.parent, environ)
    sections = {name: reader.section(name) for name in SECTIONS}
    reader.no_other_sections()
    config = msgspec.structs.replace(Config(path=path), **sections)
    reader.check(config)
    if reader.wrong:
        raise SettingsError(reader.wrong, config, reader.given())
    return config


def load_part(
    path: Path, needed: Collection[str], environ: Mapping[str, str] = os.environ, *, strict: bool = True
) -> Config:
    """As `load`, for who looks at what is ``needed`` alone: see `SettingsError.part`. Raises `ConfigError`."""
    try:
        return load(path, environ)
    except SettingsError as error:
        return error.part(needed, strict=strict)


def located(config: Config, setting: str, what: str, *within: str) -> Problem:
    """What is wrong with the setting of this name, found out later, such as "input.tls.cert", with its line.

    Where that is a table, ``within`` is the key in it.
    """
    told = f"{setting}: {what}"
    try:
        return toml.load(config.path).problem(told, *setting.split("."), *within)
    except TomlError:  # changed or gone since it was read: there is no line to tell
        return Problem(str(config.path), None, told)


def _without_rules(config: Config) -> Config:
    return msgspec.structs.replace(config, rules=msgspec.structs.replace(config.rules, paths=()))


def _advised(error: TomlError) -> Problem:
    problem = error.problem
    if isinstance(error.__cause__, FileNotFoundError):
        advice = "check the path that was given with -c, or put a copy of the sample there"
        return Problem(problem.file, None, f"{problem.what}: {advice}")
    return problem


class _SettingError(FirstseenError):
    """A value that is no value of its setting; says what was expected."""


class _UnsetSettingError(_SettingError):
    """It may be one where a variable is set that is not."""


_FAULTY = object()
"""In place of a value whose problem is reported."""


class _Reader:
    """Reads a document and keeps the problems."""

    def __init__(self, document: toml.Document, base: Path, environ: Mapping[str, str]) -> None:
        self._document = document
        self._base = base
        self._environ = environ
        self._faulty: set[str] = set()
        self.wrong: list[Wrong] = []

    def section(self, name: str) -> Section | Sources:
        """The section ``name`` with what the document says of it; settings with a problem keep their default."""
        kind = SECTIONS[name]
        table = self._document.data.get(name, {})
        if not isinstance(table, dict):
            self._report(f"expected a section, [{name}], got {kind_of_value(table)}", name)
            table = {}
        if issubclass(kind, Section):
            return kind(**self._values(kind, table, (name,)))
        return self._sources(table, name) if name in self._document.data else kind()

    def no_other_sections(self) -> None:
        """Report what the document holds beside the sections there are."""
        for name, value in self._document.data.items():
            if name not in SECTIONS:
                what = "section" if isinstance(value, dict) else "setting"
                told = f"unknown {what}{hint(name, {each: f'[{each}]' for each in SECTIONS})}"
                self._report(told, name, of=section_meant(name) or name)

    def check(self, config: Config) -> None:
        """Report settings that do not go together; those that have a problem of their own are left out."""
        faulty = frozenset(self._faulty)
        for names, what in faults(config):
            if faulty.isdisjoint(names):
                self._report(what, *names[0].split("."))

    def given(self) -> frozenset[str]:
        """The settings that the document has, with nothing wrong in them."""
        tables = {name: table for name, table in self._document.data.items() if isinstance(table, dict)}
        return frozenset(f"{name}.{key}" for name, table in tables.items() for key in table) - self._faulty

    def _report(self, what: str, *path: str | int, of: str = "", is_unset: bool = False) -> None:
        """``of`` is what it may be the fault of, where that is not the setting at ``path``."""
        self._faulty.update(dotted(path[:length]) for length in range(2, len(path) + 1))
        problem = self._document.problem(f"{dotted(path)}: {what}", *path)
        self.wrong.append(Wrong(problem, of or dotted(path[:2]), is_unset))

    def _values(self, kind: type[Section], table: Mapping[str, object], path: KeyPath) -> dict[str, object]:
        """The settings in ``table`` that are fine, by their names; the others are reported."""
        fields = {field.name: field.type for field in msgspec.structs.fields(kind)}
        values = {}
        for key, value in table.items():
            at = (*path, key)
            if key not in fields:
                here = {name: dotted((*path, name)) for name in fields}
                of = str(path[0]) if len(path) == 1 else ""
                self._report(f"unknown setting{hint(key, here, str(path[0]))}", *at, of=of)
                continue
            read = self._attempt(fields[key], value, at)
            if read is not _FAULTY:
                values[key] = read
        return values

    def _attempt(self, kind: Any, value: object, path: KeyPath) -> object:
        """``value`` as one of this type, or `_FAULTY` when what is wrong with it is reported."""
        try:
            return self._read(kind, value, path)
        except _SettingError as error:
            self._report(str(error), *path, is_unset=isinstance(error, _UnsetSettingError))
            return _FAULTY

    def _read(self, kind: Any, value: object, path: KeyPath) -> object:
        item, table = item_of(kind), table_of(kind)
        if table is not None:
            return self._table(table, value, path)
        if by_pattern(kind):
            return self._patterns(kind, value, path)
        if item is None or table_of(item) is None:
            return self._converted(kind, value)
        if not isinstance(value, list) or len(value) < (meta(kind).min_length or 0):
            raise _SettingError(mismatch(kind, value))
        items = [self._attempt(item, each, (*path, number)) for number, each in enumerate(value)]
        return _FAULTY if _FAULTY in items else tuple(items)

    def _table(self, kind: type[Section], value: object, path: KeyPath) -> object:
        fields = {field.name: field for field in msgspec.structs.fields(kind)}
        if kind.SHORTHAND and isinstance(value, str) and value:
            return kind(**{kind.SHORTHAND: self._converted(fields[kind.SHORTHAND].type, value)})
        if not isinstance(value, dict):
            raise _SettingError(mismatch(kind, value))
        before = len(self.wrong)
        values = self._values(kind, value, path)
        required = [name for name, field in fields.items() if field.required]
        for name in required:
            if name not in value:
                self._report(f"{name} is missing: expected {in_words(fields[name].type)}", *path)
        if not values.keys() >= set(required):
            return _FAULTY
        try:
            return kind(**values)
        except ValueError as error:
            if len(self.wrong) > before:  # that a setting was left out may be why
                return _FAULTY
            raise _SettingError(str(error)) from None

    def _sources(self, table: Mapping[str, object], name: str) -> Sources:
        return msgspec.convert({"views": self._by_pattern(View, table, (name,))}, Sources)

    def _patterns(self, kind: Any, value: object, path: KeyPath) -> object:
        if not isinstance(value, dict):
            raise _SettingError(mismatch(kind, value))
        pairs = self._by_pattern(by_pattern(kind), value, path)
        return tuple(pairs) if len(pairs) == len(value) else _FAULTY

    def _by_pattern(self, kind: Any, table: Mapping[str, object], path: KeyPath) -> list[tuple[str, object]]:
        """The patterns in ``table`` whose value is fine, with it; the others are reported."""
        pairs = []
        for pattern, value in table.items():
            if isinstance(value, dict):
                self._report("a pattern with a dot in it stands in quotation marks", *path, pattern)
                continue
            read = self._attempt(kind, value, (*path, pattern))
            if read is not _FAULTY:
                pairs.append((pattern, read))
        return pairs

    def _converted(self, kind: Any, value: object) -> object:
        try:
            full = expanded(value, self._environ)
        except UnsetError as error:
            raise _UnsetSettingError(str(error)) from None
        except ValueError as error:
            raise _SettingError(str(error)) from None
        if is_optional(kind):
            if full == "" and value != "" and bare(kind) is Secret:
                raise _SettingError('its variables are empty, and a secret must not vanish unseen: write "" for none')
            if full == "":
                return None
        try:
            return msgspec.convert(full, bare(kind) if is_optional(kind) else kind, strict=True, dec_hook=self._hook)
        except msgspec.ValidationError:
            raise _SettingError(mismatch(kind, full)) from None

    def _hook(self, kind: type, value: object) -> object:
        """What the types that the library does not know make of ``value``."""
        if kind is Until:
            try:
                return Until(value)
            except ValueError:
                raise msgspec.ValidationError from None
        if not isinstance(value, str) or not value:
            raise msgspec.ValidationError
        try:
            return self._made(kind, value)
        except ValueError as error:
            raise _SettingError(str(error)) from None

    def _made(self, kind: type, text: str) -> object:
        if kind is Secret:
            return Secret(text)
        if "\0" in text:
            raise ValueError("there is a NUL in it")
        if kind is Path:
            return self._base / text
        if kind is SecretFile:
            return SecretFile(self._base / text)
        if kind in (Endpoint, PlainEndpoint):
            return kind(text).under(self._base)
        return kind(text)
