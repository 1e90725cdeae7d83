import os
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
