"""The files that paths lead to: each once, in order, with what cannot be read told of."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from firstseen.errors import Problem
from firstseen.rules.testing import is_test_file


def toml_files(paths: Iterable[Path], problems: list[Problem], wanted: str = "") -> Iterator[Path]:
    """The files in ``paths``, and the ``*.toml`` at any depth in its directories, each once; tests are left alone.

    A directory without any is a problem, which says that there is no ``wanted`` in it, if something is wanted. So is
    one that is called ``*.toml``: where a file is expected, a mount that finds none leaves an empty directory. So is
    any link in a directory that leads nowhere, since what it led to may have been a directory full of them.
    """
    seen: set[Path] = set()
    for path in paths:
        for file in _found(path, problems, wanted):
            if file.absolute() not in seen:
                seen.add(file.absolute())
                yield file


def _found(path: Path, problems: list[Problem], wanted: str) -> list[Path]:
    if not _is_directory(path):
        return [path]
    if _is_wanted(path.name):
        problems.append(_no_file(path))
        return []
    return _walk(path, problems, wanted)


def _no_file(directory: Path) -> Problem:
    what = "cannot be read: it is a directory with the name of a file: put a file in its place, or rename it"
    return Problem(str(directory), None, what)


def _is_directory(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a directory above it is closed to us; reading it as a file will say so
        return False


def _walk(directory: Path, problems: list[Problem], wanted: str) -> list[Path]:
    """The files below ``directory``, links followed, each directory once.

    Hidden names are passed over, because a mounted ConfigMap has copies there.
    """

    def unreadable(error: OSError) -> None:
        problems.append(Problem(str(error.filename), None, f"cannot be read: {error.strerror}"))

    found: list[Path] = []
    entered = {directory.resolve()}
    for folder, folders, names in os.walk(directory, onerror=unreadable, followlinks=True):
        problems += [_no_file(Path(folder, name)) for name in sorted(folders) if _is_wanted(name)]
        visible = {Path(folder, name).resolve(): name for name in sorted(folders) if not _is_passed_over(name)}
        folders[:] = [name for place, name in visible.items() if place not in entered]
        entered.update(visible)
        for name in sorted(names):
            file = Path(folder, name)
            broken = _broken(file)
            if broken is not None:
                problems.append(broken)
            elif _is_wanted(name):
                found.append(file)
    if wanted and not found:
        problems.append(Problem(str(directory), None, f"no {wanted} in this directory: no *.toml at any depth"))
    return sorted(found)


def _broken(file: Path) -> Problem | None:
    """What is wrong with a link that cannot be followed. Hidden ones are harmless: editors have them for locks."""
    if file.name.startswith(".") or is_test_file(file.name) or not file.is_symlink():
        return None
    try:
        file.stat()
    except OSError as error:
        what = "a link that leads nowhere: mend or remove it"
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            what = f"cannot be read: {error.strerror}"
        return Problem(str(file), None, what)
    return None


def _is_passed_over(folder: str) -> bool:
    return folder.startswith(".") or _is_wanted(folder)


def _is_wanted(name: str) -> bool:
    return name.endswith(".toml") and not name.startswith(".") and not is_test_file(name)
