"""Runs the timelines in ``new_terms/*.toml``; each file says at its head what its cases look like."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from firstseen.detect.keys import encode_terms
from firstseen.detect.law import Occurrence
from firstseen.detect.new_terms import NewTermsLaw, Sighting, terms_product
from firstseen.model import Verdict

FILES = sorted((Path(__file__).parent / "new_terms").glob("*.toml"))


def cases() -> list[Any]:
    return [
        pytest.param(case, id=f"{file.stem}: {case['name']}")
        for file in FILES
        for case in tomllib.loads(file.read_text("utf-8"))["case"]
    ]


def observe(before: Sighting | None, occurrence: Occurrence, law: NewTermsLaw) -> tuple[Verdict, Sighting]:
    verdict = law.judge(before, occurrence)
    return verdict, law.remember(before, occurrence, verdict)


def spoken(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


@pytest.mark.parametrize("case", cases())
def test_timeline(case):
    seen: dict[bytes, Sighting] = {}
    remembered = None
    for event in case["event"]:
        terms_of_event, dropped = terms_product(event["values"], case.get("limit", 1_000))
        said = []
        for terms in terms_of_event:
            before = seen.get(encode_terms(terms))
            verdict, after = observe(before, Occurrence(event["at"], event["id"]), NewTermsLaw(case["silence"]))
            seen[encode_terms(terms)] = after
            told = "" if before is None else f" after {before.last_seen}"
            said.append(f"{verdict.value} {' '.join(map(spoken, terms))}{told}")
        assert said == event["says"], f"\nevent {event}\nsays  {said}"
        assert dropped == event.get("dropped", 0), event
        remembered = seen[encode_terms(terms_of_event[0])] if terms_of_event else None
    if "remembers" in case:
        assert remembered == Sighting(
            *(case["remembers"][name] for name in ("first", "last", "count", "event", "last_event"))
        )
