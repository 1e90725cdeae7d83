"""Random faults around a running agent, of every kind: nothing is lost, and repeats share their ids.

`make faults` plays ten times as many. Both print the seed; ``FIRSTSEEN_FAULTS_SEED`` plays a seed again.
"""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

import pytest

from support.faults.disk import Disk
from support.faults.play import FAULTS, Report, play, scenes
from support.faults.table import table

FEWEST = 200


pytestmark = [pytest.mark.crash, pytest.mark.slow]


def test_nothing_is_lost_whatever_happens(tmp_path: Path) -> None:
    seed = int(os.environ.get("FIRSTSEEN_FAULTS_SEED") or random.SystemRandom().randrange(1 << 32))
    print("seed", seed)
    total = Report()
    for number, (scenario, faults, scene_seed) in enumerate(scenes(FEWEST, seed)):
        folder = tmp_path / str(number)
        folder.mkdir()
        total.add(asyncio.run(play(scenario, faults, scene_seed, folder)))
    print(table(total))

    assert total.problems == []
    assert total.faults.total() >= FEWEST
    assert len(total.faults) > len(FAULTS) / 2
    assert total.counts.sent == total.counts.acked == total.counts.delivered > 0
    assert total.counts.alerts_expected > 0


def test_a_small_disk_is_filled_and_emptied(tmp_path: Path) -> None:
    try:
        disk = Disk(tmp_path / "disk", 1 << 16)
    except OSError as error:
        pytest.skip(f"of the faults, full disks alone are left out: no small disk can be mounted here ({error})")
    try:
        disk.fill()
        with pytest.raises(OSError, match="No space left on device"):
            (disk.path / "file").write_bytes(b"x")
        disk.empty()
        (disk.path / "file").write_bytes(b"x")
    finally:
        disk.close()
