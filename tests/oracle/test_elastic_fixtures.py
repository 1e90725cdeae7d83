"""CloudTrail as Elastic's own pipeline maps it, where its fixtures lie beside the checkout."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

SHARED = Path(__file__).parents[2] / "../shared"
SCORER = SHARED / "tools/ecs_check.py"

MAPPER = """
from firstseen.record.view import views
def to_ecs(raw):
    return views(raw)[0].document()
"""

pytestmark = pytest.mark.skipif(not SCORER.is_file(), reason="no ../shared beside the checkout")


def score(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    mapper = folder / "mapper.py"
    mapper.write_text(MAPPER, "utf-8")
    return subprocess.run(
        [sys.executable, SCORER, mapper, "--dir", SHARED / "data/ecs", *arguments],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_every_field_that_rules_use(tmp_path: Path) -> None:
    scored = score(tmp_path)

    assert scored.returncode == 0, scored.stdout + scored.stderr
    assert "396/396 field values equal" in scored.stdout


def test_user_agents(tmp_path: Path) -> None:
    assert "apart, user-agent database: 44/44\n" in score(tmp_path, "--all").stdout


def test_what_differs_beyond_the_fields_that_rules_use_is_known(tmp_path: Path) -> None:
    """``related.user`` holds ``user.id`` since the fixtures were made; they take a digest for the one before it."""
    differing = re.findall(r"^ +[0-9]+/[0-9]+ +-  (\S+)$", score(tmp_path, "--all").stdout, re.MULTILINE)

    assert differing == ["related.user", "file.hash.sha256", "related.hash"]
