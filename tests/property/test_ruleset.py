"""Scanner, dispatch and predicates against the definition: any rules, any record, in every form records come in."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any
from zlib import crc32

import msgpack
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from firstseen.kql import ast, needles, render
from firstseen.kql.scalars import text_of
from firstseen.record.fields import field_type
from firstseen.record.view import View, is_verbatim, views
from firstseen.rules.ruleset import RuleSet
from firstseen.rules.scanner import Scanner, Sought
from support.rulefiles import rule_of

with tempfile.TemporaryDirectory() as _directory:
    BASE = rule_of("*", Path(_directory))

TEXTS = st.sampled_from(
    [
        "GetCallerIdentity",
        "sts.amazonaws.com",
        "arn:aws:sts::111122223333:assumed-role/dev/bob@example.com",
        "arn:aws:iam::111122223333:user/mary",
        "192.0.2.7",
        "111122223333",
        "true",
        "us-east-1",
        'say "hi", C:\\dir',
        "naïve\n\U0001f600",
        "aws-cli/2.15 md/Botocore#1.34",
        "Client.UnauthorizedOperation",
        "-",
        "",
    ]
)
LEAVES = st.one_of(TEXTS, TEXTS, st.none(), st.booleans(), st.sampled_from([1234, 1.5, 111122223333]))
VALUES = st.one_of(LEAVES, st.lists(LEAVES, max_size=3))
IDENTITY = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(["type", "arn", "userName", "principalId", "accountId", "invokedBy"], LEAVES)
)
PARAMETERS = st.dictionaries(st.sampled_from(["userName", "roleName", "key", "instanceId"]), VALUES, max_size=3)
ACTIONS = st.one_of(TEXTS, TEXTS, TEXTS, VALUES, st.lists(st.lists(TEXTS, max_size=2), max_size=2))
CLOUDTRAIL = st.fixed_dictionaries(
    {"eventSource": TEXTS, "eventName": ACTIONS, "eventVersion": st.just("1.08")},
    optional={
        **dict.fromkeys(["awsRegion", "sourceIPAddress", "userAgent", "errorCode", "eventType", "readOnly"], LEAVES),
        "userIdentity": IDENTITY,
        "requestParameters": PARAMETERS,
        "responseElements": PARAMETERS,
        "resources": st.lists(st.fixed_dictionaries({}, optional={"ARN": LEAVES, "type": LEAVES}), max_size=2),
    },
)
ECS = st.dictionaries(
    st.sampled_from(["event", "event.action", "user", "user.name", "labels", "aws", "a.b"]),
    st.one_of(
        VALUES,
        st.dictionaries(st.sampled_from(["action", "name", "a.b", "provider"]), VALUES, max_size=3),
        st.lists(st.dictionaries(st.just("action"), ACTIONS), max_size=2),
    ),
    max_size=4,
)


def json_text(value: object, random: Random) -> str:
    """JSON as a writer may spell it that escapes characters as it likes."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{json_text(k, random)} : {json_text(v, random)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(json_text(each, random) for each in value) + "]"
    if not isinstance(value, str):
        return json.dumps(value)
    share = random.choice([0.0, 0.0, 0.1, 1.0])
    return '"' + "".join(escaped(c) if random.random() < share else json_character(c, random) for c in value) + '"'


def escaped(character: str) -> str:
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def json_character(character: str, random: Random) -> str:
    if character == "/" and random.random() < 0.5:
        return "\\/"
    return json.dumps(character, ensure_ascii=False)[1:-1]


@st.composite
def encoded_records(draw):
    """A record's bytes, and the record that is decoded from them."""
    random = Random(draw(st.integers(0, 9_999)))
    record = draw(st.one_of(CLOUDTRAIL, ECS))
    match draw(st.sampled_from(["plain", "log", "message", "envelope", "detail", "list"])):
        case "log":
            record = {"stream": "stdout", "log": json_text(record, random)}
        case "message":
            record = {"message": json_text({"Records": [record]}, random).encode()}
        case "envelope":
            record = {"Records": [record, {"eventSource": "x", "eventName": "y", "eventVersion": "1.08"}]}
        case "detail":
            record = {"source": "aws.sts", "detail-type": "AWS API Call via CloudTrail", "detail": record}
        case "list":
            record = {"log": json_text([record], random)}
    if draw(st.booleans()):
        raw = msgpack.packb(record)
        return raw, msgpack.unpackb(raw, unicode_errors="surrogateescape", strict_map_key=False)
    if isinstance(record.get("message"), bytes):
        record["message"] = record["message"].decode()
    raw = json_text(record, random).encode()
    return raw, json.loads(raw)


def names(value: object, path: str = "") -> set[str]:
    if isinstance(value, list):
        return {name for each in value for name in names(each, path)}
    if isinstance(value, dict):
        return {name for key, each in value.items() for name in names(each, f"{path}.{key}".lstrip("."))}
    return {path}


PLANS = st.recursive(
    st.tuples(st.sampled_from("====*?"), st.integers(0, 60), st.integers(0, 60), st.integers(0, 60), TEXTS),
    lambda plans: st.tuples(st.sampled_from("&&|!"), st.lists(plans, min_size=2, max_size=3)),
    max_leaves=4,
)
"""Trees to be: which condition about which of a record's fields, and with which of its values."""


def tree_of(plan: tuple[Any, ...], views: Sequence[View]) -> ast.Node:
    """The tree for a plan: conditions on fields and values that the views hold, so that they often match."""
    match plan:
        case ("&", plans):
            return ast.And(tuple(tree_of(each, views) for each in plans))
        case ("|", plans):
            return ast.Or(tuple(tree_of(each, views) for each in plans))
        case ("!", plans):
            first, *others = (tree_of(each, views) for each in plans)
            return ast.And((first, *map(ast.Not, others)))
        case (kind, which, start, stop, text):
            field = chosen(which, fields_of(views))
            held = [value for view in views for value in view.values(field)]
            value = chosen(start, held) if held and stop % 8 else text
            return condition(kind, field, value if isinstance(value, str) else json.dumps(value), start, stop)
    raise AssertionError(plan)


def condition(kind: str, field: str, text: str, start: int, stop: int) -> ast.Node:
    if kind == "?":
        return ast.Exists(field)
    if kind == "=" or not text:
        return ast.Is(field, ast.Literal(text, quoted=True))
    first, last = sorted((start % (len(text) + 1), stop % (len(text) + 1)))
    return ast.Is(field, ast.Pattern((text[:first], text[first : (first + last) // 2], text[last:])))


def fields_of(views: Sequence[View]) -> list[str]:
    """The fields that the views hold, of every type; those that make needles count twice."""
    held = sorted({name for view in views for name in (*names(view.document()), *view.names())} | {"event.action"})
    asked = [name for name in held if name]
    return asked + [name for name in asked if is_verbatim(name)]


def chosen(number: int, among: Sequence[Any]) -> Any:
    return among[number % len(among)]


def rule(tree: ast.Node, number: int):
    query = render(tree)
    return replace(
        BASE,
        id=str(number),
        query=query,
        asked=tree,
        needles=needles(tree, is_verbatim, field_type),
    )


FILLERS = [
    rule(ast.Is("event.action", ast.Literal(f"Never{number:03}Called", quoted=True)), number) for number in range(64)
]


@settings(deadline=None, max_examples=300)
@given(
    encoded_records(),
    st.lists(PLANS, min_size=1, max_size=3),
    st.sampled_from([True, True, True, False]),
    st.booleans(),
    st.sampled_from([0, 30_000]),
    st.booleans(),
    st.sampled_from(["auto", "auto", "cloudtrail", "ecs"]),
)
def test_what_is_found_from_afar_is_what_the_definition_finds(
    encoded, plans, with_needles, crowded, padding, writable, mode
):
    """For any rules and record, however encoded: the matches of the rules that a hit names are the definition's."""
    raw, record = encoded
    events = views(record, mode)
    some = [rule(tree_of(plan, events), number) for number, plan in enumerate(plans, start=1000)]
    some += [rule(action_of(plan, events), number) for number, plan in enumerate(plans, start=2000)]
    rules = RuleSet([each for each in some if each.needles or not with_needles] + FILLERS * crowded)
    around = b"\x92\xd7" + b"." * padding
    buffer = (bytearray if writable else bytes)(around + raw + around)
    start, stop = len(around), len(around) + len(raw)

    hits = rules.scanner.hits(buffer, start, stop)
    wide_hits = rules.scanner.hits(buffer, 0, len(buffer))

    assert [at for at, _ in hits] == sorted(at for at, _ in hits)
    assert sorted(hit for hit in wide_hits if start <= hit[0] < stop) == sorted(hits)
    named = None if rules.scanner.always else rules.some(group for _, group in hits)
    asked = None if named is None else named.within(buffer, start, stop).rules
    for view in events:
        assert rules.matches(view, asked) == rules.matches_linear(view)
        assert rules.matches(view) == rules.matches_linear(view)


def action_of(plan: tuple[Any, ...], views: Sequence[View]) -> ast.Node:
    """A tree that demands an action, mostly one of those that there are, beside what the plan says."""
    held = [value for view in views for value in view.values("event.action")] or ["GetUser"]
    number = crc32(str(plan).encode())
    text = text_of(chosen(number, held))
    first, last = sorted((number // 7 % (len(text) + 1), number // 11 % (len(text) + 1)))
    value: ast.Value = ast.Literal(text, quoted=True)
    match number % 4:
        case 0 if text:
            value = ast.Pattern((text[:first], text[last:]))
        case 1 if text:
            value = ast.Glob(text[:first] + "*", caseless=False)
        case 2:
            value = ast.Members("list", frozenset((text, "Another")))
    demand = ast.Is("event.action", value)
    return demand if number % 3 else ast.And((demand, tree_of(plan, views)))


@settings(deadline=None)
@given(
    st.lists(st.text("ab", min_size=1, max_size=4).map(str.encode), max_size=40),
    st.text("abc\\u0", max_size=300).map(str.encode),
    st.integers(0, 300),
    st.integers(0, 300),
)
def test_hits_are_those_of_a_plain_search(needles, data, start, stop):
    """The hits are all places of the needles that hold no other needle, and of escapes, whole inside the window."""
    shortest = [needle for needle in needles if not any(other != needle and other in needle for other in needles)]
    patterns = [*shortest, rb"\u00"] if shortest else []
    window = data[start:stop]
    plain = {at for at in range(len(window)) for pattern in patterns if window.startswith(pattern, at)}

    hits = Scanner([Sought(frozenset(needles), None)]).hits(data, start, stop)
    assert sorted({at for at, _ in hits}) == sorted(start + at for at in plain)
    assert {group for _, group in hits} <= {(0,)}
