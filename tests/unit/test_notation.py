import datetime as dt
import math
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstseen.notation import (
    Address,
    Duration,
    Endpoint,
    HostName,
    Mode,
    PlainEndpoint,
    Size,
    Until,
    fits,
    in_units,
    spelled,
)


@pytest.mark.parametrize(
    ("text", "ms"),
    [("500ms", 500), ("60s", 60_000), ("5m", 300_000), ("1h", 3_600_000), ("10d", 864_000_000), ("2w", 1_209_600_000)],
)
def test_durations(text, ms):
    duration = Duration(text)
    assert (duration.ms, duration.seconds, str(duration)) == (ms, ms / 1000, text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0B", 0),
        ("64KiB", 65_536),
        ("16MiB", 16_777_216),
        ("1GiB", 1_073_741_824),
        ("1kB", 1_000),
        ("2MB", 2_000_000),
        ("3GB", 3_000_000_000),
    ],
)
def test_sizes(text, size):
    assert (Size(text).bytes, str(Size(text))) == (size, text)


@pytest.mark.parametrize(
    "text", ["", "60", "s", "1.5h", "1h30m", "-1s", " 1s", "1 s", "1S", "1M", "٣s", "9" * 19 + "s"]
)
def test_no_durations(text):
    with pytest.raises(ValueError, match='expected a whole number and one of ms, s, m, h, d, w, such as "60s", got '):
        Duration(text)


@pytest.mark.parametrize("text", ["16", "16M", "16mib", "16KB", "1.5GiB"])
def test_no_sizes(text):
    with pytest.raises(ValueError, match=f'B, kB, MB, GB, KiB, MiB, GiB, such as "16MiB", got "{text}"'):
        Size(text)


def test_quantities_compare_by_what_they_mean():
    assert Duration("60s") == Duration("1m")
    assert hash(Duration("60s")) == hash(Duration("1m"))
    assert Duration("60s") != Duration("61s")
    assert Size("1ms".replace("ms", "B")) != Duration("1ms")
    assert Size("1B") != 1
    assert repr(Duration("60s")) == "Duration('60s')"


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:24224", "127.0.0.1", 24224),
        ("collector_1.example.com:0", "collector_1.example.com", 0),
        ("[::1]:65535", "::1", 65535),
        ("[fe80::1%eth0]:1", "fe80::1%eth0", 1),
    ],
)
def test_addresses(text, host, port):
    address = Address(text)
    assert (address.host, address.port, str(address)) == (host, port, text)
    assert address == Address(text)
    assert hash(address) == hash(Address(text))
    assert repr(address) == f"Address({text!r})"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("localhost", 'expected "host:port", got "localhost"'),
        ("24224", 'expected "host:port", got "24224"'),
        (":24224", 'no host, got ":24224": write "0.0.0.0:24224" for every IPv4 address of this machine'),
        ("a:65536", 'a port is at most 65535, got "a:65536"'),
        ("a:-1", 'expected "host:port", got "a:-1"'),
        ("a b:1", 'expected "host:port", got "a b:1"'),
        ("::1:24224", 'an IPv6 address stands in brackets, as in "[::1]:24224", got "::1:24224"'),
        ("[192.0.2.1]:1", 'no IPv6 address between the brackets of "[192.0.2.1]:1"'),
        ("http://a:1", 'expected "host:port", got "http://a:1"'),
        ("a..b:1", 'no host name, got "a..b": a part of it is empty or too long'),
    ],
)
def test_no_addresses(text, what):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # the whole sentence is compared
        Address(text)
    assert str(caught.value) == what


def test_addresses_differ():
    assert Address("a:1") != Address("a:2")
    assert Address("a:1") != "a:1"


@pytest.mark.parametrize(
    ("text", "tls", "host", "port", "path"),
    [
        ("127.0.0.1:24224", False, "127.0.0.1", 24224, None),
        ("[::1]:0", False, "::1", 0, None),
        ("tls://collector.example.com:24224", True, "collector.example.com", 24224, None),
        ("tls://[::1]:1", True, "::1", 1, None),
        ("unix:/run/a.sock", False, "", 0, Path("/run/a.sock")),
        ("unix:run/a:1.sock", False, "", 0, Path("run/a:1.sock")),
    ],
)
def test_endpoints(text, tls, host, port, path):
    endpoint = Endpoint(text)
    assert (endpoint.tls, endpoint.host, endpoint.port, endpoint.path) == (tls, host, port, path)
    assert str(endpoint) == text
    assert repr(endpoint) == f"Endpoint({text!r})"
    assert endpoint == Endpoint(text)
    assert hash(endpoint) == hash(Endpoint(text))


def test_endpoints_differ_and_may_share_a_place():
    assert Endpoint("a:1") != Endpoint("tls://a:1")
    assert Endpoint("a:1") != "a:1"
    assert Endpoint("a:1").place == Endpoint("tls://a:1").place
    assert Endpoint("unix:/a").place != Endpoint("unix:/b").place


def test_sockets_are_found_from_the_root_or_from_where_they_are_told_of():
    assert Endpoint("unix:///run/a") == Endpoint("unix:/run/a")
    assert Endpoint("unix:a").under(Path("/etc")) == Endpoint("unix:/etc/a")
    assert Endpoint("unix:/run/a").under(Path("/etc")) == Endpoint("unix:/run/a")
    assert Endpoint("a:1").under(Path("/etc")) == Endpoint("a:1")


@pytest.mark.parametrize("text", ["logs.example.com:24224", "unix:/run/a"])
def test_a_plain_endpoint_is_one_without_tls(text: str) -> None:
    assert PlainEndpoint(text) == Endpoint(text)
    assert isinstance(PlainEndpoint(text).under(Path("/etc")), PlainEndpoint)


@pytest.mark.parametrize("text", ["tls://logs.example.com:24224", "http://logs.example.com:24224"])
def test_a_plain_endpoint_with_a_scheme_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=f'^expected "host:port" or "unix:/path", got "{text}"$'):
        PlainEndpoint(text)


def test_the_path_of_a_socket_fits_its_structure():
    longest = "unix:/" + "a" * 106
    assert str(Endpoint(longest)) == longest
    for text in (longest + "a", "unix:/" + "ü" * 54):
        with pytest.raises(ValueError, match="the path of a socket has at most 107 bytes"):
            Endpoint(text)
    with pytest.raises(ValueError, match="at most 107 bytes"):
        Endpoint("unix:" + "a" * 106).under(Path("/etc"))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("tcp://a:1", 'expected "host:port", "tls://host:port" or "unix:/path", got "tcp://a:1"'),
        ("tls:a:1", "an IPv6 address stands in brackets"),
        ("tls://a", 'expected "host:port", got "a"'),
        ("unix:", 'expected the path of a socket behind "unix:", got ""'),
        ("unix:a\0b", "expected the path of a socket"),
        ("a:65536", "a port is at most 65535"),
        ("http://ada:pw@a:1", 'or "unix:/path": users and passwords are settings of their own'),
        ("tls://ada:pw@a:1", "users and passwords are settings of their own"),
        ("ada:pw@[a]:1", "users and passwords are settings of their own"),
    ],
)
def test_no_endpoints(text, what):
    with pytest.raises(ValueError, match=what):
        Endpoint(text)


def test_host_names():
    assert HostName("collector.example.com") == "collector.example.com"
    for text in ("", "a b", "a:1", "[::1]", "a\0b", "a..b", "a" * 64):
        with pytest.raises(ValueError, match="host"):
            HostName(text)


@pytest.mark.parametrize(("text", "bits"), [("0660", 0o660), ("660", 0o660), ("0000", 0), ("0777", 0o777)])
def test_modes(text, bits):
    assert (Mode(text).bits, str(Mode(text)), repr(Mode(text))) == (bits, text, f"Mode({text!r})")


@pytest.mark.parametrize("text", ["", "66", "0888", "1777", "0o660", "rw-", "00660"])
def test_no_modes(text):
    with pytest.raises(ValueError, match='expected three octal digits, such as "0660", got '):
        Mode(text)


def test_modes_compare_by_what_they_mean():
    assert Mode("660") == Mode("0660")
    assert hash(Mode("660")) == hash(Mode("0660"))
    assert Mode("600") != Mode("660")
    assert Mode("600") != 0o600


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "0s"),
        (5, "5ms"),
        (999, "999ms"),
        (5_000, "5s"),
        (5_999, "5s"),
        (65_000, "1m 5s"),
        (3_600_000, "1h"),
        (86_399_999, "23h 59m"),
        (90_000_000, "1d 1h"),
        (259_260_000, "3d"),
        (864_000_000, "10d"),
        (864_005_000, "10d"),
        (90_061_001, "1d 1h"),
    ],
)
def test_lengths_of_time_for_people(ms, text):
    assert in_units(ms) == text


NOON = dt.datetime(2027, 1, 31, 12)


@pytest.mark.parametrize(
    ("value", "ms"),
    [
        (True, None),
        (dt.date(2027, 1, 31), 1_801_440_000_000),
        ("2027-01-31", 1_801_440_000_000),
        (NOON, 1_801_396_800_000),
        (NOON.replace(tzinfo=dt.timezone(dt.timedelta(hours=2))), 1_801_389_600_000),
        ("2027-01-31T12:00:00Z", 1_801_396_800_000),
        (dt.date.max, 253_402_300_799_999),
    ],
)
def test_until_when(value, ms):
    until = Until(value)
    assert until.ms == ms
    assert until.lasts(1_801_389_599_999)
    assert until.lasts(2**60) is (ms is None)
    assert (until == Until(value), until == Until("1970-01-01"), hash(until) == hash(Until(value))) == (
        True,
        False,
        True,
    )


def test_until_a_moment_and_no_longer():
    assert not Until(NOON).lasts(1_801_396_800_000)


@pytest.mark.parametrize("value", [False, "", "soon", 7, dt.time(12), [], None])
def test_no_until(value):
    with pytest.raises(ValueError, match="expected true, a date such as 2027-01-31, or a date and time"):
        Until(value)


@pytest.mark.parametrize(
    ("text", "local"),
    [
        *(("unix:/run/a", True), ("localhost:1", True), ("127.0.0.1:1", True), ("127.9.9.9:1", True)),
        *(("tls://[::1]:1", True), ("0.0.0.0:1", False), ("[::]:1", False), ("192.0.2.1:1", False)),
        *(("localhost.example.com:1", False), ("127.0.0.1.example.com:1", False), ("example.com:1", False)),
    ],
)
def test_endpoints_that_only_this_machine_can_reach(text: str, local: bool) -> None:
    assert Endpoint(text).is_local is local


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("*", "aws.cloudtrail"),
        ("*", ""),
        ("aws.*", "aws."),
        ("aws.*", "aws.a.b"),
        ("*.log", "a.log.log"),
        ("a*b*c", "abc"),
        ("a*b*c", "a.b.b.c.c"),
        ("app", "app"),
        ("**", "x"),
        ("a.[b]?", "a.[b]?"),
    ],
)
def test_a_pattern_fits(pattern, text):
    assert fits(pattern, text)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("aws.*", "aws"),
        ("aws.*", "my.aws.x"),
        ("app", "app.x"),
        ("a*a", "a"),
        ("*ab*ab", "ab"),
        ("a.b", "axb"),
        ("a?", "ab"),
        ("A*", "a"),
        ("", "a"),
    ],
)
def test_a_pattern_does_not_fit(pattern, text):
    assert not fits(pattern, text)


@given(st.text("ab*", max_size=8), st.text("ab\n", max_size=12))
def test_a_pattern_fits_as_a_regular_expression_would(pattern, text):
    expression = ".*".join(map(re.escape, pattern.split("*")))
    assert fits(pattern, text) == bool(re.fullmatch(expression, text, re.DOTALL))


def test_patterns_of_many_stars_take_no_time():
    assert not fits("*a" * 200 + "b", "a" * 10_000)


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("ada", "ada"),
        ("é x", "é x"),
        ("a\nb", r'"a\nb"'),
        ("\x1b[2J", r'"\u001b[2J"'),
        ("\ud800", r'"\ud800"'),
        ("\u202e", r'"\u202e"'),
        (True, "true"),
        (1, "1"),
        (1.5, "1.5"),
        (math.inf, "Infinity"),
        (None, "null"),
    ],
    ids=ascii,
)
def test_values_are_one_line_that_can_be_printed(value: str | float | None, line: str) -> None:
    assert spelled(value) == line
