"""Views over any record: nothing raises, every spelling is one field, and what counts as verbatim is."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgpack import ExtType, Timestamp

from firstseen.geoip import GeoIp
from firstseen.record.cloudtrail import FIELDS, CloudTrailView, unavailable
from firstseen.record.ecs import EcsView
from firstseen.record.enrichment import UNENRICHED
from firstseen.record.fields import field_type, ignore_above
from firstseen.record.targets import TARGETED
from firstseen.record.view import is_verbatim, views
from support.mmdb import asn_database, city_database

FEWER = settings(deadline=None, max_examples=50)  # records of a wide shape take long to make

SEGMENTS = ["a", "b", "event", "action", "text", "ip", "", "aws.cloudtrail.flattened.digest"]
NAMES = st.lists(st.sampled_from(SEGMENTS), min_size=1, max_size=4).map(".".join)
FIELD_NAMES = st.one_of(
    NAMES, st.sampled_from([field.name for field in FIELDS]), st.text(max_size=8), st.just("event"), st.just("aws")
)
KEYS = st.one_of(NAMES, NAMES.map(str.encode), st.binary(max_size=3), st.integers(), st.none())

TEXTS = st.one_of(
    st.text(max_size=6),
    st.sampled_from(["x" * 1024, "x" * 1025, "😀" * 513, "-", "none", "No", "TLSv1.3", "192.0.2.1", "bob@example.com"]),
    st.sampled_from(["IAMUser", "AssumedRole", "Root", "ConsoleLogin", "UserAuthentication", "sts.amazonaws.com"]),
    st.sampled_from(["arn:aws:sts::111122223333:assumed-role/dev/bob@example.com", "i-0123456789abcdef0"]),
    st.sampled_from(["aws-cli/1.16.1 botocore/1.1", "AKIA0123456789ABCDEF", "*", "sg-1", "arn:aws:iam::aws:policy/A"]),
    st.sampled_from(["arn:aws:ec2:::instance/i-0123456789abcdef0", "api.example.com", "2026-05-24T12:00:00Z"]),
)
JSON_SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(), TEXTS)
SCALARS = st.one_of(JSON_SCALARS, st.binary(max_size=4), TEXTS.map(str.encode), st.just(b"aws-cli/2.17 \xff"))
OTHERS = st.sampled_from([ExtType(0, b"x"), Timestamp(1, 2)])
VALUES = st.recursive(
    st.one_of(SCALARS, OTHERS),
    lambda below: st.one_of(
        st.lists(below, max_size=3), st.lists(below, max_size=3).map(tuple), st.dictionaries(KEYS, below, max_size=4)
    ),
    max_leaves=8,
)
RECORDS = st.dictionaries(KEYS, VALUES, max_size=5)


def keyed(names: str, values: st.SearchStrategy[object]) -> st.SearchStrategy[dict[str, object]]:
    return st.fixed_dictionaries({}, optional=dict.fromkeys(names.split(), values))


def placed(event: tuple[str, str], record: dict[str, object]) -> dict[str, object]:
    """The record as a call that has targets."""
    service, name = event
    return record | {"eventSource": f"{service}.amazonaws.com", "eventName": name}


def events(values: st.SearchStrategy[object], scalars: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    """Records that have the shape of CloudTrail's, more or less, with ``values`` wherever something free may stand."""
    session = keyed("attributes webIdFederationData sourceIdentity", values)
    issued = st.builds(lambda a, b: a | {"sessionIssuer": b}, session, keyed("type userName arn", scalars))
    identity = keyed("type principalId arn userName accountId invokedBy sessionContext onBehalfOf", scalars)
    parts = {
        "userIdentity": st.builds(lambda a, b: a | {"sessionContext": b}, identity, issued),
        "tlsDetails": keyed("tlsVersion cipherSuite clientProvidedHostHeader", scalars),
        "resources": st.lists(keyed("ARN arn accountId type", scalars), max_size=3),
        "requestParameters": keyed(
            "userName newUserName groupName instanceId instanceIds instancesSet roleName policyArn ruleNumber targets"
            " networkAclId",
            values,
        ),
        "additionalEventData": keyed("UserName MFAUsed MobileVersion LoginTo", values),
        "digestEndTime": scalars,
        **dict.fromkeys(
            ["insightDetails", "responseElements", "serviceEventDetails", "event", "event.ingested"], values
        ),
        **dict.fromkeys(
            ["eventName", "eventTime", "eventID", "awsRegion", "sourceIPAddress", "userAgent", "errorCode", "readOnly"],
            scalars,
        ),
    }
    plain = st.fixed_dictionaries({"eventSource": TEXTS, "eventVersion": TEXTS}, optional=parts)
    return st.one_of(plain, st.builds(placed, st.sampled_from([("signin", "ConsoleLogin"), *sorted(TARGETED)]), plain))


JSON_VALUES = st.recursive(
    JSON_SCALARS,
    lambda below: st.one_of(st.lists(below, max_size=3), st.dictionaries(TEXTS, below, max_size=3)),
    max_leaves=5,
)
JSON_EVENTS = events(JSON_VALUES, JSON_SCALARS)


def carried(records: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    carriers = [
        lambda record: {"Records": [record, 7]},
        lambda record: {"source": "s", "detail-type": "t", "detail": record},
        lambda record: {"log": record},
        lambda record: {b"message": json.dumps(record, default=repr, skipkeys=True)},
        lambda record: {"@timestamp": 1, "message": json.dumps([record], default=repr, skipkeys=True).encode()},
    ]
    return st.one_of(records, st.builds(lambda carry, record: carry(record), st.sampled_from(carriers), records))


def leaves(value: object, path: str | None = None) -> Iterator[tuple[str, object]]:
    """The slow and plain reading of a record: every scalar with its dotted name."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "surrogateescape")
    if isinstance(value, dict):
        for key, child in value.items():
            name = key.decode("utf-8", "surrogateescape") if isinstance(key, bytes) else key
            if isinstance(name, str):
                yield from leaves(child, name if path is None else f"{path}.{name}")
    elif isinstance(value, list) or type(value) is tuple:
        for child in value:
            yield from leaves(child, path)
    elif isinstance(value, (str, int, float)):
        yield path or "", value


def by_name(value: object) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for name, leaf in leaves(value):
        found[name][typed(leaf)] += 1
    return found


def typed(value: object) -> str:
    return f"{type(value).__name__} {value!r}"


def is_indexed(name: str, value: object) -> bool:
    return not isinstance(value, str) or len(value.encode("utf-16-le", "surrogatepass")) // 2 <= ignore_above(name)


Leaves = list[tuple[str, object]]


def naive_values(plain: Leaves, field: str) -> Counter[str]:
    whole = field_type(field) == "flattened"

    def under(wanted: str) -> Counter[str]:
        return Counter(
            typed(value)
            for name, value in plain
            if (name == wanted or (whole and name.startswith(f"{wanted}."))) and is_indexed(field, value)
        )

    direct = under(field)
    parent, _, last = field.rpartition(".")
    return under(parent) if not direct and last in ("text", "caseless") and last == field_type(field) else direct


def naive_exists(plain: Leaves, field: str) -> bool:
    return bool(naive_values(plain, field)) or any(
        is_indexed(name, value) for name, value in plain if name.startswith(f"{field}.")
    )


@settings(deadline=None)
@given(
    carried(st.one_of(VALUES, RECORDS, events(VALUES, VALUES), JSON_EVENTS)),
    st.sampled_from(["auto", "cloudtrail", "ecs"]),
    st.lists(FIELD_NAMES, max_size=6),
)
def test_anything_is_taken(record, mode, fields):
    """No record, mode or field name raises, all values are scalars, and a field that has a value exists."""
    for view in views(record, mode):
        assert view.kind in ("cloudtrail", "ecs")
        assert view.event_id is None or view.event_id
        assert all(ms is None or type(ms) is int for ms in (view.timestamp_ms, view.ingested_ms))
        for field in [*fields, *by_name(view.document())]:
            values = view.values(field)
            assert all(type(value) in (str, int, float, bool) for value in values)
            assert view.exists(field) or not values


@settings(deadline=None)
@given(RECORDS, st.lists(FIELD_NAMES, max_size=6))
def test_an_ecs_view_is_the_plain_reading_of_its_record(record, fields):
    """For every field, a view's values are those that lie under that dotted name in the record, however spelt."""
    view = EcsView(record)
    plain = list(leaves(record))
    for field in [*fields, *by_name(record)]:
        assert Counter(map(typed, view.values(field))) == naive_values(plain, field), field
        assert view.exists(field) == naive_exists(plain, field), field


@settings(deadline=None)
@given(RECORDS)
def test_the_document_of_an_ecs_view_loses_nothing(record):
    """The nested document has exactly the scalars of the record, under the same dotted names."""
    assert by_name(EcsView(record).document()) == by_name(record)


@pytest.fixture(scope="module")
def geoip(tmp_path_factory: pytest.TempPathFactory) -> GeoIp:
    folder = tmp_path_factory.mktemp("geoip")
    return GeoIp(city_database(folder / "city.mmdb"), asn_database(folder / "asn.mmdb"))


@FEWER
@given(events(VALUES, VALUES))
def test_a_cloudtrail_view_is_the_plain_reading_of_its_document(geoip, record):
    """For every field of the table or below or above it, the values are those of the document."""
    view = CloudTrailView(record, geoip)
    document = view.document()
    plain = list(leaves(document))
    for field in [*by_name(document), *(field.name for field in FIELDS), "aws.cloudtrail", "user"]:
        assert Counter(map(typed, view.values(field))) == naive_values(plain, field), field
        assert view.exists(field) == naive_exists(plain, field), field


@FEWER
@given(events(VALUES, VALUES), st.lists(FIELD_NAMES, max_size=6))
def test_what_is_unavailable_is_in_no_document(geoip, record, fields):
    """A field that has a value is available, with and without databases, and so is every pattern that fits it.

    Below a field that is no object in CloudTrail there is none, whatever a record has there.
    """
    closed = tuple(f"{field.name}." for field in FIELDS if not field.open)
    for enrichment in (geoip, UNENRICHED):
        view = CloudTrailView(record, enrichment)
        document = [field for field in by_name(view.document()) if not field.startswith(closed)]
        for field in [*fields, *document]:
            assert not view.exists(field) or unavailable(field, enrichment) is None, field
        for field in document:
            half = len(field) // 2
            for pattern in (f"{field[:half]}*", f"*{field[half:]}", f"{field[:3]}*{field[-3:]}"):
                assert unavailable(pattern, enrichment) is None, (field, pattern)


@FEWER
@given(carried(st.one_of(RECORDS, events(VALUES, VALUES))))
def test_verbatim_texts_stand_in_the_record(record):
    """Every text under a field that is verbatim is a piece of some text of the record: a needle would find it."""
    texts = {value for _, value in leaves(record) if isinstance(value, str)}
    for text in list(texts):  # of a line of JSON, what it says
        try:
            texts |= {value for _, value in leaves(json.loads(text)) if isinstance(value, str)}
        except ValueError:
            continue
    for view in views(record):
        for field in by_name(view.document()):
            if is_verbatim(field):
                for value in view.values(field):
                    assert not isinstance(value, str) or any(value in text for text in texts), (field, value)


@FEWER
@given(JSON_EVENTS)
def test_an_event_in_a_line_of_text_is_the_event(record):
    """A CloudTrail record reads the same bare, as JSON text, in an envelope and in an EventBridge event."""
    plain = repr(CloudTrailView(record).document())
    text = json.dumps(record)
    for carrier in (
        {"log": text},
        {"message": text.encode()},
        {"Records": [record]},
        {"message": json.dumps({"Records": [record]})},
        {"source": "s", "detail-type": "t", "detail": record},
    ):
        (view,) = views(carrier)
        assert (view.kind, repr(view.document())) == ("cloudtrail", plain)


@FEWER
@given(JSON_EVENTS)
def test_bytes_are_as_good_as_text(record):
    """A record whose keys and texts are bytes reads the same as the one with text."""

    def encoded(value: object) -> object:
        if isinstance(value, str):
            return value.encode("utf-8", "surrogateescape")
        if isinstance(value, dict):
            return {encoded(key): encoded(child) for key, child in value.items()}
        return [encoded(child) for child in value] if isinstance(value, list) else value

    (plain,) = views(record)
    (raw,) = views(encoded(record))
    assert (raw.kind, repr(raw.document())) == (plain.kind, repr(plain.document()))
