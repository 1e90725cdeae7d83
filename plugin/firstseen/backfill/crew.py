"""Tasks done by processes beside this one, which tell of each in reports.

Workers are forked, so that they have what was loaded before: make the crew before there are threads, and before the
state is opened. A worker waits while nobody takes its report, so no more than one of each lies about. One whose parent
is gone finds its pipe closed, and ends.
"""

from __future__ import annotations

import multiprocessing
import signal
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from types import TracebackType
from typing import Any, Self, TypeAlias

from firstseen.backfill.reading import Report, Task
from firstseen.errors import FirstseenError

PATIENCE_S = 0.2
"""After this long without a report, `Crew.reports` gives None, so that its caller can see to other things."""

MOST = 512
"""Processes of a crew, at most: each takes files of this process, of which a thousand are commonly allowed."""

_OVER = None
"""What a worker sends behind the last report of a task."""

Pipe: TypeAlias = "Connection[Any, Any]"
Pair: TypeAlias = "tuple[Pipe, Pipe]"


class WorkerError(FirstseenError):
    """A process that reads files could not be started, has ended before its time, or failed."""


class Crew:
    """``count`` processes, at most `MOST`, each of which does tasks by ``read``.

    As a context manager they are gone at the end. Raises `WorkerError` where they cannot be started.
    """

    def __init__(self, count: int, read: Callable[[Task], Iterator[Report]]) -> None:
        context = multiprocessing.get_context("fork")
        self._ours: list[Pipe] = []
        self._workers: list[ForkProcess] = []
        pairs: list[Pair] = []
        try:
            for _ in range(count):
                pairs.append(context.Pipe())
                self._ours.append(pairs[-1][0])
            for own in range(count):
                worker = context.Process(target=_serve, args=(read, pairs, own), daemon=True)
                worker.start()
                self._workers.append(worker)
        except OSError as error:
            self.close()
            raise WorkerError(
                f"{count} processes that read files cannot be started: {error.strerror}; "
                "run the command with fewer --jobs"
            ) from error
        finally:
            for _, theirs in pairs:
                theirs.close()

    def reports(self, tasks: Iterable[Task]) -> Iterator[Report | None]:
        """The reports on all tasks, as they come; None now and then. Raises `WorkerError`."""
        waiting = iter(tasks)
        busy = {ours for ours in self._ours if self._give(ours, waiting)}
        while busy:
            ready = wait(list(busy), PATIENCE_S)
            if not ready:
                yield None
            for ours in busy.intersection(ready):
                said = self._take(ours)
                if said is not _OVER:
                    yield said
                elif not self._give(ours, waiting):
                    busy.remove(ours)

    def _give(self, ours: Pipe, tasks: Iterator[Task]) -> bool:
        task = next(tasks, None)
        if task is None:
            return False
        ours.send(list(task))
        return True

    def _take(self, ours: Pipe) -> Report | None:
        try:
            said = ours.recv()
        except (EOFError, OSError):
            worker = self._workers[self._ours.index(ours)]
            worker.join()
            raise WorkerError(
                f"a process that read files has ended with {_ending(worker.exitcode)}; if memory was short, "
                "run the command again with fewer --jobs: it goes on where it was"
            ) from None
        if isinstance(said, str):
            raise WorkerError(f"a process that read files has failed:\n{said}")
        report: Report | None = said
        return report

    def close(self) -> None:
        """End the processes, whatever they are at."""
        for worker in self._workers:
            worker.kill()
        for worker in self._workers:
            worker.join()
        for ours in self._ours:
            ours.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()


def _serve(read: Callable[[Task], Iterator[Report]], pairs: Sequence[Pair], own: int) -> None:
    """The life of a worker: it ends when its parent closes the pipe, or does."""
    for told in (signal.SIGINT, signal.SIGTERM):  # they go to all processes of a terminal, or of a service:
        signal.signal(told, signal.SIG_IGN)  # the parent sees to it
    for number, (ours, theirs) in enumerate(pairs):
        ours.close()  # else it would never be closed as long as this process is there
        if number != own:
            theirs.close()
    pipe = pairs[own][1]
    try:
        while True:
            task = pipe.recv()
            try:
                for report in read(task):
                    pipe.send(report)
                pipe.send(_OVER)
            except (BrokenPipeError, ConnectionResetError):
                raise
            except Exception:  # noqa: BLE001  # told of by the parent
                pipe.send(traceback.format_exc())
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


def _ending(code: int | None) -> str:
    return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
