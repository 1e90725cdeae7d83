"""What a rule file says by itself, whatever there is beside it: the same for as long as its bytes are the same."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from msgspec import Struct

from firstseen.errors import Problem, RuleError
from firstseen.rules.assembly import TYPES, assembled
from firstseen.rules.rule import Rule
from firstseen.rules.rulefile import UNSUPPORTED, RuleFile
from firstseen.toml import Document


class Reading(Struct, frozen=True):
    """A file of which nothing is wrong: ``digest`` is that of its bytes, ``rule`` what it comes to without exceptions.

    ``unwanted`` is why the file itself says that its rule should not run, ``reasons`` and ``remarks`` are as in
    `RuleFile`, ``lists`` the ids of the exception lists that it wants.
    """

    digest: bytes
    id: str
    name: str
    type: str
    file: str
    unwanted: str
    reasons: Sequence[str]
    remarks: Sequence[str]
    lists: Sequence[str]
    rule: Rule | None


def digest_of(raw: bytes) -> bytes:
    """What tells the bytes of one file from all others."""
    return hashlib.sha256(raw).digest()


def reading(document: Document) -> Reading:
    """What the file says; raises `RuleError` with all that is wrong with it."""
    if not isinstance(document.data.get("rule"), dict):
        raise RuleError([Problem(document.file, None, "no [rule] table: this is no rule file")])
    file, digest = RuleFile(document), digest_of(document.raw)
    rule_id, name, rule_type = (file.text("rule", key) for key in ("rule_id", "name", "type"))
    lists: Sequence[str] = ()
    rule = None
    unwanted = _unwanted(file)
    if not unwanted:
        unknown = _unknown_kind(file, rule_type)
        if unknown:
            file.reasons.append(unknown)
        else:
            lists = [file.text(*table, "list_id") for table in file.tables("rule", "exceptions_list")]
            rule = assembled(file, rule_id, name, rule_type, digest)
    if file.problems:
        raise RuleError(sorted(file.problems, key=lambda problem: problem.line or 0))
    return Reading(
        digest=digest,
        id=rule_id,
        name=name,
        type=rule_type,
        file=document.file,
        unwanted=unwanted,
        reasons=file.reasons,
        remarks=file.remarks,
        lists=lists,
        rule=rule,
    )


def _unwanted(file: RuleFile) -> str:
    """Why the file itself says that its rule should not run."""
    if file.value("metadata", "maturity") == "deprecated":
        return "deprecated (metadata.maturity)"
    file.flag("rule", "enabled")
    if file.value("rule", "enabled") is False:
        return "turned off (rule.enabled)"
    return ""


def _unknown_kind(file: RuleFile, rule_type: str) -> str:
    if rule_type not in TYPES:
        return f"rule type {rule_type} is {UNSUPPORTED}"
    language = file.text("rule", "language", default="kuery")
    return "" if language == "kuery" else f"query language {language} is {UNSUPPORTED}"
