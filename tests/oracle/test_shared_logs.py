"""What the rules find in real CloudTrail logs that lie beside the checkout, where they do."""

import json
import subprocess
from pathlib import Path

import pytest

from support.agent import FIRST_RULE, FIRSTSEEN

SHARED = Path(__file__).parents[2] / "../shared"

pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason="no ../shared beside the checkout")


@pytest.mark.parametrize(
    ("folder", "events"),
    [
        ("invictus", {"c51ec284-c59d-4e86-8dc2-a81867b807be", "bf68f8c0-590b-4740-ac89-aad0ed5dfe4f"}),
        ("stratus", {"e544d47e-6d75-45cf-a8a9-7e90d5f7d38d"}),
    ],
)
@pytest.mark.parametrize("rules", ["seed", "shipped"])
def test_first_sightings(folder: str, events: set[str], rules: str) -> None:
    path = SHARED / "seed" if rules == "seed" else FIRST_RULE
    done = subprocess.run(
        [FIRSTSEEN, "replay", "--rules", path, SHARED / "data/cloudtrail" / folder],
        capture_output=True,
        check=True,
        timeout=60,
    )

    printed = [json.loads(line)["eventID"] for line in done.stdout.splitlines()]

    assert len(printed) == len(events)
    assert set(printed) == events
