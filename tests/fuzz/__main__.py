"""Fuzzes one target: ``python -m fuzz TARGET [SECONDS]``.

What breaks it is written to ``build/fuzz/TARGET/``, and belongs among the seeds once it is understood.
"""

from __future__ import annotations

import importlib
import random
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["firstseen"]):  # whatever of the product is imported before is not followed
    from fuzz.mutation import LONGEST, mutated
    from fuzz.reading import DEEPEST
    from fuzz.seeds import TARGETS, seeds

BUILD = Path("build/fuzz")

SLOW_S, MOST_MB = 60, 1024
"""An input that takes longer than that on a busy machine, or a process that grows beyond it, is a finding."""


def main() -> None:
    target = sys.argv[1] if len(sys.argv) > 1 else ""
    if target not in TARGETS:
        sys.exit(f"usage: python -m fuzz {'|'.join(TARGETS)} [SECONDS]")
    sys.setrecursionlimit(DEEPEST)
    seconds = int(sys.argv[2]) if len(sys.argv) > 2 else 60
    folder = BUILD / target
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(seeds(target)):
        (corpus / f"seed-{number}").write_bytes(data)
    with atheris.instrument_imports(include=["firstseen"]):
        module = importlib.import_module(f"fuzz.{target}")
    atheris.Setup(
        [
            *("fuzz", str(corpus), f"-max_total_time={seconds}", f"-max_len={LONGEST}", f"-artifact_prefix={folder}/"),
            *(f"-timeout={SLOW_S}", f"-rss_limit_mb={MOST_MB}", "-print_final_stats=1", "-verbosity=1"),
        ],
        module.test_one_input,
        custom_mutator=_mutate,
    )
    atheris.Fuzz()


def _mutate(data: bytes, max_size: int, seed: int) -> bytes:
    """One of ours, or one of the fuzzer's own."""
    rng = random.Random(seed)
    if rng.random() < 0.5:
        return mutated(data, rng)[:max_size]
    own: bytes = atheris.Mutate(data, max_size)
    return own


if __name__ == "__main__":
    main()
