"""What several tests look at records with: an engine on a state of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from firstseen.detect.matches import Moment
from firstseen.engine import Engine
from firstseen.metrics import Counts
from firstseen.rules.alike import Likeness
from firstseen.rules.rule import Rule
from firstseen.rules.ruleset import RuleSet
from firstseen.seen import Glanced
from firstseen.store.lmdb import LmdbStore
from support.rulebook import rule_set

NOW_MS = 1_790_000_000_000
DAY_MS = 86_400_000
ADA = "arn:aws:iam::111122223333:user/ada"

LIVE = Moment(arrival=NOW_MS, entry=NOW_MS)
PAST = Moment(arrival=None, entry=NOW_MS)


def document(action: str = "Look", **more: Any) -> dict[str, Any]:
    return {"event": {"action": action, "id": "e-1"}, **more}


class Fixture:
    """The state, and engines on it; time goes on where the test says so (``later``)."""

    def __init__(self, path: Path) -> None:
        self.store = LmdbStore.open(path, 1 << 24, durable=False)
        self.counts = Counts()
        self.later = 0

    def now_ms(self) -> int:
        return NOW_MS + self.later

    def engine(self, *rules: str) -> Engine:
        return Engine(rule_set(*rules), self.store, self.counts, self.now_ms)

    def running(self, rule: Rule) -> Engine:
        return Engine(RuleSet([rule]), self.store, self.counts, self.now_ms)

    def all_labels(self, engine: Engine, record: dict[str, Any], moment: Moment) -> list[Any]:
        inspection = engine.inspect(record, moment, lambda: "digest")
        self.store.confirm(inspection.claims).result()
        return list(inspection.labels)

    def look(self, engine: Engine, record: dict[str, Any], likeness: Likeness | None) -> list[Any]:
        """The labels of a record that was glanced at, its likeness kept."""
        inspection = engine.inspect(
            record, LIVE, lambda: "digest", "auto", Glanced(engine.rules.rules, (), likeness), {}
        )
        self.store.confirm(inspection.claims).result()
        return list(inspection.labels)

    def labels(self, engine: Engine, record: dict[str, Any], moment: Moment) -> list[Any]:
        return [label["new_terms"]["values"] for label in self.all_labels(engine, record, moment)]
