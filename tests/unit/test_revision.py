from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from firstseen.revision import revision

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("written", "told"),
    [("$Format:%H$\n", ""), ("0123abc\n", "0123abc"), ("0123abc+changes\n", "0123abc+changes")],
)
def test_what_is_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str, told: str) -> None:
    (tmp_path / "revision.txt").write_text(written)
    monkeypatch.setattr("firstseen.revision._FILE", tmp_path / "revision.txt")
    revision.cache_clear()
    try:
        assert revision() == told
    finally:
        revision.cache_clear()


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "commit.gpgsign=false"]
    return subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


def built(folder: Path) -> str:
    """What stands in the file where ``folder`` is built."""
    shutil.rmtree(folder / "build", ignore_errors=True)
    command = [sys.executable, "setup.py", "--quiet", "build_py", "--build-lib", "build"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=60)
    return (folder / "build/firstseen/revision.txt").read_text().strip()


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git on PATH")
def test_what_is_built_of_a_checkout_or_an_archive_knows_its_revision(tmp_path: Path) -> None:
    """Of a small package with our setup.py and attributes. What `make dist` builds has tests of its own."""
    pytest.importorskip("setuptools")
    checkout = tmp_path / "checkout"
    package = checkout / "plugin/firstseen"
    package.mkdir(parents=True)
    for name in ("setup.py", "pyproject.toml", ".gitattributes"):
        shutil.copy(ROOT / name, checkout / name)
    (checkout / "setup.cfg").write_text(
        "[metadata]\nname = firstseen\nversion = 1\n[options]\npackage_dir =\n    = plugin\npackages = firstseen\n"
        "[options.package_data]\nfirstseen = revision.txt\n"
    )
    (checkout / ".gitignore").write_text("build\n*.egg-info\n")
    (package / "__init__.py").write_text("")
    shutil.copy(ROOT / "plugin/firstseen/revision.txt", package / "revision.txt")
    assert built(checkout) == "$Format:%H$", "not known"
    git(checkout, "init", "--quiet")
    git(checkout, "add", ".")
    git(checkout, "commit", "--quiet", "-m", "x")
    commit = git(checkout, "rev-parse", "HEAD")
    assert built(checkout) == commit
    archive = tmp_path / "archive"
    archive.mkdir()
    git(checkout, "archive", "--output", str(tmp_path / "archive.tar"), "HEAD")
    shutil.unpack_archive(tmp_path / "archive.tar", archive)
    assert (archive / "plugin/firstseen/revision.txt").read_text().strip() == commit
    assert built(archive) == commit
    (package / "__init__.py").write_text("# another one\n")
    assert built(checkout) == f"{commit}+changes"
