"""What is explained is what happens: of every event of a day, by every shipped rule."""

from __future__ import annotations

import json
from pathlib import Path

from firstseen.cli.pastlogs import moment_of
from firstseen.engine import Engine
from firstseen.eventfiles import Event
from firstseen.explanation import Explainer, Outcome
from firstseen.metrics import Counts
from firstseen.record.enrichment import UNENRICHED
from firstseen.rules.loader import load_rules
from firstseen.store.lmdb import LmdbStore
from support import corpus

RULES = Path(__file__).parents[2] / "rules"


def test_the_explanation_says_of_every_event_what_the_engine_then_does(tmp_path: Path) -> None:
    """For each event, the rules explained to alert are those whose labels the engine makes, on the same state."""
    rules = load_rules([RULES])
    store = LmdbStore.open(tmp_path, 1 << 24, durable=False)
    engine = Engine(rules, store, Counts(), lambda: 0)
    explainer = Explainer(rules.rules, store, UNENRICHED, 0)
    outcomes: set[Outcome] = set()
    for number, record in enumerate(corpus.day(records=400), 1):
        event, moment = Event(json.dumps(record).encode(), "day", number), moment_of(record)
        (explanation,) = explainer.explain(event, moment)
        inspection = engine.inspect(record, moment, event.digest)
        store.confirm(inspection.claims).result()

        expected = {rule.rule.id for rule in explanation.rules if rule.outcome is Outcome.ALERT}
        assert expected == {label["rule"]["id"] for label in inspection.labels}
        terms = [answer for rule in explanation.rules for answer in rule.answers]
        assert len(terms) == len(inspection.claims)
        outcomes |= {rule.outcome for rule in explanation.rules}
    store.close()

    assert {Outcome.ALERT, Outcome.KNOWN, Outcome.NO_MATCH} <= outcomes
