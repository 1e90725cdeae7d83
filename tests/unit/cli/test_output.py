from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from firstseen.cli.output import written
from firstseen.store.lmdb import LmdbStore
from support.pages import ROOT

RULES = str(ROOT / "rules")


def firstseen(*arguments: str | Path, stdout: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "firstseen", *map(str, arguments)]
    return subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("--version",),
        ("run", "--help"),
        ("completion", "bash"),
        ("rules", "list", RULES),
        ("rules", "list", "--output", "json", RULES),
        ("fields", "event.json"),
        ("replay", "--rules", RULES, "--all", "event.json"),
        ("explain", "--rules", RULES, "event.json"),
        ("state", "export", "--state", "state"),
        ("state", "stats", "--state", "state"),
    ],
    ids=str,
)
def test_a_full_output_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]) -> None:
    monkeypatch.chdir(tmp_path)
    Path("event.json").write_text('{"eventSource": "sts.amazonaws.com", "eventName": "GetCallerIdentity"}\n')
    LmdbStore.open(Path("state"), 1 << 20).close()
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        ended = firstseen(*arguments, stdout=full)
    finally:
        os.close(full)
    *before, last = ended.stderr.splitlines()
    assert last == "firstseen: the output cannot be written: No space left on device"
    assert "Traceback" not in ended.stderr, before
    assert ended.returncode == 1


def test_who_reads_no_further_hears_nothing() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ended = firstseen("completion", "bash", stdout=writing)
    finally:
        os.close(writing)
    assert (ended.returncode, ended.stderr) == (1, "")


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device", "some file"), OSError(errno.EBADF, "Bad descriptor")]
)
def test_what_is_no_trouble_with_the_output_stays_what_it_is(error: OSError) -> None:
    with pytest.raises(OSError, match=str(error.strerror)) as raised, written():
        raise error
    assert raised.value is error


def test_an_output_that_is_closed_takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with written():
        pass
