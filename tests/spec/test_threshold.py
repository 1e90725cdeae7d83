"""Runs the timelines in ``threshold/*.toml``; counting.toml says at its head what they look like."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from firstseen.detect.law import Occurrence
from firstseen.detect.threshold import Bucket, ThresholdLaw

FILES = sorted((Path(__file__).parent / "threshold").glob("*.toml"))


def cases() -> list[Any]:
    return [
        pytest.param(case, id=f"{file.stem}: {case['name']}")
        for file in FILES
        for case in tomllib.loads(file.read_text("utf-8"))["case"]
    ]


@pytest.mark.parametrize("case", cases())
def test_timeline(case: dict[str, Any]) -> None:
    numbers = case["law"]
    law = ThresholdLaw(
        numbers["events"],
        numbers.get("distinct", 0),
        numbers["look_back"],
        numbers["interval"],
        numbers.get("quiet", 0),
    )
    bucket: Bucket | None = None
    said = []
    for line in case["event"]:
        time, event, *values = line.partition(" -> ")[0].split()
        occurrence = Occurrence(int(time), event, tuple(values))
        verdict = law.judge(bucket, occurrence)
        bucket = law.remember(bucket, occurrence, verdict)
        said.append(f"{' '.join((time, event, *values))} -> {verdict.value}")

    assert said == case["event"], case["name"]
