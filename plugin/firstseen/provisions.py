"""What a configuration names: certificates, databases, rules; read together, with all that is wrong with any of it.

The agent starts with it, takes it at a reload, and ``firstseen validate`` looks at it: what one refuses, all do.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from msgspec import Struct

from firstseen import config
from firstseen.config import Config, SettingsError
from firstseen.configuredrules import Notice, configured_policy, configured_rules, notices
from firstseen.copies import Copies
from firstseen.errors import ConfigError, FirstseenError, Problem, RuleError, StoreError
from firstseen.geoip import GeoIp, databases
from firstseen.net import tls
from firstseen.net.tls import Contexts
from firstseen.net.validity import overdue
from firstseen.quarantine import Quarantine, hindrance
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
    """What is configured; exceptions hold or not as of ``now_ms``, and so do certificates.

    ``beside`` the rules it tells of certificates that do not, and of a quarantine that cannot be written.
    """

    config: Config
    tls: Contexts
    geoip: GeoIp
    rules: RuleSet
    now_ms: int
    beside: Sequence[Notice] = ()

    @property
    def notices(self) -> Sequence[Notice]:
        """What an operator should know of it."""
        return [*self.beside, *notices(self.rules, self.config, self.now_ms)]

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
    beside = list(_of_quarantine(settings))
    try:
        contexts = tls.contexts(settings)
        beside += _of_certificates(settings, now_ms)
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
    found = Provisions(settings, contexts, geoip, rules, now_ms, beside)
    if problems:
        raise ProvisionsError(problems, found)
    return found


def opened_quarantine(settings: Config) -> Quarantine | None:
    """The quarantine, if there is to be one; raises `FirstseenError` where it cannot be used."""
    given = settings.input
    if given.quarantine is None:
        return None
    try:
        return Quarantine.open(given.quarantine, given.quarantine_size.bytes)
    except FirstseenError as error:
        raise FirstseenError(str(config.located(settings, "input.quarantine", str(error)))) from error


def _of_quarantine(settings: Config) -> Iterator[Notice]:
    """No problem of the configuration: who looks at it may be another user than the one that the agent runs as."""
    reason = settings.input.quarantine and hindrance(settings.input.quarantine)
    if reason:
        fields, told = {"reason": reason}, config.located(settings, "input.quarantine", reason)
        yield Notice(logging.WARNING, "quarantine_not_writable", fields, told)


def _of_certificates(settings: Config, now_ms: int) -> Iterator[Notice]:
    for each in overdue(settings, now_ms):
        fields = {"setting": each.setting, "reason": each.what}
        told = config.located(settings, each.setting, each.what)
        yield Notice(logging.WARNING, "certificate_not_valid", fields, told)
