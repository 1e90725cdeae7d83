"""Labels as data: a rule, the events that come, and the label that the last of them gets, whole."""

import json
import tomllib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from firstseen.detect.matches import Moment
from firstseen.engine import Engine
from firstseen.metrics import Counts
from firstseen.store.lmdb import LmdbStore
from support.rulebook import rule_set

FOLDER = Path(__file__).parent / "label"


def cases() -> Iterator[Any]:
    for file in sorted(FOLDER.glob("*.toml")):
        for case in tomllib.loads(file.read_text())["case"]:
            yield pytest.param(case, id=f"{file.stem}: {case['name']}")


def milliseconds(time: datetime) -> int:
    return round(time.timestamp() * 1000)


@pytest.mark.parametrize("case", list(cases()))
def test_label(case: dict[str, Any], tmp_path: Path) -> None:
    rules = rule_set(case["rule"])
    store = LmdbStore.open(tmp_path, 1 << 22, durable=False)
    engine = Engine(rules, store, Counts(), lambda: 0)
    labels: list[Any] = []
    for sighting in case["events"]:
        arrival = milliseconds(sighting["arrives"])
        inspection = engine.inspect(json.loads(sighting["event"]), Moment(arrival, arrival), lambda: "sha256:00")
        store.confirm(inspection.claims).result()
        labels = list(inspection.labels)
    store.close()

    expected = json.loads(case["labels"])
    for label in expected:
        label["rule"]["hash"] = rules.rules[0].hash

    assert json.dumps(labels, indent=1) == json.dumps(expected, indent=1), case["name"]
