"""The unit that is shipped: what systemd says of it. What it forbids is tried in tests/e2e/test_service.py."""

import re
import subprocess
from pathlib import Path
from shutil import which

import pytest

from support.confined import UNIT

pytestmark = pytest.mark.skipif(which("systemd-analyze") is None, reason="there is no systemd-analyze on PATH")

MOST_EXPOSURE = 2.0


def analyze(*arguments: str | Path) -> str:
    done = subprocess.run(
        ["systemd-analyze", *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )
    return done.stdout + done.stderr


def test_the_unit_is_hardly_exposed() -> None:
    told = analyze("security", "--offline=true", "--no-pager", UNIT)
    overall = re.search(r"Overall exposure level for firstseen\.service: ([0-9.]+)", told)
    assert overall is not None, told
    assert float(overall[1]) <= MOST_EXPOSURE


def test_systemd_has_nothing_to_say_of_the_unit(tmp_path: Path) -> None:
    """With programs that are there in place of those that are not installed here."""
    program = tmp_path / "firstseen"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / "firstseen.service"
    unit.write_text(UNIT.read_text().replace("/usr/bin/firstseen", str(program)))
    assert analyze("verify", "--man=no", unit) == ""


def test_systemd_would_have_something_to_say(tmp_path: Path) -> None:
    """Else the test above would show nothing."""
    unit = tmp_path / "firstseen.service"
    unit.write_text(UNIT.read_text().replace("PrivateTmp=yes", "PrivateTemp=yes"))
    assert "PrivateTemp" in analyze("verify", "--man=no", unit)
