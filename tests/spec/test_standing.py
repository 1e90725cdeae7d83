"""How alerts are meant, as data: what the operator says, the events that come, and what their labels say."""

import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from firstseen.detect.matches import Moment
from firstseen.engine import Engine
from firstseen.metrics import Counts
from firstseen.notation import Duration, Until
from firstseen.running import Policy
from firstseen.store.lmdb import LmdbStore
from support.rulebook import rule_set, rule_text

CASES = Path(__file__).parent / "standing/cases.toml"
BEGIN_MS = round(datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1000)

OTHER_TYPES = {
    "new_terms": "",
    "query": "",
    "threshold": '[rule.threshold]\nfield = ["user.name"]\nvalue = 2\n',
}


def cases() -> Iterator[Any]:
    for case in tomllib.loads(CASES.read_text())["case"]:
        yield pytest.param(case, id=case["name"])


def rule(case: dict[str, Any]) -> str:
    kind = case.get("type", "new_terms")
    text = rule_text("event.action: Look", ["user.name"]).replace('"new_terms"', f'"{kind}"')
    if kind != "new_terms":
        text = "".join(line for line in text.splitlines(True) if not line.startswith(("new_terms", "history")))
    return text + "\n".join(case.get("lines", ())) + "\n" + OTHER_TYPES[kind]


def policy(case: dict[str, Any]) -> Policy:
    return Policy(
        Duration(case.get("period", "0s")).ms,
        [(pattern, Duration(length).ms) for pattern, length in case.get("learning", ())],
        [(pattern, Until(end)) for pattern, end in case.get("shadow", ())],
    )


@pytest.mark.parametrize("case", list(cases()))
def test_standing(case: dict[str, Any], tmp_path: Path) -> None:
    store = LmdbStore.open(tmp_path, 1 << 22, durable=False)
    counts = Counts()
    clock = [BEGIN_MS]
    rules = rule_set(rule(case))

    def start() -> Engine:
        return Engine(rules, store, counts, lambda: clock[0], policy=policy(case))

    engine = start()
    came = []
    for number, step in enumerate(case["steps"]):
        after, who, _ = f"{step} restart".split(maxsplit=2)
        clock[0] = BEGIN_MS + Duration(after).ms
        if who == "restart":
            engine = start()
            came.append(step)
            continue
        event = {"event": {"action": "Look", "id": f"e-{number}"}, "user": {"name": who}}
        moment = Moment(None if case.get("past") else clock[0], clock[0])
        inspection = engine.inspect(event, moment, lambda: "digest")
        store.confirm(inspection.claims).result()
        (status,) = [label["status"] for label in inspection.labels] or ["-"]
        came.append(f"{after} {who} {status}")
    store.close()

    assert came == case["steps"]
    assert {name: value for name, value in counts.as_dict().items() if value} == case["counts"]
