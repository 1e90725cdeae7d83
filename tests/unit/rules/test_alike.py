"""That what is recalled is what would be found is a property (tests/property/test_alike.py)."""

import msgpack
import pytest

from firstseen.record.glance import Glance, glances_at
from firstseen.rules import alike
from firstseen.rules.alike import Asked, Kept, Likeness, Match
from support.rulebook import ARN, call, rule_id, rule_set, rule_text

(RULE,) = rule_set(rule_text()).rules


def seen(arn: str, event_id: str = "e-1") -> Glance:
    glances = glances_at([("eventName",), ("eventSource",), ("userIdentity", "arn")])
    assert glances is not None
    found = glances.at(msgpack.packb(call(arn, event_id)))
    assert found is not None
    return found


def test_records_are_alike_where_they_are_the_same_for_the_rules() -> None:
    asked = Asked([RULE], Kept())

    assert asked.likeness(seen("ada")).key == asked.likeness(seen("ada", "e-2")).key
    assert asked.likeness(seen("ada")).key != asked.likeness(seen("bob")).key


def test_what_was_learned_is_recalled() -> None:
    asked = Asked([RULE], Kept())
    match = Match(RULE, ("ada",))

    assert asked.recalled(seen("ada")) is None
    asked.likeness(seen("ada")).learn([match])
    assert asked.recalled(seen("ada", "e-2")) == [match]
    assert asked.recalled(seen("bob")) is None


def test_what_is_too_long_to_be_kept_is_not_learned() -> None:
    kept = Kept()
    asked = Asked([RULE], kept)
    for size in (alike.LONGEST_KIND // 2, 2 * alike.LONGEST_KIND):
        asked.likeness(seen("a" * size)).learn([])
    assert asked.recalled(seen("a" * (alike.LONGEST_KIND // 2))) == []
    assert len(kept.known) == 1


def test_terms_that_a_glance_does_not_show_are_veiled() -> None:
    veiled, shown = rule_set(
        rule_text("event.action: GetUser", ["aws.cloudtrail.request_parameters"]), rule_text(rule_id=rule_id(2))
    ).rules

    assert Asked([veiled, shown], Kept()).likeness(seen("ada")).veiled == {veiled}


def test_other_rules_know_nothing_of_it() -> None:
    kept = Kept()
    one, other = Asked([RULE], kept), Asked([RULE], kept)
    one.likeness(seen("ada")).learn([])

    assert one.recalled(seen("ada")) == []
    assert other.recalled(seen("ada")) is None


@pytest.mark.parametrize(
    ("query", "fields", "compares"),
    [
        ("event.action: GetUser and event.outcome: success", [ARN], True),
        ("not user.name: (a or b*) and cloud.foo: *", ["source.ip"], True),
        ("*", [ARN], True),
        ("event.action: *", ["aws.cloudtrail.resources.arn"], True),
        ("aws.cloudtrail.flattened.request_parameters.key: a", [ARN], False),
        ("event.action: GetUser", ["aws.cloudtrail.request_parameters"], True),
        ("event.ingested > now-1d", [ARN], False),
        ("@timestamp > now-1d", [ARN], False),
        ("source.geo.country_name: *", ["source.as.organization.name"], True),
        ("aws.cloudtrail.user_identity.*: a", [ARN], False),
        ("anything", [ARN], False),
        ("user.changes: { name: a }", [ARN], False),
        ("aws.cloudtrail.user_identity: *", [ARN], False),
    ],
)
def test_rules_that_go_by_what_a_glance_shows(query: str, fields: list[str], compares: bool) -> None:
    rules = rule_set(rule_text(query, fields)).rules

    asked = Asked(rules, Kept())

    assert (asked.glances is not None) is compares
    if not compares:
        with pytest.raises(AssertionError):
            asked.likeness(seen("ada"))


def test_what_is_known_stays_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alike, "MOST_KNOWN", 3)
    known: dict = {}
    for number in range(10):
        Likeness(known, number).learn([])
    assert list(known) == [9]


MARKED = rule_set(
    rule_text("event.action: GetObject and aws.cloudtrail.flattened.request_parameters.key: (*/id_rsa or *.ppk)"),
    rule_text("event.action: GetObject and event.provider: s3.amazonaws.com", rule_id=rule_id(2)),
    rule_text("user_agent.original: *Cyberduck*", rule_id=rule_id(3)),
).rules


def test_marks_are_needles_beside_the_name_of_a_call() -> None:
    assert [alike.traits_of(rule).marks for rule in MARKED] == [
        frozenset((b"id_rsa", b".ppk")),
        frozenset(),
        frozenset(),
    ]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"GetObject a.txt", MARKED[1:]),
        (b"GetObject .ssh/id_rsa", MARKED),
        (rb"GetObject \u002eppk", MARKED),
        (b"GetObject a.txt  id_rsa", MARKED),
    ],
)
def test_rules_whose_marks_a_record_lacks_are_not_asked(data: bytes, expected: list) -> None:
    asked = Asked(MARKED, Kept())

    assert list(asked.within(data, 0, len(data)).rules) == list(expected)
    assert list(asked.within(bytearray(b"." + data + b"id_rsa"), 1, 1 + len(data)).rules) == list(expected)


def test_of_rules_without_marks_all_are_asked() -> None:
    asked = Asked(MARKED[1:], Kept())
    assert asked.within(b"", 0, 0) is asked


def test_what_is_kept_of_fewer_rules_stays_small(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(MARKED, Kept())
    assert asked.within(b"", 0, 0) is asked.within(b"", 0, 0)
    monkeypatch.setattr(alike, "_MOST_FEWER", 0)
    other = Asked(MARKED, Kept())
    assert other.within(b"", 0, 0) is other
