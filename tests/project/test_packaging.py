"""The package as it is installed."""

import importlib.metadata
import subprocess
import sys

import firstseen


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
