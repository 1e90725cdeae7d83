from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import pytest

from firstseen.detect.law import Occurrence
from firstseen.detect.new_terms import NewTermsLaw
from firstseen.errors import StoreError
from firstseen.model import Verdict
from firstseen.store.base import Claim, RuleState
from firstseen.store.ledger import Change, Ledger
from firstseen.store.writer import CommitError, NoRoomError, Writer

RULE = RuleState(b"8 bytes.", "rule", "Rule")
LONG = 60


class Disk:
    """What is written, and a gate before it: closed, it holds the writer in the middle of a transaction."""

    def __init__(self) -> None:
        self.transactions: list[list[str]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.at_the_gate = threading.Semaphore(0)
        self.fault: BaseException | None = None
        self.room = 1_000
        self.breaks_after: int | None = None

    def write(self, changes: Sequence[Change]) -> None:
        self.at_the_gate.release()
        assert self.gate.wait(LONG)
        if self.fault is not None:
            raise self.fault
        if len(changes) > self.room:
            raise NoRoomError("too much at once")
        if len(self.transactions) == self.breaks_after:
            raise StoreError("the state is damaged")
        self.transactions.append([str(change.terms[0]) for change in changes])


class Bench:
    """A writer with its ledger, called as a store calls them."""

    def __init__(self, trouble: Callable[[StoreError | None], None] | None = None) -> None:
        self.disk = Disk()
        self.lock = threading.Lock()
        self.ledger = Ledger(lambda key: None)
        self.writer = Writer(self.ledger, self.lock, self.disk.write, "under test", trouble)

    def claim(self, term: str, event: str = "e1") -> Claim:
        with self.lock:
            return self.ledger.claim(RULE, (term,), Occurrence(100, event), NewTermsLaw(10))

    def confirm(self, *claims: Claim):
        with self.lock:
            future = self.ledger.confirm(claims)
            self.writer.wake()
        return future


@pytest.fixture
def bench():
    made = Bench()
    yield made
    made.disk.gate.set()
    made.writer.close()


def test_what_is_confirmed_is_written(bench):
    future = bench.confirm(bench.claim("x"), bench.claim("y"))
    assert future.result(LONG) is None
    assert bench.disk.transactions == [["x", "y"]]
    assert bench.writer.problem is None


def test_what_comes_during_a_commit_goes_into_the_next_one_together(bench):
    bench.disk.gate.clear()
    first = bench.confirm(bench.claim("a"))
    assert bench.disk.at_the_gate.acquire(timeout=LONG)
    later = [bench.confirm(bench.claim(term)) for term in "bcd"]
    assert not first.done()
    bench.disk.gate.set()
    for future in (first, *later):
        future.result(LONG)
    assert bench.disk.transactions == [["a"], ["b", "c", "d"]]


def test_a_transaction_without_room_fails_alone(bench):
    bench.disk.fault = CommitError("no room")
    with pytest.raises(StoreError, match="no room"):
        bench.confirm(bench.claim("x")).result(LONG)
    assert str(bench.writer.problem) == "no room"
    bench.disk.fault = None
    again = bench.claim("x")
    assert again.verdict is Verdict.NEW
    assert bench.confirm(again).result(LONG) is None
    assert bench.writer.problem is None


class TestPatience:
    def test_what_finds_no_room_is_written_when_there_is_some(self):
        told: list[str] = []
        bench = Bench(lambda problem: told.append(str(problem)))
        bench.disk.fault = CommitError("no room")
        alert = bench.claim("x")
        future = bench.confirm(alert)
        for _ in range(2):
            assert bench.disk.at_the_gate.acquire(timeout=LONG)
        assert not future.done()
        later = bench.claim("x", "e2")
        # Its alert is delivered, and waits for the disk: another event must not alert in its place.
        assert (alert.verdict, later.verdict) == (Verdict.NEW, Verdict.KNOWN)
        assert str(bench.writer.problem) == "no room"
        bench.disk.fault = None
        assert future.result(LONG) is None
        assert bench.confirm(later).result(LONG) is None
        assert (bench.disk.transactions, bench.writer.problem) == ([["x"], ["x"]], None)
        assert told == ["no room", "None"]
        bench.writer.close()

    def test_what_is_too_much_at_once_is_written_in_parts(self):
        told: list[StoreError | None] = []
        bench = Bench(told.append)
        bench.disk.room = 2
        claims = [bench.claim(term) for term in "abcde"]
        future, other = bench.confirm(*claims), bench.confirm(bench.claim("f"))
        assert future.result(LONG) is None
        assert other.result(LONG) is None
        assert sorted(term for part in bench.disk.transactions for term in part) == [*"abcdef"]
        assert all(len(part) <= 2 for part in bench.disk.transactions)
        assert (told, bench.writer.problem) == ([], None)
        bench.writer.close()

    def test_what_is_left_of_it_waits_for_room_and_the_rest_is_not_written_twice(self):
        told: list[str] = []
        bench = Bench(lambda problem: told.append(str(problem)))
        write = bench.disk.write

        def full_behind_two(changes: Sequence[Change]) -> None:
            bench.disk.room = 2 - sum(map(len, bench.disk.transactions))
            write(changes)

        bench.writer._write = full_behind_two
        future = bench.confirm(*(bench.claim(term) for term in "abcd"))
        while not told:
            assert bench.disk.at_the_gate.acquire(timeout=LONG)
        assert not future.done()
        assert str(bench.writer.problem) == "too much at once"
        assert bench.disk.transactions == [["a", "b"]]

        bench.writer._write = write
        bench.disk.room = 2
        assert future.result(LONG) is None
        assert bench.disk.transactions == [["a", "b"], ["c", "d"]]
        assert (told, bench.writer.problem) == (["too much at once", "None"], None)
        bench.writer.close()

    def test_who_does_not_wait_for_room_has_all_of_it_or_nothing(self, bench):
        bench.disk.room = 2
        with pytest.raises(NoRoomError, match="too much at once"):
            bench.confirm(*(bench.claim(term) for term in "abc")).result(LONG)
        assert bench.disk.transactions == []

    def test_it_ends_when_the_store_closes(self):
        told: list[str] = []
        bench = Bench(lambda problem: told.append(str(problem)))
        bench.disk.fault = CommitError("no room")
        future = bench.confirm(bench.claim("x"))
        assert bench.disk.at_the_gate.acquire(timeout=LONG)
        bench.writer.close()
        with pytest.raises(StoreError, match="no room"):
            future.result(0)
        assert told == ["no room"]

    def test_what_is_damaged_stays_so(self):
        bench = Bench(lambda problem: None)
        bench.disk.fault = StoreError("damaged")
        with pytest.raises(StoreError, match="damaged"):
            bench.confirm(bench.claim("x")).result(LONG)
        bench.writer.close()

    def test_damage_is_found_while_waiting(self):
        bench = Bench(lambda problem: None)
        bench.disk.fault = CommitError("no room")
        future = bench.confirm(bench.claim("x"))
        assert bench.disk.at_the_gate.acquire(timeout=LONG)
        bench.disk.fault = StoreError("damaged")
        with pytest.raises(StoreError, match="damaged"):
            future.result(LONG)
        bench.writer.close()


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (StoreError("damaged"), "damaged"),
        (ZeroDivisionError("a bug"), r"cannot be written any more: ZeroDivisionError\('a bug'\)"),
    ],
)
def test_any_other_fault_is_the_end(bench, fault, says):
    pending = bench.claim("y")
    bench.disk.gate.clear()
    bench.disk.fault = fault
    futures = [bench.confirm(bench.claim("x"))]
    assert bench.disk.at_the_gate.acquire(timeout=LONG)
    futures.append(bench.confirm(bench.claim("x", "e2")))
    job = bench.writer.run(lambda: None)
    bench.disk.gate.set()
    for future in (*futures, job):
        with pytest.raises(StoreError, match=says):
            future.result(LONG)
    for late in (bench.confirm(pending), bench.writer.run(lambda: None)):
        with pytest.raises(StoreError, match=says):
            late.result(0)
    with pytest.raises(StoreError, match=says):
        bench.claim("z")
    assert bench.writer.problem is not None
    assert fault in (bench.writer.problem, bench.writer.problem.__cause__)
    assert bench.disk.transactions == []


def test_jobs_run_in_the_writing_thread_in_their_order(bench):
    ran: list[str] = []
    bench.writer.run(lambda: ran.append(threading.current_thread().name))
    bench.writer.run(lambda: ran.append("second")).result(LONG)
    assert ran == ["under test", "second"]


def test_a_job_may_find_no_room(bench):
    def fail() -> None:
        raise CommitError("no room")

    with pytest.raises(StoreError, match="no room"):
        bench.writer.run(fail).result(LONG)
    assert str(bench.writer.problem) == "no room"
    assert bench.confirm(bench.claim("x")).result(LONG) is None


def test_a_job_may_break_it(bench):
    with pytest.raises(StoreError, match="ZeroDivisionError"):
        bench.writer.run(lambda: print(1 // 0)).result(LONG)
    with pytest.raises(StoreError, match="ZeroDivisionError"):
        bench.claim("x")


def test_closing_writes_what_is_confirmed(bench):
    bench.disk.gate.clear()
    futures = [bench.confirm(bench.claim("a"))]
    assert bench.disk.at_the_gate.acquire(timeout=LONG)
    futures.append(bench.confirm(bench.claim("b")))
    waiting_for_pending = bench.claim("c")
    futures.append(bench.confirm(bench.claim("c", "e2")))
    bench.disk.gate.set()
    bench.writer.close()
    assert bench.disk.transactions == [["a"], ["b"]]
    assert [future.done() for future in futures] == [True, True, False]
    assert waiting_for_pending.verdict is Verdict.NEW
    with pytest.raises(StoreError, match="closed"):
        bench.writer.run(lambda: None).result(0)


def test_a_callback_may_use_the_store(bench):
    done = threading.Event()
    claims: list[Claim] = []

    def react(_: object) -> None:
        claims.append(bench.claim("y"))
        done.set()

    bench.confirm(bench.claim("x")).add_done_callback(react)
    assert done.wait(LONG)
    assert claims[0].verdict is Verdict.NEW


def test_a_patient_writer_lets_jobs_make_room(made_patient):
    bench, told = made_patient
    bench.disk.fault = CommitError("no room")
    waiting = bench.confirm(bench.claim("x"))
    assert bench.disk.at_the_gate.acquire(timeout=LONG)

    def make_room() -> None:
        bench.disk.fault = None

    with pytest.raises(StoreError, match="not this time"):
        bench.writer.run(raising(CommitError("not this time"))).result(LONG)
    bench.writer.run(make_room).result(LONG)
    waiting.result(LONG)
    assert [str(each) for each in told] == ["no room", "None"]
    assert bench.writer.problem is None


def test_a_job_may_break_a_patient_writer(made_patient):
    bench, _ = made_patient
    bench.disk.fault = CommitError("no room")
    waiting = bench.confirm(bench.claim("x"))
    assert bench.disk.at_the_gate.acquire(timeout=LONG)
    job = bench.writer.run(raising(StoreError("damaged")))
    for future in (job, waiting):
        with pytest.raises(StoreError, match="damaged"):
            future.result(LONG)


def test_closing_a_patient_writer_tells_of_nothing_more(made_patient):
    bench, told = made_patient
    bench.disk.fault = CommitError("no room")
    first = bench.confirm(bench.claim("x"))
    assert bench.disk.at_the_gate.acquire(timeout=LONG)
    second = bench.confirm(bench.claim("y"))
    bench.writer.close()
    for future in (first, second):
        with pytest.raises(StoreError, match="no room"):
            future.result(LONG)
    assert [str(each) for each in told] == ["no room"]


def raising(error: Exception) -> Callable[[], None]:
    def run() -> None:
        raise error

    return run


@pytest.fixture
def made_patient():
    told: list[StoreError | None] = []
    made = Bench(told.append)
    yield made, told
    made.writer.close()


def test_what_was_written_before_it_breaks_is_told_of():
    bench = Bench(trouble=lambda _: None)
    bench.disk.room, bench.disk.breaks_after = 1, 1
    with bench.lock:
        claims = [bench.ledger.claim(RULE, (term,), Occurrence(100, "e1"), NewTermsLaw(10)) for term in "xy"]
        first, second = (bench.ledger.confirm([claim]) for claim in claims)
        bench.writer.wake()
    first.result(LONG)
    with pytest.raises(StoreError, match="damaged"):
        second.result(LONG)
    assert bench.disk.transactions == [["x"]]
