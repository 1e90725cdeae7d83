from __future__ import annotations

import pytest

from firstseen.record.endpoints import (
    related_addresses,
    related_hosts,
    source_ip,
    tls_detail,
    tls_protocol,
    tls_version,
)
from firstseen.record.source import Source


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"])
def test_addresses(address):
    source = Source({"sourceIPAddress": address})
    assert source_ip(source) == address
    assert related_addresses(source) == [address]
    assert related_hosts(source) is None


@pytest.mark.parametrize(
    "address", ["ec2.amazonaws.com", "AWS Internal", "000000000", "192.0.2.1 ", "fe80::1%1", 7, None]
)
def test_not_addresses(address):
    source = Source({"sourceIPAddress": address})
    assert source_ip(source) is None
    assert related_addresses(source) is None


def test_the_address_in_a_services_own_event():
    source = Source({"sourceIPAddress": "192.0.2.1", "serviceEventDetails": {"sourceIpAddress": "198.51.100.1"}})
    assert related_addresses(source) == ["192.0.2.1", "198.51.100.1"]


@pytest.mark.parametrize(
    ("version", "protocol", "number"),
    [("TLSv1.3", "tls", "1.3"), ("1.2", None, "1.2"), ("v1", None, "1"), ("TLSv", "tls", None), (13, None, None)],
)
def test_tls_versions(version, protocol, number):
    source = Source({"tlsDetails": {"tlsVersion": version, "cipherSuite": "c"}})
    assert (tls_protocol(source), tls_version(source), tls_detail(source, "cipherSuite")) == (protocol, number, "c")


def test_a_placeholder_spoils_all_tls_details():
    source = Source({"tlsDetails": {"tlsVersion": "tlsVersion", "cipherSuite": "c"}})
    assert (tls_protocol(source), tls_version(source), tls_detail(source, "cipherSuite")) == (None, None, None)


@pytest.mark.parametrize(
    ("host", "related"),
    [
        ("api.example.com", True),
        ("api.example.com.", True),
        ("amazonaws.com.example.com", True),
        ("sts.amazonaws.com", False),
        ("STS.AmazonAWS.com.", False),
        ("amazonaws.com", False),
        ("notamazonaws.com", True),
        ("localhost", False),
        ("a b.example.com", False),
        ("192.0.2.1", False),
        (7, False),
    ],
)
def test_foreign_hosts(host, related):
    expected = [host] if related else None
    assert related_hosts(Source({"sourceIPAddress": host})) == expected
    assert related_hosts(Source({"tlsDetails": {"clientProvidedHostHeader": host}})) == expected


def test_instances():
    ids = [f"i-{letter * 17}" for letter in "abcdefg"]
    source = Source(
        {
            "resources": [
                {"ARN": f"arn:aws:ec2:us-east-1:111122223333:instance/{ids[0]}"},
                {"arn": f"arn:aws:ec2:us-east-1:111122223333:instance/{ids[1]}"},
                {"ARN": "arn:aws:ec2:us-east-1:111122223333:volume/vol-1"},
                {"ARN": 7},
            ],
            "requestParameters": {
                "instanceId": ids[2],
                "target": ids[3],
                "resourceId": "i-short",
                "instanceIds": ids[:5],
            },
            "responseElements": {
                "instanceIds": "none listed",
                "instancesSet": {"items": [{"instanceId": ids[5]}, {"x": 1}]},
            },
        }
    )
    assert related_hosts(source) == [*ids[:4], ids[4], ids[5]]
