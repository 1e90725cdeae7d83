"""The man pages that ``make man`` makes: one for each command, and none that troff complains of."""

import os
import subprocess
import sys
from pathlib import Path
from shutil import which

import pytest

from firstseen.cli import COMMANDS

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("man")
    subprocess.run([sys.executable, str(ROOT / "packaging/man.py"), str(made)], check=True, timeout=60)
    return made


def test_every_command_has_a_page(folder: Path) -> None:
    pages = {path.name for path in folder.iterdir()}
    assert pages >= {"firstseen.1", *(f"firstseen-{command}.1" for command in COMMANDS)}
    assert pages >= {"firstseen-rules-test.1", "firstseen-state-stats.1"}


def test_a_page_says_what_help_says(folder: Path) -> None:
    page = (folder / "firstseen-top.1").read_text()
    assert ".SH SYNOPSIS\n\\fBfirstseen top\\fR [OPTIONS]\n" in page
    assert ".TP\n\\fB\\-\\-once\\fR\nPrint one picture, with everything in it, and end.\n" in page


@pytest.mark.skipif(which("man") is None or which("groff") is None, reason="there is no man and groff on PATH")
def test_troff_has_nothing_to_say(folder: Path) -> None:
    for page in sorted(folder.iterdir()):
        command = ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", str(page)]
        env = os.environ | {"MANROFFSEQ": "", "MANWIDTH": "80", "LC_ALL": "C.UTF-8"}
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=env)
        assert (done.returncode, done.stderr) == (0, ""), page.name
        assert done.stdout
