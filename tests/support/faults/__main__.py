"""``python -m support.faults``: plays faults and prints the books."""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
from pathlib import Path

from support.faults.play import FAULTS, Report, play, scenes
from support.faults.table import table


def main() -> None:
    parser = argparse.ArgumentParser(prog="support.faults", description="Random faults around a running agent.")
    parser.add_argument("--faults", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=None, help="what is drawn follows from it; printed in any case")
    parser.add_argument(
        "--only", action="append", choices=FAULTS, metavar="KIND", help=f"of these: {', '.join(FAULTS)}"
    )
    chosen = parser.parse_args()
    seed = random.SystemRandom().randrange(1 << 32) if chosen.seed is None else chosen.seed
    print(f"seed {seed}", flush=True)
    total = Report()
    for number, (scenario, faults, scene_seed) in enumerate(scenes(chosen.faults, seed)):
        with tempfile.TemporaryDirectory(prefix=f"firstseen-faults-{number}-") as folder:
            report = asyncio.run(play(scenario, faults, scene_seed, Path(folder), chosen.only or FAULTS))
        total.add(report)
        seconds = f"{report.played_s:.0f} s, and {report.settled_s:.0f} s until all was acked"
        print(f"scene {number}, {scenario.name}: {report.faults.total()} faults in {seconds}", flush=True)
        for problem in report.problems:
            print(f"  PROBLEM {problem}", flush=True)
    print(table(total))
    sys.exit(bool(total.problems))


if __name__ == "__main__":
    main()
