import codecs
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from firstseen import eventfiles
from firstseen.backfill import blocks, reading
from firstseen.backfill.gathering import Span
from firstseen.backfill.reading import DONE, Part, Reader, Report, Totals
from support.rulebook import call, rule_id, rule_set, rule_text

RULE_ID = "5f1c7f0e-0000-4000-8000-000000000001"
EVER = {RULE_ID: Span(0, 1 << 62)}
ADA, BOB = "arn:aws:iam::111122223333:user/ada", "arn:aws:iam::111122223333:user/bob"


def reader(query: str | None = None) -> Reader:
    return Reader(rule_set(rule_text(query) if query else rule_text()), EVER)


def write(path: Path, *events: dict[str, Any]) -> Path:
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, events)).encode()))
    return path


def terms(*reports: Report) -> list[str]:
    return sorted(str(entry.terms[0]) for report in reports for entry in report.found.values())


def test_a_task_is_told_of_in_one_report(tmp_path: Path) -> None:
    one = write(tmp_path / "1", call(ADA, "e-1"), call(ADA, "e-2", "AssumeRole"), call(BOB, "e-3"))
    two = write(tmp_path / "2", call(ADA, "e-4"))

    (report,) = reader().read([Part(str(one), b"one"), Part(str(two), b"two")])

    assert terms(report) == [ADA, BOB]
    assert report.marks == {b"one": DONE, b"two": DONE}
    content = sum(len(gzip.decompress(path.read_bytes())) for path in (one, two))
    stored = sum(path.stat().st_size for path in (one, two))
    assert report.totals == Totals(files=2, stored=stored, content=content, events=4, candidates=3, matches=3)
    assert report.unreadable == []


def test_every_event_is_looked_at_where_a_rule_has_no_needle(tmp_path: Path) -> None:
    file = write(tmp_path / "1", call(ADA, "e-1"), call(BOB, "e-2", "AssumeRole"))

    (report,) = reader("event.action: *").read([Part(str(file), b"one")])

    assert (report.totals.candidates, terms(report)) == (2, [ADA, BOB])


def test_each_rule_has_its_own_sightings(tmp_path: Path) -> None:
    assume, every = rule_id(2), rule_id(3)
    rules = rule_set(
        rule_text(),
        rule_text('event.action: "AssumeRole"', rule_id=assume),
        rule_text("event.action: *", rule_id=every),
    )
    file = write(tmp_path / "1", call(ADA, "e-1"), call(BOB, "e-2", "AssumeRole"), call("carol", "e-3", "Other"))

    made = Reader(rules, {rule: Span(0, 1 << 62) for rule in (RULE_ID, assume, every)})
    (report,) = made.read([Part(str(file), b"one")])

    keys = {state.rule_id: state.key for state in made.rules}
    found = {(entry.rule_key, entry.terms[0]) for entry in report.found.values()}
    assert found == {
        (keys[RULE_ID], ADA),
        (keys[assume], BOB),
        *((keys[every], who) for who in (ADA, BOB, "carol")),
    }


def test_an_escape_of_json_hides_no_needle(tmp_path: Path) -> None:
    path = tmp_path / "1"
    path.write_text(json.dumps(call(ADA, "e-1")).replace("GetCaller", "\\u0047etCaller"))

    (report,) = reader().read([Part(str(path), b"one")])

    assert terms(report) == [ADA]


def test_needles_are_found_wherever_events_are_cut_for_the_scan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "SCANNED", 3)
    callers = [f"arn:aws:iam::111122223333:user/{number:03}" for number in range(20)]
    file = write(
        tmp_path / "1", *(call(arn, arn, "GetCallerIdentity" if n % 2 else "Other") for n, arn in enumerate(callers))
    )

    (report,) = reader().read([Part(str(file), b"one")])

    assert terms(report) == callers[1::2]


def test_long_tasks_are_told_of_on_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK", 500)
    monkeypatch.setattr(reading, "REPORT_BYTES", 1_000)
    callers = [f"arn:aws:iam::111122223333:user/{number:03}" for number in range(20)]
    file = write(tmp_path / "1", *(call(arn, arn) for arn in callers))

    reports = list(reader().read([Part(str(file), b"one")]))

    assert len(reports) > 3
    assert terms(*reports) == callers
    positions = [report.marks[b"one"] for report in reports]
    assert positions == [*sorted(positions[:-1]), DONE]
    resumed = list(reader().read([Part(str(file), b"one", positions[0])]))
    assert terms(reports[0], *resumed) == callers


def test_behind_a_byte_order_mark_one_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK", 100)
    monkeypatch.setattr(reading, "REPORT_BYTES", 1)
    plain, marked = tmp_path / "1", tmp_path / "2"
    plain.write_text("".join(json.dumps(call(arn, arn)) + "\n" for arn in (ADA, BOB)))
    marked.write_bytes(codecs.BOM_UTF8 + plain.read_bytes())

    reports = list(reader().read([Part(str(marked), b"one")]))
    resumed = list(reader().read([Part(str(marked), b"one", reports[0].marks[b"one"])]))

    assert [report.marks for report in reports] == [
        report.marks for report in reader().read([Part(str(plain), b"one")])
    ]
    assert (terms(reports[0]), terms(*resumed)) == ([ADA], [BOB])
    assert sum(report.totals.stored for report in reports) == marked.stat().st_size


def test_a_broken_file_is_told_of_and_stays_where_it_broke(tmp_path: Path) -> None:
    broken = tmp_path / "1"
    line = json.dumps(call(ADA, "e-1")) + "\n"
    broken.write_text(line + "nonsense\n" + line)
    whole = write(tmp_path / "2", call(BOB, "e-2"))

    (report,) = reader().read([Part(str(broken), b"one"), Part(str(whole), b"two")])

    assert terms(report) == [ADA, BOB]
    assert report.marks == {b"one": len(line), b"two": DONE}
    (problem,) = report.unreadable
    assert problem.startswith(f"{broken}:2: this is no JSON")


def test_a_file_that_is_gone_is_told_of(tmp_path: Path) -> None:
    (report,) = reader().read([Part(str(tmp_path / "gone"), b"one")])

    assert (report.marks, len(report.unreadable)) == ({}, 1)


def test_events_without_a_time_say_nothing(tmp_path: Path) -> None:
    event = call(ADA, "e-1")
    del event["eventTime"]

    (report,) = reader().read([Part(str(write(tmp_path / "1", event)), b"one")])

    assert (terms(report), report.totals.undated) == ([], 1)


def test_an_event_that_is_nested_beyond_reason_stops_nothing(tmp_path: Path) -> None:
    path = tmp_path / "1"
    path.write_text(
        json.dumps(call(ADA, "e-1")) + '\n{"eventName":"GetCallerIdentity","deep":' + "[" * 9_999 + "]" * 9_999 + "}\n"
    )

    (report,) = reader().read([Part(str(path), b"one")])

    assert terms(report) == [ADA]
    assert report.unreadable == [f"{path}:2: this is nested too deep to be an event"]


def test_bytes_that_are_no_utf8_keep_nothing_from_being_found(tmp_path: Path) -> None:
    path = tmp_path / "1"
    lines = [json.dumps(call(ADA, "e-1")), json.dumps(call(BOB, "e-2") | {"userAgent": "bad?"})]
    path.write_bytes("\n".join(lines).encode().replace(b"bad?", b"bad\xe9"))

    (report,) = reader().read([Part(str(path), b"one")])

    assert (terms(report), report.unreadable) == ([ADA, BOB], [])


def test_an_event_that_cannot_be_decoded_is_told_of_and_the_others_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decode(raw: bytes) -> dict[str, Any]:
        if b"e-2" in raw:
            raise ValueError("it is nested too deep")  # as it may be for who asks from further down
        return eventfiles.decode_object(raw)

    monkeypatch.setattr(reading, "decode_object", decode)
    file = write(tmp_path / "1", call(ADA, "e-1"), call(ADA, "e-2"), call(BOB, "e-3"))

    (report,) = reader("event.action: *").read([Part(str(file), b"one")])

    assert (terms(report), report.marks) == ([ADA, BOB], {b"one": DONE})
    (said,) = report.unreadable
    assert said.startswith(f"{file}: an event is passed over: it is nested too deep; it begins with ")
    assert ADA in said


def test_an_integer_of_any_length_stops_nothing(tmp_path: Path) -> None:
    file = tmp_path / "1"
    event = json.dumps(call(ADA, "e-1"))[:-1] + ',"requestParameters":{"n":' + "9" * 5_000 + "}}"
    file.write_text(event + "\n" + json.dumps(call(BOB, "e-2")))

    (report,) = reader("event.action: *").read([Part(str(file), b"one")])

    assert (terms(report), report.unreadable) == ([ADA, BOB], [])
