import os
import time
from pathlib import Path

from firstseen.status.process import ProcessReader


def test_this_process() -> None:
    reader = ProcessReader()
    before = reader.read()
    with Path(os.devnull).open() as file:
        during = reader.read()
        assert file.fileno() >= 0

    assert 0 < before.cpu_s <= during.cpu_s
    assert 1 << 20 < before.resident_bytes < before.virtual_bytes
    assert 0 < time.time() - before.started_s < 86_400
    assert before.open_files < during.open_files <= during.most_files


def test_a_name_with_anything_in_it(tmp_path: Path) -> None:
    fields = " ".join(["S", *map(str, range(1, 50))])
    (tmp_path / "stat").write_text(f"7 (a ) b (c)) {fields}\n")
    (tmp_path / "fd").mkdir()

    found = ProcessReader(tmp_path).read()

    assert (found.virtual_bytes, found.open_files) == (20, 0)
    assert found.resident_bytes == 21 * os.sysconf("SC_PAGE_SIZE")


def test_files_without_a_limit(monkeypatch) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _: (-1, -1))

    assert ProcessReader().read().most_files == float("inf")
