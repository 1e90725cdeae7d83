import pytest

from firstseen.notation import Address, Duration, Size


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
        ("http://a:1", 'an IPv6 address stands in brackets, as in "[::1]:24224", got "http://a:1"'),
        ("tls://a:1", 'tls is not supported by this version, got "tls://a:1"'),
        ("unix:/run/a.sock", 'unix is not supported by this version, got "unix:/run/a.sock"'),
    ],
)
def test_no_addresses(text, what):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # the whole sentence is compared
        Address(text)
    assert str(caught.value) == what


def test_addresses_differ():
    assert Address("a:1") != Address("a:2")
    assert Address("a:1") != "a:1"
