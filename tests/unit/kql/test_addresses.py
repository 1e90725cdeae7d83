from __future__ import annotations

import ipaddress

import pytest

from firstseen.kql.addresses import Networks, address_of, network_of, range_of, spelt


def test_an_ipv4_address_is_the_ipv6_address_that_maps_it():
    assert address_of("192.0.2.1") == address_of("::ffff:192.0.2.1") == address_of("::FFFF:c000:201")
    assert address_of("192.0.2.1") != address_of("::192.0.2.1")


@pytest.mark.parametrize("address", ["192.0.2.7", "0.0.0.0", "2001:db8::1", "::", "::1", "ffff:ffff::ffff"])
def test_each_address_has_one_spelling(address):
    assert spelt(address_of(address)) == address
    assert spelt(address_of("::ffff:192.0.2.7")) == "192.0.2.7"


def test_the_spellings_of_an_ipv6_address_are_one():
    assert address_of("2001:db8::1") == address_of("2001:0DB8:0:0:0:0:0:1") == int(ipaddress.ip_address("2001:db8::1"))


@pytest.mark.parametrize(
    "text",
    ["", "x", "192.0.2", "192.0.2.256", "192.0.2.01", " 192.0.2.1", "192.0.2.1 ", "fe80::1%eth0", "1", "٣.0.2.1"],
)
def test_what_is_no_address(text):
    assert address_of(text) is None


def in_ranges(text, ranges):
    return address_of(text) in Networks(map(range_of, ranges))


@pytest.mark.parametrize(
    ("network", "inside", "outside"),
    [
        ("192.0.2.0/24", ["192.0.2.0", "192.0.2.255", "::ffff:192.0.2.7"], ["192.0.3.0", "192.0.1.255"]),
        ("192.0.2.77/24", ["192.0.2.0"], ["192.0.3.0"]),
        ("0.0.0.0/0", ["203.0.113.9"], ["2001:db8::1"]),
        ("::/0", ["203.0.113.9", "2001:db8::1"], []),
        ("2001:db8::/32", ["2001:db8:ffff::1"], ["2001:db9::"]),
    ],
)
def test_networks(network, inside, outside):
    assert [text for text in inside + outside if in_ranges(text, [network])] == inside


@pytest.mark.parametrize(
    "text", ["192.0.2.0", "192.0.2.0/33", "::ffff:192.0.2.0/120", "2001:db8::/129", "192.0.2.0/", "x/8", "192.0.2.0/-1"]
)
def test_what_is_no_network(text):
    assert network_of(text) is None


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("192.0.2.1", "192.0.2.1", "192.0.2.1"),
        ("192.0.2.1-192.0.2.9", "192.0.2.1", "192.0.2.9"),
        ("2001:db8::1 - 2001:db8::2", "2001:db8::1", "2001:db8::2"),
        ("192.0.2.0/30", "192.0.2.0", "192.0.2.3"),
    ],
)
def test_ranges(text, first, last):
    assert range_of(text) == (address_of(first), address_of(last))


@pytest.mark.parametrize("text", ["", "-", "192.0.2.9-192.0.2.1", "192.0.2.1-", "192.0.2.0/24-192.0.3.0/24"])
def test_what_is_no_range(text):
    assert range_of(text) is None
    assert not in_ranges("192.0.2.1", [text])


def test_ranges_that_touch_or_overlap_are_one_set():
    networks = Networks([(5, 7), None, (1, 2), (3, 3), (6, 9), (20, 20)])
    assert [number for number in range(25) if number in networks] == [1, 2, 3, 5, 6, 7, 8, 9, 20]
    assert None not in networks
    assert 1 not in Networks([])
