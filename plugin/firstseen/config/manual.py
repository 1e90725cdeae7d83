"""Every setting in words: for the sample, for documentation, and for the hints of unknown names."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from firstseen.config.kinds import as_toml, by_pattern, in_words, meta, table_of
from firstseen.config.section import Section
from firstseen.config.sections import SECTIONS
from firstseen.config.sources import Sources, View


class Setting(NamedTuple):
    """One setting as documentation shows it; ``key`` has a dot where it is in a table; ``default`` is TOML."""

    section: str
    key: str
    type: str
    default: str
    description: str

    @property
    def name(self) -> str:
        """The whole name."""
        return f"{self.section}.{self.key}"


def settings() -> Iterator[Setting]:
    """Every setting there is, in the order of the sample."""
    for name, section in SECTIONS.items():
        if issubclass(section, Sources):
            yield from _by_tag(name)
        else:
            yield from _declared(name, section)


def _declared(section: str, kind: type[Section], prefix: str = "") -> Iterator[Setting]:
    for field in msgspec.structs.fields(kind):
        table = table_of(field.type)
        if table is not None:
            yield from _declared(section, table, f"{prefix}{field.name}.")
        else:
            yield _setting(section, prefix + field.name, field.type, field.default)


def _by_tag(section: str) -> Iterator[Setting]:
    """The settings whose names are up to the operator: shown by the one that is there by default."""
    (field,) = msgspec.structs.fields(Sources)
    for pattern, view in field.default:
        yield Setting(section, as_toml(pattern), in_words(View), as_toml(view), meta(field.type).description or "")


def _setting(section: str, key: str, kind: Any, default: object) -> Setting:
    written = "{}" if by_pattern(kind) and not default else as_toml(default)
    return Setting(section, key, in_words(kind), written, meta(kind).description or "")


def sample() -> str:
    """The shipped configuration file: every setting with its description and its default."""
    blocks = [_HEAD]
    section = ""
    for setting in settings():
        if setting.section != section:
            section = setting.section
            blocks.append(f"\n[{section}]  # {SECTIONS[section].__doc__}")
        comment = textwrap.fill(setting.description, 100, initial_indent="# ", subsequent_indent="# ")
        blocks.append(f"{comment}\n{setting.key} = {setting.default}")
    return "\n".join(blocks) + "\n"


_HEAD = """\
# Configuration of firstseen. Every setting is listed with its default, and may be left out.
#
# Sizes carry a unit (B, kB, MB, GB, KiB, MiB, GiB), durations too (ms, s, m, h, d, w). Relative paths start at the
# directory of this file. In strings, ${NAME} is replaced by that environment variable, ${NAME:-text} by "text" where
# the variable is not set or empty, and $$ is a dollar sign."""


def hint(key: str, here: Mapping[str, str], section: str = "") -> str:
    """What may have been meant by an unknown ``key``.

    ``here`` are the names that would be right in its place, each with how it is told; a setting of that name elsewhere
    is proposed first, one in ``section`` before all others, and of those the one that comes first in the sample.
    """
    named = [each for each in settings() if "*" not in each.key]
    listed = [each for each in reversed(named) if each.section != section]
    listed += [each for each in named if each.section == section]
    everywhere = {each.key.rpartition(".")[2]: each.name for each in listed}
    if key in everywhere:
        return f"; did you mean {everywhere[key]}?"
    for names in (here, everywhere):
        for close in _close(key, names):
            return f"; did you mean {names[close]}?"
    return f"; there is {', '.join(here.values())}"


def section_meant(name: str) -> str | None:
    """The section that was probably meant by one that is unknown."""
    return next(iter(_close(name, SECTIONS)), None)


def _close(name: str, names: Iterable[str]) -> list[str]:
    from difflib import get_close_matches  # an agent that starts has no use for it

    return get_close_matches(name, names, n=1)
