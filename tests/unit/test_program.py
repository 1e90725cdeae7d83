from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest
import tomli

from firstseen import program


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "package"
    (folder / "rules" / "__pycache__").mkdir(parents=True)
    (folder / "rules" / "query.py").write_text("one")
    monkeypatch.setattr(program, "__file__", str(folder / "program.py"))
    return folder


def test_another_source_is_another_program(package: Path) -> None:
    one = program.digest()
    (package / "rules" / "__pycache__" / "query.pyc").write_text("compiled")
    assert program.digest() == one
    (package / "rules" / "query.py").write_text("two")
    two = program.digest()
    assert two != one
    (package / "rules" / "query.py").rename(package / "query.py")
    assert program.digest() not in (one, two)


@pytest.mark.parametrize("what", [tomli, msgspec])
def test_another_reader_of_files_is_another_program(
    package: Path, monkeypatch: pytest.MonkeyPatch, what: object
) -> None:
    one = program.digest()
    monkeypatch.setattr(what, "__version__", "0")
    assert program.digest() != one


def test_what_editors_leave_is_no_source(package: Path) -> None:
    one = program.digest()
    (package / ".#query.py").symlink_to("somebody@somewhere.1")
    (package / "query.py~").write_text("x")
    (package / "gone.py").symlink_to("nowhere")
    os.mkfifo(package / "pipe.py")
    assert program.digest() == one


def test_a_source_that_cannot_be_read_makes_it_unknown(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object, **__: object) -> None:
        raise FileNotFoundError("it was there just now")

    monkeypatch.setattr(program, "FileIO", gone)
    with pytest.raises(OSError, match="just now"):
        program.digest()
    program.loaded.cache_clear()
    assert program.loaded() is None
    program.loaded.cache_clear()


def test_what_was_loaded_stays_what_it_is(package: Path) -> None:
    program.loaded.cache_clear()
    one = program.loaded()
    (package / "rules" / "query.py").write_text("two")
    assert program.loaded() == one != program.digest()
    program.loaded.cache_clear()


def test_another_python_is_another_program(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = program.digest()
    monkeypatch.setattr("sys.version", "4.0")
    assert program.digest() != one
