"""The synthetic day of CloudTrail that tests, demo and benchmark share."""

from __future__ import annotations

import datetime
import gzip
import ipaddress
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import corpus

ACCOUNTS = {"111122223333", "444455556666", "123456789012", "210987654321"}
NETWORKS = [ipaddress.ip_network(n) for n in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")]
DOMAINS = ("amazonaws.com", "aws.amazon.com", "example.com")

ORDER = [
    *("eventVersion", "userIdentity", "eventTime", "eventSource", "eventName", "awsRegion", "sourceIPAddress"),
    *("userAgent", "errorCode", "errorMessage", "requestParameters", "responseElements", "additionalEventData"),
    *("requestID", "eventID", "readOnly", "resources", "eventType", "apiVersion", "managementEvent"),
    *("recipientAccountId", "sharedEventID", "vpcEndpointId", "vpcEndpointAccountId", "eventCategory", "tlsDetails"),
    "sessionCredentialFromConsole",
]


@pytest.fixture(scope="module")
def records() -> list[dict[str, Any]]:
    return corpus.day()


@pytest.fixture(scope="module")
def texts(records: list[dict[str, Any]]) -> set[str]:
    """Every key and every value that is text, but those that are random by design."""
    return set(strings([record | {"requestID": "", "eventID": "", "userAgent": ""} for record in records]))


def strings(value: object) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            yield from value
            for item in value.values():
                yield from strings(item)
        case list():
            for item in value:
                yield from strings(item)


def test_the_same_seed_gives_the_same_day(records: list[dict[str, Any]]) -> None:
    assert json.dumps(corpus.day()) == json.dumps(records)
    assert corpus.day(records=300, seed=1) != corpus.day(records=300)


def test_a_day_is_in_the_order_of_its_times(records: list[dict[str, Any]]) -> None:
    times = [record["eventTime"] for record in records]
    assert times == sorted(times)
    assert {time[:10] for time in times} == {corpus.DATE.isoformat()}
    assert corpus.day(datetime.date(2026, 2, 3), 300)[0]["eventTime"].startswith("2026-02-03T")


@pytest.mark.parametrize("size", [corpus.FEWEST, 1000])
def test_a_day_has_as_many_records_as_asked_for(size: int) -> None:
    assert len(corpus.day(records=size)) == size


def test_a_day_of_too_few_records_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least"):
        corpus.day(records=corpus.FEWEST - 1)


def test_only_documentation_accounts_occur(texts: set[str]) -> None:
    assert {number for text in texts for number in re.findall(r"(?<![\w-])\d{12}(?!\w)", text)} == ACCOUNTS


def test_only_documentation_addresses_occur(records: list[dict[str, Any]], texts: set[str]) -> None:
    callers = {record["sourceIPAddress"] for record in records}
    addresses = {caller for caller in callers if not caller.endswith(".amazonaws.com")}
    addresses |= {found for text in texts for found in re.findall(r"\b\d+\.\d+\.\d+\.\d+\b", text)}
    for address in addresses - {"3.3.3050.0"}:  # a version
        assert any(ipaddress.ip_address(address) in network for network in NETWORKS), address


def test_only_documentation_domains_occur(texts: set[str]) -> None:
    domains = {found for text in texts for found in re.findall(r"[\w.-]+\.(?:com|net|org|io|dev|cloud)\b", text)}
    assert [domain for domain in domains if not domain.endswith(DOMAINS)] == []


def test_nothing_looks_like_a_real_key(texts: set[str]) -> None:
    keys = {key for text in texts for key in re.findall(r"\b(?:AKIA|ASIA|AIDA|AROA)\w+", text)}
    assert keys
    assert all(key.endswith("EXAMPLE") for key in keys)


def test_events_are_distinct(records: list[dict[str, Any]]) -> None:
    assert len({record["eventID"] for record in records}) == len(records)


def test_keys_are_in_the_order_of_cloudtrail(records: list[dict[str, Any]]) -> None:
    for record in records:
        assert list(record) == [key for key in ORDER if key in record]


def test_records_have_the_size_of_real_ones(records: list[dict[str, Any]]) -> None:
    sizes = [len(json.dumps(record, separators=(",", ":"))) for record in records]
    assert 1050 < sum(sizes) / len(sizes) < 1250


def test_a_few_identities_ask_who_they_are_all_day_and_a_handful_once(records: list[dict[str, Any]]) -> None:
    callers = Counter(r["userIdentity"]["arn"] for r in records if r["eventName"] == "GetCallerIdentity")
    assert sum(count > 3 for count in callers.values()) == 4
    assert sum(count == 1 for count in callers.values()) == 5
    assert callers.total() < len(records) / 50


def test_the_cast_is_complete(records: list[dict[str, Any]]) -> None:
    kinds = {record["userIdentity"]["type"] for record in records}
    assert kinds == {"IAMUser", "AssumedRole", "AWSService", "AWSAccount", "WebIdentityUser", "FederatedUser", "Root"}
    assert len({record["eventSource"] for record in records}) > 15
    assert any("errorCode" in record for record in records)


@pytest.mark.parametrize("name", ["day.json", "day.json.gz"])
def test_a_day_is_written_as_cloudtrail_delivers_it(tmp_path: Path, name: str) -> None:
    written = corpus.write_day(tmp_path / name, records=300)
    data = (tmp_path / name).read_bytes()
    assert json.loads(gzip.decompress(data) if name.endswith(".gz") else data) == {"Records": written}
