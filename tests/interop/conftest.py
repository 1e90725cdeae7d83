"""What the tests with real peers share: certificates, and the npm packages, set up once."""

import fcntl
import shutil
import subprocess
from pathlib import Path

import pytest

from support.authority import Authority, Certificates

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    authority = Authority(tmp_path_factory.mktemp("authority"), "root")
    return Certificates(
        authority.file, authority.issue("127.0.0.1", "localhost"), authority.issue("client.example.com")
    )


@pytest.fixture(scope="session")
def node_peers() -> Path:
    """The folder of the scripts, their packages installed."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("needs Node.js and npm")
    wanted = ("@fluent-org/logger", "fluent-logger")
    with (HERE / "package.json").open() as one_at_a_time:  # the tests may run in several processes
        fcntl.flock(one_at_a_time, fcntl.LOCK_EX)
        if not all((HERE / "node_modules" / name / "package.json").exists() for name in wanted):
            install = ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error"]
            done = subprocess.run(install, cwd=HERE, capture_output=True, text=True, timeout=120, check=False)
            if done.returncode != 0:
                pytest.skip(f"npm could not install the peers: {done.stderr.strip()[-200:]}")
    return HERE
