import os
from pathlib import Path

import pytest

from firstseen.backfill.gathering import Span
from firstseen.backfill.reading import DONE, Part
from firstseen.backfill.tasks import Bounds, Plan, plan, purpose
from firstseen.detect.keys import encode_terms
from firstseen.errors import InputError
from firstseen.notation import Duration
from firstseen.store.base import RuleState
from support.rulebook import rule_set, rule_text

RULE = RuleState(b"12345678", "r-1", "A rule")
DAY_MS = 86_400_000
NOW = 1_790_000_000_000  # 2026-09-21T14:13:20Z


def nothing_known(mark: bytes) -> None:
    return None


def test_by_default_a_rule_looks_back_over_its_history_window() -> None:
    rules = rule_set(rule_text(window="now-10d"))
    (rule,) = rules.rules

    assert Bounds().spans(rules, NOW)[rule.id].since == NOW - 10 * DAY_MS
    assert Bounds(5, 9).spans(rules, NOW) == {rule.id: Span(5, 9)}
    assert Bounds(Duration("2d"), Duration("1d")).spans(rules, NOW) == {rule.id: Span(NOW - 2 * DAY_MS, NOW - DAY_MS)}


@pytest.mark.parametrize(
    ("bounds", "empty"),
    [
        (Bounds(), False),
        (Bounds(9), False),
        (Bounds(8, 9), False),
        (Bounds(9, 9), True),
        (Bounds(Duration("2d"), Duration("1d")), False),
        (Bounds(Duration("1d"), Duration("2d")), True),
        (Bounds(NOW, Duration("1d")), True),
        (Bounds(Duration("1d"), NOW), False),
    ],
)
def test_a_span_that_ends_before_it_begins_is_empty(bounds: Bounds, empty: bool) -> None:
    assert bounds.is_empty(NOW) == empty


def test_files_are_read_for_rules_and_a_span_in_one_way() -> None:
    other = RuleState(b"87654321", "r-2", "Another")
    purposes = [
        purpose([RULE], Bounds()),
        purpose([other], Bounds()),
        purpose([RULE, other], Bounds()),
        purpose([RULE], Bounds(1)),
        purpose([RULE], Bounds(None, 1)),
        purpose([RULE], Bounds(Duration("1ms"))),
        purpose([RULE], Bounds(None, Duration("1ms"))),
        purpose([RULE], Bounds(), "ecs"),
        purpose([RULE], Bounds(), "cloudtrail"),
    ]

    assert len(set(purposes)) == len(purposes)
    assert purpose([RULE, other], Bounds()) == purpose([other, RULE], Bounds())
    assert purpose([RULE], Bounds(Duration("30d"))) == purpose([RULE], Bounds(Duration("720h")))
    assert purpose([RULE], Bounds(5, 9)) == RULE.key + encode_terms((5, 9)), "as it is in states that are there"


def test_what_was_read_is_not_read_again_and_what_was_begun_goes_on(tmp_path: Path) -> None:
    for name in ("a.json", "b.json", "c.json"):
        (tmp_path / name).write_text("{}")
    marks = [part.mark for part, _ in plan([str(tmp_path)], b"p", {}, nothing_known).parts]
    known = {marks[0]: DONE, marks[1]: 7}

    found = plan([str(tmp_path)], b"p", {}, known.get)

    assert [(Path(part.file).name, part.start, size) for part, size in found.parts] == [
        ("b.json", 7, 2),
        ("c.json", 0, 2),
    ]
    assert (found.known, found.stored) == (1, 4)


def test_a_file_that_changed_is_another_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"

    def mark(wanted: bytes = b"p") -> bytes | None:
        ((part, _),) = plan([str(path)], wanted, {}, nothing_known).parts
        return part.mark

    path.write_text("{}")
    os.utime(path, (1, 1))
    marks = [mark(), mark(b"other")]
    os.utime(path, (2, 2))
    marks.append(mark())
    path.write_text("{ }")
    os.utime(path, (2, 2))
    marks.append(mark())

    assert len(set(marks)) == 4
    assert mark() == marks[-1]


def test_a_file_that_is_named_twice_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("{}")

    assert len(plan([str(path), str(tmp_path)], b"p", {}, nothing_known).parts) == 1


def test_a_file_that_has_several_names_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.json").write_text("{}")
    (tmp_path / "b.json").symlink_to("a.json")
    (tmp_path / "c").symlink_to(".")
    monkeypatch.chdir(tmp_path)
    names = ["a.json", "./a.json", str(tmp_path), "b.json", "c/a.json"]

    found = plan(names, b"p", {}, nothing_known)
    later = plan(names, b"p", {}, lambda mark: DONE)

    assert [part.file for part, _ in found.parts] == ["a.json"]
    assert (later.parts, later.known) == ([], 1)


def test_where_there_is_no_file_at_all_that_is_told(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("{}")

    with pytest.raises(InputError, match=rf"^{tmp_path}: there is nothing to read"):
        plan([str(tmp_path)], b"p", {}, nothing_known)


@pytest.mark.parametrize(
    ("name", "older"),
    [
        ("111122223333_CloudTrail_us-east-1_20260520T1210Z_abcdefgh12345678.json.gz", True),
        ("111122223333_CloudTrail_us-east-1_20260520T2330Z_abcdefgh12345678.json.gz", False),  # clocks differ
        ("111122223333_CloudTrail_us-east-1_20260522T1210Z_abcdefgh12345678.json.gz", False),
        ("111122223333_CloudTrail_us-east-1_20269999T9999Z_abcdefgh12345678.json.gz", False),
        ("events-20200101T0000Z.json", False),
    ],
)
def test_files_that_cloudtrail_delivered_before_the_span_are_left_out(tmp_path: Path, name: str, older: bool) -> None:
    (tmp_path / name).write_text("{}")
    midnight = 1_779_321_600_000  # 2026-05-21T00:00:00Z

    found = plan(
        [str(tmp_path)], b"p", {"r-1": Span(midnight, 1 << 62), "r-2": Span(midnight + 1, 1 << 62)}, nothing_known
    )

    assert (found.older, len(found.parts)) == ((1, 0) if older else (0, 1))


def test_standard_input_has_no_name_in_the_state() -> None:
    assert plan(["-"], b"p", {}, nothing_known).parts == [(Part("-"), 0)]


def test_what_cannot_be_known_again_has_no_name_in_the_state_either(tmp_path: Path) -> None:
    pipe, link = tmp_path / "pipe", tmp_path / "below" / "events.json"
    os.mkfifo(pipe)
    link.parent.mkdir()
    link.symlink_to("nowhere")

    found = plan([str(pipe), str(link.parent)], b"p", {}, nothing_known)

    assert found.parts == [(Part(str(pipe)), 0), (Part(str(link)), 0)]


def test_a_name_that_is_none_is_told_of() -> None:
    with pytest.raises(InputError, match="no such file"):
        plan(["nowhere"], b"p", {}, nothing_known)


def test_tasks_are_of_a_size() -> None:
    small, large = [(Part(f"s-{n}"), 10) for n in range(600)], [(Part("l-1"), 5 << 20), (Part("l-2"), 5 << 20)]

    tasks = list(Plan([*large, *small], 0, 0).tasks())

    assert [len(task) for task in tasks] == [1, 1, 256, 256, 88]
    assert [part for task in tasks for part in task] == [part for part, _ in [*large, *small]]
