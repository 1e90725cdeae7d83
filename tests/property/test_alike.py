"""What is recalled of records that are alike is what would be found, were each looked at: no more and no less."""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgpack
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from firstseen.detect.matches import Moment
from firstseen.engine import Engine
from firstseen.metrics import Counts
from firstseen.record.cloudtrail import CloudTrailView
from firstseen.record.enrichment import Database
from firstseen.record.glance import glances_at
from firstseen.record.mapping import FIELDS
from firstseen.rules.rule import Cardinality, EveryMatch, Suppression, Threshold
from firstseen.rules.ruleset import RuleSet
from firstseen.seen import Earlier
from firstseen.store.base import Claim
from firstseen.store.lmdb import LmdbStore
from support.rulebook import ARN, rule_id, rule_set, rule_text

NOW_MS = 1_790_000_000_000
DAY_MS = 86_400_000
Record = dict[str, Any]

TEXTS = st.sampled_from(["GetUser", "ConsoleLogin", "UserAuthentication", "Success", "a@b", "192.0.2.7", "-", ""])
ODD = st.one_of(TEXTS, TEXTS, TEXTS, TEXTS, st.none(), st.booleans(), st.integers(0, 3), st.lists(TEXTS, max_size=2))


def _maps(values: st.SearchStrategy[Any], *names: str) -> st.SearchStrategy[Record]:
    return st.fixed_dictionaries({}, optional=dict.fromkeys(names, values))


def _answers() -> st.SearchStrategy[Record]:
    return st.fixed_dictionaries({"group": _maps(TEXTS, "groupId"), "user": _maps(TEXTS, "userId")})


@st.composite
def whole_records(draw: st.DrawFn) -> Record:
    """Records with something or nothing, mostly texts, wherever a glance looks."""
    values = draw(st.sampled_from([TEXTS, ODD]))
    identity = draw(_maps(values, "type", "principalId", "arn", "accountId", "accessKeyId", "userName", "invokedBy"))
    issuer = draw(_maps(values, "type", "principalId", "arn", "accountId", "userName"))
    identity |= draw(st.sampled_from([{}, {"sessionContext": {"sessionIssuer": issuer}}, {"sessionContext": {}}]))
    identity |= {"onBehalfOf": draw(_maps(values, "userId", "identityStoreArn"))} if draw(st.booleans()) else {}
    top = draw(_maps(values, "awsRegion", "sourceIPAddress", "userAgent", "errorCode", "errorMessage", "eventType"))
    parts: Record = {
        "responseElements": draw(
            draw(st.sampled_from([ODD, _maps(values, "ConsoleLogin", "x"), _answers(), _answers()]))
        ),
        "additionalEventData": draw(st.one_of(st.none(), _maps(values, "UserName", "MFAUsed"))),
        "tlsDetails": draw(st.one_of(st.none(), _maps(values, "tlsVersion", "clientProvidedHostHeader"))),
        "resources": draw(st.one_of(st.none(), st.lists(_maps(values, "ARN", "accountId", "type", "x"), max_size=2))),
        "recipientAccountId": draw(values),
    }
    return {"eventSource": "sts.amazonaws.com", "eventName": draw(TEXTS), "userIdentity": identity, **top, **parts}


def _only(record: Mapping[str, Any], paths: Sequence[Sequence[str]]) -> Record:
    """What of the record lies at these places; arrays there are taken whole."""
    found: Record = {}
    for path in paths:
        value: Any = record
        into = found
        for key in path[:-1]:
            value = value.get(key) if isinstance(value, dict) else None
            if isinstance(value, dict):
                into = into.setdefault(key, {})
        if isinstance(value, dict) and path[-1] in value:
            into[path[-1]] = value[path[-1]]
    return found


class Places:
    """Databases that know every address."""

    def has(self, database: Database) -> bool:
        return True

    def geo(self, address: str) -> Mapping[str, object]:
        return {"country_name": f"of {address}"}

    def network(self, address: str) -> Mapping[str, object]:
        return {"organization.name": f"of {address}"}


PLACES = Places()


@given(whole_records())
def test_a_field_hangs_on_nothing_but_what_it_is_said_to_read(record: Record) -> None:
    """For every field that says where it comes from: without the rest of the record it is the same."""
    for field in FIELDS:
        if field.reads is not None:
            whole, part = (CloudTrailView(each, PLACES) for each in (record, _only(record, field.reads)))
            assert part.values(field.name) == whole.values(field.name), field.name
            assert part.exists(field.name) == whole.exists(field.name), field.name


GLANCES = [
    (field.name, glances)
    for field in FIELDS
    if field.reads is not None and (glances := glances_at(field.reads)) is not None
]


def _leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if isinstance(value, (dict, list)):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(inner, (*path, key))
    else:
        yield path


@settings(max_examples=300)
@given(whole_records(), TEXTS, st.data())
def test_what_looks_alike_has_the_same_values(record: Record, text: str, data: st.DataObject) -> None:
    """For every field that a glance shows: a record that it does not tell from another has the same value."""
    changed = copy.deepcopy(record)
    *path, last = data.draw(st.sampled_from(sorted(_leaves(record), key=repr)))
    part: Any = changed
    for key in path:
        part = part[key]
    part[last] = text
    one, two = CloudTrailView(record, PLACES), CloudTrailView(changed, PLACES)
    for name, glances in GLANCES:
        seen, again = (glances.at(msgpack.packb(each | {"eventID": "e-1"})) for each in (record, changed))
        if seen is not None and again is not None and glances.key(seen) == glances.key(again):
            assert one.values(name) == two.values(name), name
            assert one.exists(name) == two.exists(name), name


NEWS = rule_set(
    rule_text('event.outcome: "success"', [ARN, "source.ip"], rule_id=rule_id(1), window="now-2d"),
    rule_text("event.action: GetUser and not user.name: svc*", ["user.name", "cloud.account.id"], rule_id=rule_id(2)),
    rule_text("aws.cloudtrail.resources.arn: *", ["aws.cloudtrail.resources.arn"], rule_id=rule_id(3)),
    rule_text("event.action: ConsoleLogin", ["event.outcome"], rule_id=rule_id(4)).replace(
        '"event.ingested"', '"@timestamp"'
    ),
    rule_text("tls.client.server_name: * or user.id: a*", ["event.provider"], rule_id=rule_id(5)),
    rule_text(
        "user.name: ada", [ARN, "aws.cloudtrail.flattened.request_parameters.name"], rule_id=rule_id(6), window="now-2d"
    ),
).rules
EVERY, OFTEN = (
    replace(rule, id=rule_id(number), kind=kind)
    for rule, number, kind in zip(
        NEWS[1:3], (7, 8), (EveryMatch(), Threshold(("user.name",), 3, cardinality=None)), strict=True
    )
)
COUNTED = [
    replace(EVERY, id=rule_id(9 + number), kind=Threshold(fields, count, Cardinality(field, 2)))
    for number, (fields, count, field) in enumerate(
        [(("user.name",), 1, "source.ip"), ((), 1, "event.id"), ((ARN,), 3, "aws.cloudtrail.request_parameters")]
    )
]
ENOUGH = [
    replace(EVERY, id=rule_id(12 + missing_alone), suppression=Suppression(("user.name", "source.ip"), DAY_MS, missing))
    for missing_alone, missing in enumerate((False, True))
]
RULES = RuleSet([COUNTED[0], OFTEN, *ENOUGH, *NEWS, *COUNTED[1:], EVERY])
# In this order: behind the first that is to be looked at, all are.
NAMES = st.sampled_from(["ada", "ada", "ada", "bob"])


@st.composite
def usual_records(draw: st.DrawFn) -> Record:
    """Records of which some are alike."""
    identity = {"arn": f"arn:aws:iam::111122223333:user/{draw(NAMES)}", "userName": draw(NAMES), "accountId": "1"}
    record: Record = {
        "eventSource": "iam.amazonaws.com",
        "eventName": draw(st.sampled_from([*["GetUser"] * 4, "ConsoleLogin", "PutUser"])),
        "eventID": draw(st.sampled_from(["e-1", "e-2", "e-3", "e-4", "-"])),
        "eventTime": draw(
            st.sampled_from(["2026-09-20T08:00:00Z", "2026-09-21T08:00:00Z", "2026-09-25T08:00:00Z", "?"])
        ),
        "sourceIPAddress": draw(st.sampled_from([*["192.0.2.7"] * 4, "192.0.2.8", "iam.amazonaws.com"])),
        "userIdentity": identity,
        "requestParameters": draw(st.sampled_from([None, {"name": "a"}, {"name": "b"}])),
    }
    odd: list[Record] = [
        {},
        {"errorCode": "AccessDenied"},
        {"errorCode": ""},
        {"requestParameters": {"name": ["a", "b"]}},
        {"responseElements": {"ConsoleLogin": "Failure"}},
        {"resources": [{"ARN": "arn:1"}, {"ARN": "arn:2"}]},
        {"resources": [{"ARN": "arn:1", "x": 1}]},
        {"tlsDetails": {"clientProvidedHostHeader": "h", "tlsVersion": "TLSv1.3"}},
        {"event": {"ingested": "2026-09-22T08:00:00Z"}},
        {"Records": [{**record, "eventID": "e-9"}]},
        {"eventName": 7},
        {"userIdentity": {"arn": "\udcff"}},
    ]
    return record | draw(st.sampled_from([*[{}] * 8, *odd]))


class Watcher:
    """An engine on a state of its own."""

    def __init__(self, rules: RuleSet, path: Path) -> None:
        self.rules = rules
        self.store = LmdbStore.open(path, 1 << 24, durable=False)
        self.counts = Counts()
        self.engine = Engine(rules, self.store, self.counts, lambda: NOW_MS)

    def look(self, chunk: Sequence[Record], now_ms: int | None, *, json_text: bool, glancing: bool) -> list[Any]:
        claims: list[Claim] = []
        labels: list[Any] = []
        earlier: Earlier = {}
        asked = self.rules.some([tuple(range(len(self.rules.rules)))])
        for record in chunk:
            raw = json.dumps(record).encode() if json_text else msgpack.packb(record, unicode_errors="surrogateescape")
            moment = Moment(now_ms, NOW_MS)
            if glancing:
                glanced = self.engine.recall.glance(raw, asked, now_ms, earlier, json=json_text)
                claims += glanced.claims
                if not glanced.rules:
                    continue
                inspection = self.engine.inspect(record, moment, lambda: "d", "auto", glanced, earlier)
            else:
                inspection = self.engine.inspect(record, moment, lambda: "d")
            claims += inspection.claims
            labels += inspection.labels
        self.store.confirm(claims).result()
        return labels

    def seen(self) -> list[Any]:
        counts = self.counts
        return [*self.store.entries(), counts.matches, counts.alerts, counts.suppressed, counts.records_late]


@settings(deadline=None, max_examples=80)
@given(
    st.lists(st.lists(usual_records(), min_size=1, max_size=8), min_size=1, max_size=5), st.booleans(), st.booleans()
)
def test_what_is_recalled_is_what_would_be_found(chunks: list[list[Record]], json_text: bool, live: bool) -> None:
    """For any records, in any chunks: the same labels, the same sums, and the same memory in the end."""
    with tempfile.TemporaryDirectory() as folder:
        plain, glancing = Watcher(RULES, Path(folder, "plain")), Watcher(rule_copy(), Path(folder, "glancing"))
        try:
            for number, chunk in enumerate(chunks):
                now_ms = NOW_MS + number * DAY_MS if live else None
                assert glancing.look(chunk, now_ms, json_text=json_text, glancing=True) == plain.look(
                    chunk, now_ms, json_text=json_text, glancing=False
                )
            assert glancing.seen() == plain.seen()
        finally:
            plain.store.close()
            glancing.store.close()


def rule_copy() -> RuleSet:
    """The same rules, of whose records nothing is known yet."""
    return RuleSet(RULES.rules)
