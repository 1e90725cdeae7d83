import multiprocessing
import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from firstseen.backfill.crew import Crew, WorkerError
from firstseen.backfill.reading import Part, Report, Task, Totals


def read(task: Task) -> Iterator[Report]:
    """Two reports for each part; some names do worse."""
    for part in task:
        if part.file == "fails":
            raise ValueError("on purpose")
        if part.file == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        if part.file == "told to end":
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGINT)
        if part.file == "waits":
            Path(str(part.mark, "ascii")).touch()
            signal.pause()
        yield Report(totals=Totals(files=1), unreadable=[f"{part.file} {os.getpid()}"])
        yield Report(totals=Totals(events=part.start))


def test_every_task_is_done_once_beside_this_process() -> None:
    with Crew(2, read) as crew:
        reports = [report for report in crew.reports([Part(str(n), start=n)] for n in range(50)) if report is not None]

    sums = Totals()
    for report in reports:
        sums.add(report.totals)
    assert (sums.files, sums.events) == (50, sum(range(50)))
    said = [line.split() for report in reports for line in report.unreadable]
    assert sorted(int(file) for file, _ in said) == list(range(50))
    assert str(os.getpid()) not in {pid for _, pid in said}


def test_none_comes_while_nothing_else_does(tmp_path: Path) -> None:
    waits = Part("waits", str(tmp_path / "there").encode())

    with Crew(1, read) as crew:
        first = next(crew.reports([[waits]]))
        assert first is None


def test_what_is_told_to_all_processes_is_for_the_parent_to_see_to() -> None:
    with Crew(1, read) as crew:
        reports = [report for report in crew.reports([[Part("told to end")]]) if report is not None]
    assert len(reports) == 2


def test_a_worker_that_fails_is_told_of() -> None:
    with Crew(2, read) as crew, pytest.raises(WorkerError, match=r"has failed:\n(?s:.*)ValueError: on purpose"):
        list(crew.reports([[Part("fails")]]))


def test_a_worker_that_dies_is_told_of() -> None:
    with Crew(2, read) as crew, pytest.raises(WorkerError, match=r"ended with signal 9; .* fewer --jobs"):
        list(crew.reports([[Part("dies")]]))


@pytest.mark.parametrize("pipes", [2, 1], ids=["not even pipes", "no process"])
def test_processes_that_cannot_be_started_are_told_of_and_none_is_left(pipes: int) -> None:
    def is_open(number: int) -> bool:
        try:
            os.fstat(number)
        except OSError:
            return False
        return True

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = [number for number in range(4_096) if is_open(number)]
    most = max(files) + 9
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    try:
        with pytest.raises(WorkerError, match=r"cannot be started: Too many open files; .* fewer --jobs"):
            Crew((most - len(files)) * pipes // 2, read)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert [number for number in range(max(files) + 100) if is_open(number)] == files
    assert multiprocessing.active_children() == []
