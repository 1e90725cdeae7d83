"""The books of the fault suite find whatever is wrong: a checker that cannot fail is worth nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from support.faults import journal
from support.faults.ledger import MUST_BE_NONE, Ledger, SentChunk, SentRecord, Take, TakenRecord
from support.faults.play import FAULTS, Report
from support.faults.table import WORDS, table

ADA, BOB = "ada", "bob"


class Books:
    """A run in which nothing went wrong, and what each part of it may be replaced by."""

    def __init__(self) -> None:
        self.chunks = {
            "c1": SentChunk("c1", 0, "aws", [SentRecord("e1", b"1", ADA), SentRecord("r1", b"r")], digest=b"f1"),
            "c2": SentChunk("c2", 0, "aws", [SentRecord("e2", b"2", ADA)], digest=b"f2"),
            "c3": SentChunk("c3", 1, "aws", [SentRecord("e3", b"3", BOB)], digest=b"f3"),
            "c4": SentChunk("c4", 1, "aws", poison=True, digest=b"f4"),
        }
        self.handed = {"c1": 0, "c2": 1, "c3": 2, "c4": 3}
        self.acked = {"c1": 20, "c2": 30, "c3": 40, "c4": 50}
        self.takes = {
            "c1": Take(10, "c1", "aws", [TakenRecord("e1", b"1", ("a1",)), TakenRecord("r1", b"r")]),
            "c1 again": Take(15, "c1", "aws", [TakenRecord("e1", b"1", ("a1",)), TakenRecord("r1", b"r")]),
            "c2": Take(25, "c2", "aws", [TakenRecord("e2", b"2")]),
            "c3": Take(35, "c3", "aws", [TakenRecord("e3", b"3", ("a3",))]),
        }
        self.kept = [b"f4"]
        self.remembered = [ADA, BOB]

    def take(self, name: str, time_ns: int, chunk: str, *records: TakenRecord, tag: str = "aws") -> None:
        self.takes[name] = Take(time_ns, chunk, tag, records)

    @property
    def ledger(self) -> Ledger:
        ledger = Ledger()
        for chunk in self.chunks.values():
            ledger.sent(chunk)
        for name, time_ns in self.handed.items():
            ledger.handed_over(name, time_ns)
        for name, time_ns in self.acked.items():
            ledger.acked(name, time_ns)
        for take in self.takes.values():
            ledger.took(take)
        for digest in self.kept:
            ledger.kept(digest)
        for identity in self.remembered:
            ledger.remembered(identity)
        return ledger


def test_nothing_is_wrong_where_all_is_well() -> None:
    verdict = Books().ledger.verdict()

    assert verdict.problems == []
    assert {name: count for name, count in asdict(verdict.counts).items() if count} == {
        "chunks": 4,
        "sent": 4,
        "acked": 4,
        "delivered": 4,
        "repeated": 2,
        "kept": 1,
        "alerts_expected": 2,
        "alerts_delivered": 2,
        "alerts_repeated": 1,
        "remembered": 2,
    }


def lose_a_record(books: Books) -> None:
    books.take("c3", 35, "c3")


def lose_a_chunk(books: Books) -> None:
    del books.takes["c2"]


def never_ack(books: Books) -> None:
    del books.acked["c2"]


def lose_a_poison(books: Books) -> None:
    books.kept.clear()


def deliver_after_the_ack(books: Books) -> None:
    books.take("c3", 41, "c3", TakenRecord("e3", b"3", ("a3",)))


def lose_an_alert(books: Books) -> None:
    books.take("c3", 35, "c3", TakenRecord("e3", b"3"))


def alert_after_the_ack(books: Books) -> None:
    """The record came unlabelled in time, and labelled when its sender had forgotten it."""
    books.take("c3", 35, "c3", TakenRecord("e3", b"3"))
    books.take("c3 again", 41, "c3", TakenRecord("e3", b"3", ("a3",)))


def alert_with_another_id(books: Books) -> None:
    books.take("c1 again", 15, "c1", TakenRecord("e1", b"1", ("other",)))


def alert_with_the_id_of_another(books: Books) -> None:
    books.take("c3", 35, "c3", TakenRecord("e3", b"3", ("a1",)))


def repeat_in_another_chunk(books: Books) -> None:
    books.take("c1 again", 15, "other", TakenRecord("e1", b"1", ("a1",)))


def alert_for_a_second_event(books: Books) -> None:
    """In time, but chunks of one channel come in order: the first event is the one."""
    books.take("c2", 16, "c2", TakenRecord("e2", b"2", ("a2",)))


def alert_for_somebody_known(books: Books) -> None:
    books.chunks["c5"] = SentChunk("c5", 7, "aws", [SentRecord("e5", b"5", ADA)], digest=b"f5")
    books.handed["c5"], books.acked["c5"] = 21, 60
    books.take("c5", 55, "c5", TakenRecord("e5", b"5", ("a5",)))


def change_a_record(books: Books) -> None:
    books.take("c2", 25, "c2", TakenRecord("e2", b"other"))


def change_a_tag(books: Books) -> None:
    books.take("c2", 25, "c2", TakenRecord("e2", b"2"), tag="other")


def deliver_what_nobody_sent(books: Books) -> None:
    books.take("x", 25, "x", TakenRecord("x", b"x"))


def ack_what_nobody_sent(books: Books) -> None:
    books.acked["x"] = 25


def alert_for_no_match(books: Books) -> None:
    books.take("c1 again", 15, "c1", TakenRecord("r1", b"r", ("a9",)))


def forget_somebody(books: Books) -> None:
    books.remembered.remove(ADA)


def remember_somebody_unalerted(books: Books) -> None:
    books.remembered.append("eve")


@pytest.mark.parametrize(
    ("wrong", "kinds"),
    [
        (lose_a_record, {"lost", "alerts_lost", "unalerted"}),
        (lose_a_chunk, {"lost"}),
        (never_ack, {"lost"}),
        (lose_a_poison, {"lost"}),
        (deliver_after_the_ack, {"early", "alerts_early"}),
        (lose_an_alert, {"alerts_lost", "unalerted"}),
        (alert_after_the_ack, {"alerts_early"}),
        (alert_with_another_id, {"ids_differ"}),
        (alert_with_the_id_of_another, {"ids_differ"}),
        (repeat_in_another_chunk, {"ids_differ"}),
        (alert_for_a_second_event, {"alerts_doubled"}),
        (alert_for_somebody_known, {"alerts_doubled"}),
        (change_a_record, {"changed"}),
        (change_a_tag, {"changed"}),
        (deliver_what_nobody_sent, {"strange"}),
        (ack_what_nobody_sent, {"strange"}),
        (alert_for_no_match, {"strange"}),
        (forget_somebody, {"forgotten"}),
        (remember_somebody_unalerted, {"unalerted"}),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_each_wrong_is_found_and_called_by_its_name(wrong: Callable[[Books], None], kinds: set[str]) -> None:
    books = Books()
    wrong(books)

    verdict = books.ledger.verdict()

    counts = asdict(verdict.counts)
    assert {name for name in MUST_BE_NONE if counts[name]} == kinds
    assert {problem.partition(":")[0] for problem in verdict.problems} == kinds


def test_two_channels_may_race_for_somebody_whom_nobody_knows_yet() -> None:
    books = Books()
    books.chunks["c5"] = SentChunk("c5", 7, "aws", [SentRecord("e5", b"5", ADA)], digest=b"f5")
    books.handed["c5"], books.acked["c5"] = 19, 60
    books.take("c5", 55, "c5", TakenRecord("e5", b"5", ("a5",)))

    assert books.ledger.verdict().problems == []


def test_what_the_quarantine_keeps_is_not_lost() -> None:
    books = Books()
    del books.takes["c3"]
    books.kept.append(b"f3")
    books.remembered.remove(BOB)

    assert books.ledger.verdict().problems == []


def test_a_frame_that_was_cut_short_by_a_kill_was_not_taken(tmp_path: Path) -> None:
    written = journal.Journal(tmp_path / "j")
    written.write(1, [b"one", b"two"])
    written.write(2, [b"three"])
    whole = (tmp_path / "j").read_bytes()

    assert list(journal.read(tmp_path / "j")) == [(1, b"one"), (1, b"two"), (2, b"three")]
    for size in range(len(whole) - 1, len(whole) - 5 - journal.HEAD.size, -1):
        (tmp_path / "j").write_bytes(whole[:size])
        assert list(journal.read(tmp_path / "j")) == [(1, b"one"), (1, b"two")]


def test_the_table_says_everything() -> None:
    report = Report()
    report.faults.update(dict.fromkeys(FAULTS, 3))
    report.no_disk = "not permitted"
    text = table(report)

    assert set(WORDS) == set(asdict(report.counts))
    assert all(words in text for words in (*WORDS.values(), *FAULTS, "not permitted"))
    assert f"{3 * len(FAULTS)}" in text
