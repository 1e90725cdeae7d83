"""The one thread that writes: takes from the ledger what may be written, commits it, reports, and takes the next.

While one commit is on its way to the disk, confirmations gather in the ledger and go into the next: the slower the
disk, the larger the groups.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import NamedTuple

from firstseen.errors import StoreError
from firstseen.store.base import DamagedError
from firstseen.store.ledger import Change, Ledger, Outcome, resolve

FIRST_PAUSE_S, MOST_PAUSE_S = 0.1, 1.0
"""How long a patient writer waits until it tries a transaction again: at first, and at the most."""

_REFUSES = (
    "; until then nothing is remembered: chunks in which a rule matches are refused, and their senders keep them; all "
    "others go on"
)


class CommitError(StoreError):
    """A transaction was given up as a whole, and nothing of it was written; the next one may well succeed."""


class NoRoomError(CommitError):
    """The transaction was too large for the room that there is: a smaller one may find enough."""


class Job:
    """Something other than claims that has to be written, run in the writing thread between two transactions."""

    __slots__ = ("done", "run")

    def __init__(self, run: Callable[[], None]) -> None:
        self.run = run
        self.done: Future[None] = Future()


class _Attempt(NamedTuple):
    """What came of writing changes: futures to end, and if not all could be written, those that are left, and why."""

    outcomes: list[Outcome]
    left: Sequence[Change]
    problem: StoreError | None


class Writer:
    """Runs ``write`` on what ``ledger`` gives, from construction to `close`.

    ``lock`` guards the ledger: every call of it must hold it, here and elsewhere. ``write`` raises `CommitError` where
    only this transaction failed; after any other exception nothing is written any more, and everything fails with it.
    A `Job` may raise `DamagedError` as well: what it came upon others may never need.

    With ``trouble`` it is patient: a transaction that finds no room is halved, and one that fails all the same is tried
    again until it succeeds or `close` is called. Then ``trouble`` is told of the error when that begins, and of None
    when it is over, in the writing thread; and of what ends all writing.
    """

    def __init__(
        self,
        ledger: Ledger,
        lock: threading.Lock,
        write: Callable[[Sequence[Change]], None],
        name: str,
        trouble: Callable[[StoreError | None], None] | None = None,
    ) -> None:
        self._ledger = ledger
        self._write = write
        self._trouble = trouble
        self._work = threading.Condition(lock)
        self._jobs: deque[Job] = deque()
        self._closing = False
        self._broken = False
        self.problem: StoreError | None = None
        # A daemon thread: where close was never called, the process may end all the same. What was confirmed and not
        # yet written is not acknowledged either.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """There may be something to take. The caller holds the lock."""
        self._work.notify()

    def run(self, run: Callable[[], None]) -> Future[None]:
        """Have ``run`` run in the writing thread; the future ends as it does, or with `StoreError` after a break."""
        job = Job(run)
        with self._work:
            if self._broken or self._closing:
                job.done.set_exception(self.problem or StoreError("the state is closed"))
            else:
                self._jobs.append(job)
                self._work.notify()
        return job.done

    def close(self) -> None:
        """Write what can be written, end the thread, and wait for that."""
        with self._work:
            self._closing = True
            self._work.notify()
        self._thread.join()

    def _run(self) -> None:
        try:
            while (work := self._next()) is not None:
                resolve(self._do(work))
        except BaseException as error:  # noqa: BLE001  # raised again in everyone who waits: nobody may wait for ever
            self._break(error)

    def _next(self) -> Job | Sequence[Change] | None:
        with self._work:
            while True:
                if self._jobs:
                    return self._jobs[0]
                changes = self._ledger.take()
                if changes:
                    return changes
                if self._closing:
                    return None
                self._work.wait()

    def _do(self, work: Job | Sequence[Change]) -> list[Outcome]:
        if isinstance(work, Job):
            problem = self._attempt(work)
            with self._work:
                self.problem = problem
                self._jobs.popleft()
            return [Outcome(work.done, problem)]
        attempt = self._after(self._commit(work))
        with self._work:
            self.problem = attempt.problem
            if attempt.problem is not None:
                attempt.outcomes.extend(self._ledger.failed(attempt.left, attempt.problem))
        return attempt.outcomes

    def _attempt(self, work: Job | Sequence[Change]) -> StoreError | None:
        """Why it could not be written, this time."""
        try:
            if isinstance(work, Job):
                work.run()
            else:
                self._write(work)
        except CommitError as error:
            return error
        except DamagedError as error:
            if not isinstance(work, Job):  # the next ones are delivered, fail and come again, without end
                raise
            return error
        return None

    def _commit(self, changes: Sequence[Change]) -> _Attempt:
        """Write them, in parts where there is no room for all at once.

        LMDB writes each page that a transaction touches anew, and uses the old ones again only after the next one. So a
        transaction that touches most pages needs as many again, which a map that is half empty does not have.
        """
        outcomes: list[Outcome] = []
        ahead = [changes]
        while ahead:
            part = ahead.pop()
            try:
                problem = self._attempt(part)
            except BaseException:
                resolve(outcomes)  # these are durable, and nobody else knows of them any more
                raise
            if problem is None:
                with self._work:
                    outcomes += self._ledger.committed(part)
            elif isinstance(problem, NoRoomError) and self._trouble is not None and len(part) > 1:
                half = len(part) // 2
                ahead += (part[half:], part[:half])
            else:
                left = [change for each in (part, *reversed(ahead)) for change in each]
                return _Attempt(outcomes, left, problem)
        return _Attempt(outcomes, (), None)

    def _after(self, attempt: _Attempt) -> _Attempt:
        """What came of it where it failed at first: a patient writer does not leave it at that."""
        if attempt.problem is None or self._trouble is None or self._closing:
            return attempt
        self._trouble(attempt.problem)
        last = self._insist(attempt)
        if last.problem is None:
            self._trouble(None)
        return last

    def _insist(self, attempt: _Attempt) -> _Attempt:
        """Try again until it is written, or until the store closes."""
        pause_s = FIRST_PAUSE_S
        while attempt.problem is not None:
            with self._work:
                self.problem = attempt.problem
            resolve(attempt.outcomes)
            attempt = _Attempt([], attempt.left, attempt.problem)
            with self._work:
                self._work.wait_for(lambda: self._closing or self._jobs, pause_s)
                if self._closing:
                    break
                job = self._jobs[0] if self._jobs else None
            if job is not None:  # it may be the one that makes room
                outcome = Outcome(job.done, self._attempt(job))
                with self._work:
                    self._jobs.popleft()
                resolve([outcome])
            pause_s = min(2 * pause_s, MOST_PAUSE_S)
            attempt = self._commit(attempt.left)
        return attempt

    def _break(self, error: BaseException) -> None:
        what = (
            error
            if isinstance(error, StoreError)
            else f"the state cannot be written any more: {error!r}; start firstseen anew"
        )
        problem = StoreError(f"{what}{_REFUSES}")
        problem.__cause__ = error
        with self._work:
            self._broken = True
            self.problem = problem
            outcomes = self._ledger.abandon(problem)
            outcomes += [Outcome(job.done, problem) for job in self._jobs]
            self._jobs.clear()
        if self._trouble is not None:
            self._trouble(problem)
        resolve(outcomes)
