"""That both ways lead to the same outcome is a property (tests/property/test_candidates.py)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgpack
import pytest

from firstseen import candidates as candidates_module
from firstseen.candidates import GLANCED, MANY, MOST_ENTRIES, STRETCH, Candidate, Candidates, span_of
from firstseen.forward.content import Content, content_of
from firstseen.record.glance import LARGEST
from firstseen.record.source import LONGEST_ID
from firstseen.rules.ruleset import RuleSet
from support.rulebook import ARN, call, rule_id, rule_set, rule_text
from support.wire import chunk_of

ADA = "arn:aws:iam::111122223333:user/ada"
TIME = msgpack.ExtType(0, bytes.fromhex("6553f100075bcd15"))
NEEDLE = "AKIAIOSFODNN7EXAMPLE"
CALLS = [f"Describe{number}" for number in range(20)]

BY_ACTION = rule_set(
    *(rule_text(f'event.action: "{name}"', rule_id=rule_id(number)) for number, name in enumerate(CALLS)),
    rule_text(f"event.action: GetObject and {ARN.replace('arn', 'access_key_id')}: {NEEDLE}", rule_id=rule_id(30)),
    rule_text(f"{ARN.replace('arn', 'access_key_id')}: {NEEDLE}", rule_id=rule_id(31)),
    rule_text(
        "event.action: PutObject and aws.cloudtrail.flattened.request_parameters.key: secret.pem", rule_id=rule_id(32)
    ),
)
"""Rules that are found by an action, one by a needle, and one that is for what has a mark."""

Record = dict[str, Any]


def content(*records: Record, markers: bool = False) -> Content:
    entries = [[TIME, each] for each in records]
    if markers:
        entries = [[[msgpack.ExtType(0, b"\xff\xff\xff\xff" + bytes(4)), {}], {}], *entries]
    return content_of(chunk_of(msgpack.packb(["aws", entries])), 1 << 26)


def busy() -> Candidates:
    """One that has just found many."""
    made = Candidates()
    assert len(found(made, content(*[call(ADA, "e", CALLS[0])] * 3))) == 3
    return made


def found(made: Candidates, holding: Content, rules: RuleSet = BY_ACTION, *, glancing: bool = True) -> list[Candidate]:
    return [each for each in made.of(holding, rules, glancing=glancing) if each is not None]


def asked(each: Candidate) -> list[str]:
    assert each.asked is not None
    return [rule.id for rule in each.asked.rules]


def number(holding: Content, each: Candidate) -> int:
    return list(holding.entries.every()).index((each.start, each.stop))


MIXED = [
    call(ADA, "e-1", CALLS[3]),
    call(ADA, "e-2", "Nothing"),
    call(ADA, "e-3", "Nothing") | {"userIdentity": {"arn": ADA, "accessKeyId": NEEDLE}},
    call(ADA, "e-4", "GetObject") | {"userIdentity": {"arn": ADA, "accessKeyId": NEEDLE}},
    call(ADA, "e-5", "PutObject") | {"requestParameters": {"key": "public"}},
    call(ADA, "e-6", "PutObject") | {"requestParameters": {"key": "secret.pem"}},
    call(ADA, "-", CALLS[4]),
]


@pytest.mark.parametrize("glances", [False, True])
def test_those_that_some_rule_may_match_and_which(glances: bool) -> None:
    holding = content(*MIXED)
    candidates = found(busy() if glances else Candidates(), holding)

    assert [(number(holding, each), asked(each)) for each in candidates] == [
        (0, [rule_id(3)]),
        (2, [rule_id(31)]),
        (3, [rule_id(30), rule_id(31)]),
        (5, [rule_id(32)]),
        (6, [rule_id(4)]),
    ]
    # What a glance cannot show, or is odd, is not said to be seen.
    assert [each.seen is not None for each in candidates] == [glances, glances, glances, False, False]


def test_a_record_that_is_odd_is_searched_with_its_stretch() -> None:
    holding = content(call(ADA, "e-1", CALLS[3]), {"log": json.dumps(call(ADA, "e-2", CALLS[5]))}, {"a": 1})
    candidates = found(busy(), holding)

    assert [(number(holding, each), asked(each), each.seen) for each in candidates] == [
        (0, [rule_id(3)], None),
        (1, [rule_id(5)], None),
    ]


def test_an_escape_concerns_all_rules_that_seek_something_which_are_asked_for_its_record() -> None:
    record = call(ADA, "e-1", "Nothing") | {"note": "\\u0041"}
    (candidate,) = found(busy(), content(record))

    assert asked(candidate) == [rule.id for rule in BY_ACTION.rules]


@pytest.mark.parametrize("glancing", [False, True])
def test_no_glance_where_records_are_no_events_as_such_or_groups_are_marked(glancing: bool) -> None:
    holding = content(call(ADA, "e-1", CALLS[3]), markers=glancing)
    (candidate,) = found(busy(), holding, glancing=glancing)

    assert (candidate.seen, number(holding, candidate)) == (None, int(glancing))


def test_few_rules_are_searched_for() -> None:
    rules = rule_set(rule_text())
    holding = content(*[call(ADA, "e-1")] * 3)
    made = Candidates()

    assert [each.seen for each in [*found(made, holding, rules), *found(made, holding, rules)]] == [None] * 6


def test_a_rule_that_seeks_nothing_in_particular_is_for_every_record() -> None:
    rules = rule_set(rule_text("not user.name: ada"))
    holding = content(*MIXED, markers=True)

    assert [number(holding, each) for each in found(busy(), holding, rules)] == list(range(1, len(MIXED) + 1))


def test_a_message_is_one_record() -> None:
    holding = content_of(chunk_of(msgpack.packb(["aws", TIME, MIXED[3]])), 1 << 20)
    (candidate,) = found(busy(), holding)
    assert asked(candidate) == [rule_id(30), rule_id(31)]
    assert span_of(holding, candidate).record == holding.entries.start + 10
    assert found(busy(), content_of(chunk_of(msgpack.packb(["aws", TIME, MIXED[1]])), 1 << 20)) == []
    assert len(found(busy(), holding, rule_set(rule_text("not user.name: ada")))) == 1


def test_what_marks_a_group_is_no_candidate() -> None:
    holding = content(*MIXED, markers=True)
    with pytest.raises(AssertionError, match="no candidate"):
        span_of(holding, Candidate(*next(holding.entries.every()), None))


def seen(made: Candidates, share: int) -> Iterator[bool]:
    """Whether the first candidate of each stretch was seen at a glance, one record in so many being one."""
    records = [call(ADA, f"e-{at}", CALLS[1] if at % share == 0 else "Nothing") for at in range(10 * MOST_ENTRIES)]
    begins = True
    for each in made.of(content(*records), BY_ACTION, glancing=True):
        if each is not None and begins:
            yield each.seen is not None
        begins = each is None


def test_glances_are_for_where_many_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates_module, "STRETCH", 1 << 14)
    made = Candidates()
    first, *others = seen(made, 1)
    assert (first, set(others)) == (False, {True})
    first, *others = seen(made, 2 * MANY)
    assert (first, set(others)) == (True, {False})
    assert set(seen(made, 2 * MANY)) == {False}


@pytest.mark.parametrize("glances", [False, True])
def test_how_much_is_gone_through_in_one_go(monkeypatch: pytest.MonkeyPatch, glances: bool) -> None:
    """Of what is searched so many bytes, and of what is glanced at not too many entries either."""
    sizes: list[int] = []
    name = "_glanced" if glances else "_searched"
    inner = getattr(candidates_module, name)

    def spy(holding: Content, rules: RuleSet, first: int, behind: int) -> Any:
        sizes.append(behind - first)
        return inner(holding, rules, first, behind)

    made = busy() if glances else Candidates()
    monkeypatch.setattr(candidates_module, name, spy)
    small = [call(ADA, "e", CALLS[0])] * (MOST_ENTRIES + 1)
    size = GLANCED if glances else STRETCH
    large = call(ADA, "e", CALLS[0]) | {"note": "x" * (size // 2)}
    found(made, content(*small, large, large, large | {"more": "y" * size}))
    assert sizes == ([MOST_ENTRIES, 2, 1, 1] if glances else [MOST_ENTRIES + 2, 1, 1])


def test_where_one_is_odd_no_more_is_searched_than_was_glanced_at(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    inner = candidates_module._searched

    def spy(holding: Content, rules: RuleSet, first: int, behind: int) -> Any:
        sizes.append(behind - first)
        return inner(holding, rules, first, behind)

    made = busy()
    monkeypatch.setattr(candidates_module, "_searched", spy)
    usual, odd = call(ADA, "e", CALLS[0]), call(ADA, "e", CALLS[0]) | {"eventSource": 7}
    found(made, content(odd, *[usual] * (2 * MOST_ENTRIES)))
    assert sizes == [MOST_ENTRIES]


def test_a_record_that_is_too_large_for_a_glance_is_searched() -> None:
    record = call(ADA, "e-1", CALLS[3])
    holding = content(record, record | {"note": "x" * LARGEST}, record)

    assert [each.seen is None for each in found(busy(), holding)] == [False, True, False]


def test_a_record_whose_id_is_too_long_to_be_remembered_is_searched() -> None:
    holding = content(*(call(ADA, each, CALLS[3]) for each in ("e-1", "e" * (LONGEST_ID + 1), "e-3")))
    assert [each.seen is None for each in found(busy(), holding)] == [False, True, False]


def test_what_is_too_large_is_not_copied() -> None:
    holding = content(call(ADA, "e-1", CALLS[3]) | {"note": "x" * GLANCED})
    (candidate,) = found(busy(), holding)
    assert (candidate.seen, asked(candidate)) == (None, [rule_id(3)])
