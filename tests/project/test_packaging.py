"""The package as it is installed."""

import configparser
import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest

import firstseen

ROOT = Path(__file__).parents[2]
FOR_DEVELOPERS = {"test", "fuzz", "dist", "chart", "check"}


def test_the_version_is_the_metadata_s() -> None:
    assert importlib.metadata.version("firstseen") == firstseen.__version__


def test_it_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "firstseen", "--version"], capture_output=True, text=True, check=True, timeout=30
    )

    assert done.stdout == f"firstseen, version {firstseen.__version__}\n"


def test_importing_the_command_loads_none_of_the_subcommands() -> None:
    code = "import sys, firstseen.cli; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)

    assert not {"uvloop", "lmdb", "msgpack", "fluent"} & set(done.stdout.split())


@pytest.mark.parametrize("recipe", ["packaging/deb/build.sh", "packaging/container/Dockerfile", "packaging/dist.sh"])
def test_what_is_built_for_people_has_all_that_a_configuration_can_ask_for(recipe: str) -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    extras = set(setup["options.extras_require"]) - FOR_DEVELOPERS

    (taken,) = re.findall(r"\[([a-z,-]+)\]\"", (ROOT / recipe).read_text())

    assert set(taken.split(",")) == extras
