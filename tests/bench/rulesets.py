"""The rules that the benchmarks run: named sets of them, or whatever files there are."""

from __future__ import annotations

import re
from itertools import cycle
from pathlib import Path

from firstseen.rules.loader import load_rules
from support.agent import FIRST_RULE

SHIPPED = FIRST_RULE.parent
ELASTIC = Path(__file__).parents[3] / "shared/rules/elastic"
"""Elastic's rules for AWS, beside the checkout as for ``tests/oracle``."""

MANY = 700

_ID = re.compile(r'^rule_id = "[^"]*"', re.MULTILINE)
_QUERY = re.compile(r"^query = '''.*?'''", re.MULTILINE | re.DOTALL)
_CALL = re.compile(r"\b(?:[A-Z][a-z]+){2,}\b")


def rules_called(name: str, folder: Path) -> Path:
    """``one``, ``shipped``, ``elastic`` or ``many`` rules, which are written to ``folder``; or the path ``name``."""
    match name:
        case "one":
            return FIRST_RULE
        case "shipped":
            return SHIPPED
        case "elastic":
            return ELASTIC
        case "many":
            return _many(ELASTIC if ELASTIC.is_dir() else SHIPPED, folder / "many")
        case _:
            return Path(name).resolve()


def _many(templates: Path, folder: Path) -> Path:
    """The rules of ``templates``, and copies of them about calls that nobody makes, of `MANY` in all."""
    folder.mkdir()
    rules = load_rules([templates]).rules
    texts = [Path(rule.file).read_text("utf-8") for rule in rules]
    for number, text in enumerate(texts):
        (folder / f"{number:03}.toml").write_text(text, "utf-8")
    about_calls = [
        text for text, rule in zip(texts, rules, strict=True) if "event.action" in rule.query and _QUERY.search(text)
    ]
    for number, text in zip(range(len(texts), MANY), cycle(about_calls), strict=False):
        renamed = _QUERY.sub(lambda query, number=number: _CALL.sub(rf"\g<0>{number:03}", query[0]), text)
        new_id = f'rule_id = "00000000-0000-4000-8000-{number:012}"'
        (folder / f"{number:03}.toml").write_text(_ID.sub(new_id, renamed), "utf-8")
    return folder
