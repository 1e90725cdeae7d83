"""What a configuration names: certificates, databases, rules; read together, with all that is wrong with any of it.

The agent starts with it, takes it at a reload, and ``firstseen validate`` looks at it: what one refuses, all do.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct

from firstseen import config
from firstseen.config import Config, SettingsError
from firstseen.configuredrules import Notice, configured_policy, configured_rules, notices
from firstseen.copies import Copies
from firstseen.errors import ConfigError, Problem, RuleError, StoreError
from firstseen.geoip import GeoIp, databases
from firstseen.net import tls
from firstseen.net.tls import Contexts
from firstseen.net.validity import Overdue, overdue
from firstseen.rules.loader import Known
from firstseen.rules.ruleset import RuleSet
from firstseen.running import Policy
from firstseen.states import configured, require
from firstseen.steps import nothing


class ProvisionsError(ConfigError):
    """Something is wrong with what is configured; ``found`` is what of it can be used, no rules where one cannot."""

    def __init__(self, problems: Sequence[Problem], found: Provisions) -> None:
        super().__init__(problems)
        self.found = found


class Provisions(Struct, frozen=True):
    """What is configured; exceptions hold or not as of ``now_ms``, and ``certificates`` tells of those that do not."""

    config: Config
    tls: Contexts
    geoip: GeoIp
    rules: RuleSet
    now_ms: int
    certificates: Sequence[Notice] = ()

    @property
    def notices(self) -> Sequence[Notice]:
        """What an operator should know of it."""
        return [*self.certificates, *notices(self.rules, self.config, self.now_ms)]

    @property
    def policy(self) -> Policy:
        """What the operator says of rules."""
        return configured_policy(self.config)


def configuration(file: Path, now_ms: int, between: Callable[[], None] = nothing) -> Config:
    """The configuration in ``file``, to be provided for; raises `ConfigError`, as `firstseen.config.load` does.

    Where settings are wrong, it also tells what is wrong with what the others name: nobody is to mend the one only to
    be told of the other. ``between`` is as for `provide`.
    """
    try:
        return config.load(file)
    except SettingsError as error:
        beside: Sequence[Problem] = ()
        try:
            provide(error.rest, now_ms, between=between)
        except ProvisionsError as found:
            beside = found.problems
        raise error.beside(beside) from error


def provide(
    settings: Config,
    now_ms: int,
    known: Known | None = None,
    between: Callable[[], None] = nothing,
    copies: Copies | None = None,
) -> Provisions:
    """Read all that a configuration names; raises `ProvisionsError`.

    What is ``known`` of its rules saves work, and ``between`` is called between them. ``copies`` are for who uses it
    for long: see `databases`.
    """
    problems: list[Problem] = []
    contexts, geoip, rules = Contexts(None, None, None), GeoIp(), RuleSet([])
    certificates: Sequence[Notice] = ()
    try:
        contexts = tls.contexts(settings)
        certificates = [_told(settings, each) for each in overdue(settings, now_ms)]
    except ConfigError as error:
        problems += error.problems
    try:
        geoip = databases(settings, copies)
    except ConfigError as error:
        problems += error.problems
    try:
        require(configured(settings))
    except StoreError as error:
        problems.append(config.located(settings, "state.url", str(error)))
    try:
        rules = configured_rules(settings, now_ms, geoip, known=known, between=between)
    except RuleError as error:
        problems += error.problems
    found = Provisions(settings, contexts, geoip, rules, now_ms, certificates)
    if problems:
        raise ProvisionsError(problems, found)
    return found


def _told(settings: Config, each: Overdue) -> Notice:
    fields = {"setting": each.setting, "reason": each.what}
    told = config.located(settings, each.setting, each.what)
    return Notice(logging.WARNING, "certificate_not_valid", fields, told)
