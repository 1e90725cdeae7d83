"""How fast ``firstseen backfill`` reads: a synthetic S3 folder of CloudTrail, read by the installed command.

Around it, for comparison: the same folder decompressed and nothing else, by one process.
"""

from __future__ import annotations

import argparse
import datetime
import gzip
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from statistics import median

from isal import igzip

from support.agent import FIRST_RULE, FIRSTSEEN
from support.corpus import day

FILES = 200
RECORDS = 1_280
ROUNDS = 5
TOLD = ("files", "files_older", "events", "candidates", "matches", "outside", "terms")
ACCOUNT = "111122223333"


def write_folder(folder: Path, files: int, records: int, days: int) -> int:
    """A trail's folder as S3 has it, the newest day first of all; returns its bytes before compression.

    Each file has a part of a day's records, with event ids of its own.
    """
    today = datetime.datetime.now(datetime.UTC).date()
    made = {age: day(today - datetime.timedelta(days=age + 1), records * 10) for age in range(days)}
    size = 0
    for number in range(files):
        age = number % days
        date = today - datetime.timedelta(days=age + 1)
        first = number // days * records % (records * 10)
        chosen = made[age][first : first + records]
        content = [{**record, "eventID": f"{record['eventID'][:-8]}{number:08x}"} for record in chosen]
        data = json.dumps({"Records": content}, separators=(",", ":")).encode()
        size += len(data)
        region = ("us-east-1", "eu-central-1")[number % 2]
        name = f"{ACCOUNT}_CloudTrail_{region}_{date + datetime.timedelta(days=1):%Y%m%d}T0005Z_{number:016}.json.gz"
        path = folder / f"AWSLogs/{ACCOUNT}/CloudTrail/{region}/{date:%Y/%m/%d}" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(data, 6))
    return size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=FILES)
    parser.add_argument("--records", type=int, default=RECORDS, help="In each file.")
    parser.add_argument("--days", type=int, default=8, help="Over which the files are spread.")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--jobs", type=int, default=None)
    parser.add_argument("--rules", type=Path, default=FIRST_RULE)
    parser.add_argument("--since", default=None)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="firstseen-bench-") as temporary:
        folder = Path(temporary, "trail")
        size = write_folder(folder, arguments.files, arguments.records, arguments.days)
        stored = sum(path.stat().st_size for path in folder.rglob("*.gz"))
        print(f"{arguments.files} files, {size / 1e6:.0f} MB, {stored / 1e6:.0f} MB as gzip, {arguments.rules.name}")
        options = [f"--rules={arguments.rules}", "--output=json"]
        options += [f"--jobs={arguments.jobs}"] if arguments.jobs else []
        options += [f"--since={arguments.since}"] if arguments.since else []
        walls, speeds, controls = [], [], []
        # As installed, modules have their bytecode beside them.
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        subprocess.run([str(FIRSTSEEN), "backfill", "--help"], check=True, stdout=subprocess.DEVNULL, env=environment)
        for number in range(arguments.rounds):
            controls.append(size / 1e6 / _inflated_in(folder))
            began = time.perf_counter()
            state = Path(temporary, f"state-{number}")
            command = [str(FIRSTSEEN), "backfill", *options, f"--state={state}", str(folder)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment)
            walls.append(time.perf_counter() - began)
            told = json.loads(done.stdout)
            speeds.append(told["bytes"] / 1e6 / walls[-1])
        print(", ".join(f"{told[name]} {name.replace('_', ' ')}" for name in TOLD))
        for name, values, unit in (
            ("the command takes", walls, "s"),
            ("which is", speeds, "MB/s of JSON"),
            ("decompression alone", controls, "MB/s by one process"),
        ):
            print(f"{name:>20}  {median(values):.1f} {unit}  ({min(values):.1f}–{max(values):.1f})")


def _inflated_in(folder: Path) -> float:
    began = time.perf_counter()
    for path in folder.rglob("*.gz"):
        with igzip.open(path) as file:
            while file.read(4 << 20):
                pass
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
