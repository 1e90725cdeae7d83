"""Sets up the npm packages that the tests talk to, once, where Node.js and npm are there."""

import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def node_peers() -> Path:
    """The folder of the scripts, their packages installed."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("needs Node.js and npm")
    if not (HERE / "node_modules/@fluent-org/logger/package.json").exists():
        install = ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error"]
        done = subprocess.run(install, cwd=HERE, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode != 0:
            pytest.skip(f"npm could not install the peers: {done.stderr.strip()[-200:]}")
    return HERE
