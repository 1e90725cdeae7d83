"""How long a folder of rules takes to load: copies of the files it is given, else of some written here."""

from __future__ import annotations

import argparse
import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path
from statistics import median

import tomli

from firstseen.rules.loader import load_rules
from support.rulefiles import BASES

FILES = 2_000
ROUNDS = 5
_ID = re.compile(r'^rule_id = "[^"]*"', re.MULTILINE)

NOTE = (
    '''note = """## What to look at

'''
    + "Who made the call, from where, and did the same caller do anything else that day? Look at both.\n" * 40
    + '"""\n'
)
QUERY = (
    "'''\nevent.provider: iam.amazonaws.com and event.action: ("
    + " or ".join(f"Verb{n}User" for n in range(8))
    + (")\n  and event.outcome: success and not user.name: (svc-* or *-robot) and source.ip: 192.0.2.0/24\n'''")
)


def own() -> Iterator[str]:
    """A rule of each type, with prose and a query as long as those of real ones."""
    for text in BASES.values():
        yield text.replace("'''\nevent.action: \"CreateUser\"\n'''", QUERY).replace(
            "risk_score = 21\n", f"risk_score = 21\n{NOTE}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=FILES)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("templates", nargs="*", type=Path, help="Rule files, or directories of them.")
    arguments = parser.parse_args()
    found = [
        file for path in arguments.templates for file in (sorted(path.rglob("*.toml")) if path.is_dir() else [path])
    ]
    texts = [file.read_text("utf-8") for file in found] or list(own())
    with tempfile.TemporaryDirectory() as folder:
        written = list(islice(cycle(texts), arguments.files))
        for number, text in enumerate(written):
            new_id = f'rule_id = "00000000-0000-4000-8000-{number:012}"'
            Path(folder, f"{number:05}.toml").write_text(_ID.sub(new_id, text), "utf-8")
        told = [_round(Path(folder), written) for _ in range(arguments.rounds)]
    for name, values in zip(("rules load in", "of which CPU", "TOML alone, CPU"), zip(*told, strict=True), strict=True):
        print(f"{name:>16}  {median(values):.2f} s  ({min(values):.2f}–{max(values):.2f})")


def _round(folder: Path, texts: Sequence[str]) -> tuple[float, float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    load_rules([folder])
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    control = time.process_time()
    for text in texts:
        tomli.loads(text)
    return wall, cpu, time.process_time() - control


if __name__ == "__main__":
    main()
