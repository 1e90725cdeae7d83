"""The package that `make deb` has built, and a Debian for it that `make test-deb` has made."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.machine import Machine

BUILD = Path(__file__).parents[2] / "build/deb"
SYSTEM = BUILD / "root.tar"


@pytest.fixture(scope="session")
def package() -> Path:
    packages = sorted(BUILD.glob("firstseen_*.deb"))
    if not SYSTEM.exists() or not packages or os.getuid() != 0:
        pytest.skip("run by `make test-deb`, as root")
    (package,) = packages
    return package


@pytest.fixture
def machine(package: Path, tmp_path: Path) -> Iterator[Machine]:
    folder = tmp_path / "machine"
    folder.mkdir()
    subprocess.run(["tar", "-C", str(folder), "-xf", str(SYSTEM)], check=True)
    tmp_path.chmod(0o755)
    yield Machine(folder)
    shutil.rmtree(folder)
