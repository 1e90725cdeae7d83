"""Which rules a command means: those on its command line, else those of a configuration; and what there is to say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import click
from msgspec import Struct

from firstseen import config
from firstseen.cli.complaints import say
from firstseen.cli.pastlogs import now_ms
from firstseen.config import Config
from firstseen.configuredrules import Notice, configured_policy, configured_rules, notices
from firstseen.geoip import GeoIp, databases
from firstseen.notation import spelled
from firstseen.record.view import Mode
from firstseen.rules.ruleset import RuleSet
from firstseen.running import Policy

NEEDED = ("rules", "geoip", "sources", "state.learning_period", "alerts.key")
"""What is looked at of a configuration."""


class Meant(Struct, frozen=True):
    """The rules that are meant, as of ``now_ms``, and the databases of addresses.

    ``settings`` are those of the configuration, None where none was named; ``own`` tells that the rules are its own,
    and not others that were named beside it.
    """

    rules: RuleSet
    geoip: GeoIp
    settings: Config | None
    own: bool
    now_ms: int

    @property
    def policy(self) -> Policy:
        """What the configuration says of how alerts are meant."""
        return configured_policy(self.settings)

    @property
    def mode(self) -> Mode:
        """How the configuration has events read that are of no tag."""
        return "auto" if self.settings is None else self.settings.sources.view_of_files

    @property
    def held_against(self) -> Config | None:
        """The configuration whose patterns of rules are to fit these; None where they are for others."""
        return self.settings if self.own else None


def rules_of(
    file: Path | None, paths: Sequence[Path], exceptions: Sequence[Path], named: str = "with --rules"
) -> Meant:
    """The rules and exceptions that the command line names, else those of the configuration ``file``.

    ``named`` is how the command line names rules. Raises `RuleError`, `ConfigError`, and `click.UsageError` where no
    rules are named.
    """
    settings = None if file is None else config.load_part(file, NEEDED)
    if settings is None and not paths:
        raise click.UsageError(f"say which rules: {named}, or with a configuration file")
    geoip = GeoIp() if settings is None else databases(settings)
    as_of_ms = now_ms()
    rules = configured_rules(settings, as_of_ms, geoip, paths=paths, exceptions=exceptions)
    return Meant(rules, geoip, settings, not paths, as_of_ms)


def tell_of(meant: Meant) -> None:
    """Say on standard error of each rule, exception and setting that has no effect, or costs something, why."""
    for line in lines_of(notices(meant.rules, meant.held_against, meant.now_ms)):
        say(line)


def lines_of(told: Iterable[Notice]) -> Iterable[str]:
    """In words: what others have written is no command to the terminal, and a name of a file may be no text."""
    return (spelled(str(notice)) for notice in told)
