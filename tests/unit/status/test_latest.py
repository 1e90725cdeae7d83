from typing import Any

from firstseen.status.latest import LONGEST_REASON, LONGEST_VALUE, MOST_TERMS, Latest
from firstseen.status.report import Term


def label(named: str, status: str = "open", **more: Any) -> dict[str, Any]:
    rule = {"id": "r-1", "name": "A rule", "severity": "high"}
    said = {"id": named, "status": status, "time": "2026-05-24T09:12:33.000Z", "reason": "why", "rule": rule}
    return {**said, **more}


def test_an_alert_is_told() -> None:
    latest = Latest()
    latest.add([label("a", new_terms={"fields": ["user.name"], "values": ["ada"]})], 1_000)

    (alert,) = latest.for_people()

    assert (alert.id, alert.status, alert.rule, alert.rule_id, alert.severity) == ("a", "open", "A rule", "r-1", "high")
    assert (alert.reason, alert.time, alert.came) == ("why", "2026-05-24T09:12:33.000Z", "1970-01-01T00:00:01.000Z")
    assert alert.terms == (Term(field="user.name", value="ada"),)


def test_newest_first_and_no_more_than_there_is_room_for() -> None:
    latest = Latest(most=3)
    latest.add([label(name) for name in "abc"], 0)
    latest.add([label("d")], 1)

    assert [alert.id for alert in latest.for_people()] == ["d", "c", "b"]


def test_what_comes_again_is_one_alert() -> None:
    latest = Latest(most=3)
    latest.add([label("a"), label("b"), label("a")], 0)

    assert [alert.id for alert in latest.for_people()] == ["a", "b"]


def test_what_is_not_for_people_pushes_nothing_out() -> None:
    latest = Latest(most=2, most_others=2)
    latest.add([label("a")], 0)
    latest.add([label(f"{number}", status) for number, status in enumerate(["learning", "shadow", "degraded"])], 0)
    latest.add([label("block", building_block=True)], 0)

    assert [alert.id for alert in latest.for_people()] == ["a"]
    assert [alert.id for alert in latest.others()] == ["block", "2"]


def test_the_terms_of_every_kind_of_rule() -> None:
    latest = Latest()
    latest.add([label("a", threshold={"fields": [], "values": [], "count": 3})], 0)
    latest.add([label("b", suppression={"fields": ["x", "y"], "values": [None, 5]})], 0)
    latest.add([label("c")], 0)

    assert [alert.terms for alert in latest.for_people()] == [
        (),
        (Term(field="x", value=""), Term(field="y", value="5")),
        (),
    ]


def test_what_is_long_is_cut() -> None:
    many = {"fields": ["f" * 1_000] * 20, "values": ["v" * 1_000] * 20}
    latest = Latest()
    latest.add([label("a", reason="r" * 5_000, new_terms=many)], 0)

    (alert,) = latest.for_people()

    assert len(alert.reason) == LONGEST_REASON + 1
    assert len(alert.terms) == MOST_TERMS
    assert {len(text) for term in alert.terms for text in (term.field, term.value)} == {LONGEST_VALUE + 1}
