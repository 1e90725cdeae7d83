"""What differs between what runs and what is configured, in the words of the log and of ``firstseen validate``.

A rule is *added* or *removed*, *changed* where it begins a new history, or *edited* where its file is another one and
its history goes on. A setting is *taken* at a reload, or *waits* for a restart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from firstseen.config import Config, written
from firstseen.running import Running
from firstseen.store.base import History


class KnownRule(NamedTuple):
    """A rule as it runs, or as a state knows it: its ``histories``, by their keys, and the ``hash`` of its file.

    Without histories it keeps none, without a hash the file is not known.
    """

    name: str
    histories: frozenset[bytes]
    hash: str


class Present(NamedTuple):
    """What there is: rules by their ids, and the settings where they are known."""

    rules: Mapping[str, KnownRule]
    settings: Mapping[str, str] | None


class Change(NamedTuple):
    """One rule that is different: its id, and what it is called."""

    id: str
    name: str


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """All that is different; rules in the order of the new ones, then those that are gone."""

    added: Sequence[Change] = ()
    removed: Sequence[Change] = ()
    changed: Sequence[Change] = ()
    edited: Sequence[Change] = ()
    taken: Sequence[str] = ()
    waits: Sequence[str] = ()

    def as_dict(self) -> dict[str, Any]:
        """The same for JSON."""
        changes: dict[str, Any] = msgspec.to_builtins(self)
        for name in ("added", "removed", "changed", "edited"):
            changes[name] = [change._asdict() for change in getattr(self, name)]
        return changes

    def counts(self) -> dict[str, int]:
        """How many there are of each kind, for one line."""
        return {name: len(getattr(self, name)) for name in self.__struct_fields__}


def running_now(config: Config, running: Iterable[Running]) -> Present:
    """What runs, or would run, by this configuration."""
    rules = {
        each.rule.id: KnownRule(
            each.rule.name, frozenset((each.state.key,) if each.keeps_history else ()), each.rule.hash
        )
        for each in running
    }
    return Present(rules, written(config))


def last_known(histories: Iterable[History]) -> Present:
    """What a state knows of the rules that ran on it: those that keep a history, and nothing of settings."""
    rules: dict[str, KnownRule] = {}
    for rule, _ in histories:
        before = rules.get(rule.rule_id, KnownRule(rule.name, frozenset(), ""))
        rules[rule.rule_id] = KnownRule(rule.name, before.histories | {rule.key}, "")
    return Present(rules, None)


def changes(before: Present, after: Present, wanted: Mapping[str, str] | None = None) -> Changes:
    """What is different ``after``; what of the settings that are ``wanted`` is not so even then waits for a restart.

    Of a rule that keeps no history, a state cannot have known: it is passed over.
    """
    knows_all = before.settings is not None
    added = [
        Change(rule_id, rule.name)
        for rule_id, rule in after.rules.items()
        if rule_id not in before.rules and (knows_all or rule.histories)
    ]
    removed = [Change(rule_id, rule.name) for rule_id, rule in before.rules.items() if rule_id not in after.rules]
    both = [(rule_id, before.rules[rule_id], rule) for rule_id, rule in after.rules.items() if rule_id in before.rules]
    anew = [Change(rule_id, new.name) for rule_id, old, new in both if _begins_anew(old, new)]
    edited = [
        Change(rule_id, new.name)
        for rule_id, old, new in both
        if old.hash and old.hash != new.hash and not _begins_anew(old, new)
    ]
    return Changes(
        added=added,
        removed=removed,
        changed=anew,
        edited=edited,
        taken=sorted(_different(before.settings, after.settings)),
        waits=sorted(_different(after.settings, wanted)),
    )


def _begins_anew(old: KnownRule, new: KnownRule) -> bool:
    return bool(old.histories and new.histories and not new.histories <= old.histories)


def _different(before: Mapping[str, str] | None, after: Mapping[str, str] | None) -> Iterator[str]:
    if before is None or after is None:
        return
    for name in before.keys() | after.keys():
        if before.get(name) != after.get(name):
            yield name
