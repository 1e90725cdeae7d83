"""Each target runs over its seeds and some changes of them, the same each time: so it stays runnable, and finds."""

from __future__ import annotations

import importlib
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from firstseen.errors import FirstseenError
from fuzz.mutation import any_frame, mutated
from fuzz.reading import DEEPEST
from fuzz.seeds import FOLDER, TARGETS, seeds

CHANGES = {
    "acks": 1_000,
    "decompression": 1_500,
    "frames": 1_000,
    "handshake": 1_000,
    "requests": 500,
    "shaping": 1_000,
}
"""Changed inputs for each target: what takes a second or two."""


@pytest.fixture(autouse=True)
def deep_calls() -> Iterator[None]:
    """Here and in no other test: elsewhere the product is asked what it does where calls may not go that deep."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, DEEPEST))
    yield
    sys.setrecursionlimit(before)


@pytest.mark.parametrize("target", TARGETS)
def test_seeds(target: str) -> None:
    module = importlib.import_module(f"fuzz.{target}")
    for data in seeds(target):
        module.test_one_input(data)


@pytest.mark.parametrize("target", TARGETS)
def test_changes_of_seeds(target: str) -> None:
    module = importlib.import_module(f"fuzz.{target}")
    rng = random.Random(target)
    beginnings = seeds(target)
    for _ in range(CHANGES[target]):
        data = mutated(rng.choice(beginnings), rng)
        try:
            module.test_one_input(data)
        except Exception as error:
            error.add_note(f"the input was {data.hex()}")
            raise


def test_every_target_has_seeds() -> None:
    assert {path.stem for path in Path(__file__).parent.glob("*.py")} >= set(TARGETS)
    assert all(len(seeds(target)) >= 10 for target in TARGETS)
    assert {path.name for path in FOLDER.iterdir()} <= set(TARGETS)


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_says_what_holds_and_what_may_be_raised(target: str) -> None:
    module = importlib.import_module(f"fuzz.{target}")
    assert (module.__doc__ or "").splitlines()[0].endswith(".")
    assert all(issubclass(error, FirstseenError) for error in module.ALLOWED)


def test_new_frames_are_mostly_whole() -> None:
    """What the mutator makes anew gets behind the first checks; else it would try nothing."""
    from fuzz.frames import receive

    rng = random.Random(7)
    outcomes = [receive([any_frame(rng)]) for _ in range(200)]
    assert sum(bool(outcome.chunks) for outcome in outcomes) > 150


def test_it_runs_without_atheris_up_to_its_import() -> None:
    code = "import sys; sys.modules['atheris'] = None; import fuzz.frames, fuzz.shaping, fuzz.mutation"
    subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[1], check=True, timeout=60)
