import os
import subprocess
from pathlib import Path
from shutil import which

import pytest
from click.testing import CliRunner

from firstseen.cli import main
from support.agent import FIRSTSEEN

COMPLETES = """
source <("$1" completion bash)
COMP_WORDS=(firstseen {words}) COMP_CWORD={at} COMPREPLY=()
_firstseen_completion "$1" "${{COMP_WORDS[{at}]}}" ""
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_what_is_printed_asks_the_command(shell: str) -> None:
    result = CliRunner().invoke(main, ["completion", shell])
    assert result.exit_code == 0
    assert f"_FIRSTSEEN_COMPLETE={shell}_complete" in result.stdout


def test_another_shell() -> None:
    assert CliRunner().invoke(main, ["completion", "tcsh"]).exit_code == 2


@pytest.mark.skipif(which("bash") is None, reason="there is no bash on PATH")
@pytest.mark.parametrize(
    ("words", "at", "completed"),
    [
        ("t", 1, ["top", "tap"]),
        ("top --o", 2, ["--once"]),
        ("state co", 2, ["compact"]),
        ("completion ''", 2, ["bash", "zsh", "fish"]),
    ],
)
def test_bash_completes(words: str, at: int, completed: list[str], tmp_path: Path) -> None:
    script = COMPLETES.format(words=words, at=at)
    done = subprocess.run(
        ["bash", "-c", script, "bash", str(FIRSTSEEN)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
        env=os.environ | {"PATH": f"{FIRSTSEEN.parent}:{os.environ['PATH']}"},
    )
    assert (done.stdout.split(), done.stderr) == (completed, "")
