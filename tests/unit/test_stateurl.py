from __future__ import annotations

import pytest

from firstseen.stateurl import HostPort, StateUrl


@pytest.mark.parametrize(
    ("text", "kind", "tls", "hosts", "service", "database"),
    [
        ("redis://h", "single", False, [("h", 6379)], "", 0),
        ("redis://h:1/2", "single", False, [("h", 1)], "", 2),
        ("rediss://[::1]:1/", "single", True, [("::1", 1)], "", 0),
        ("redis+sentinel://a,b:1/main", "sentinel", False, [("a", 26379), ("b", 1)], "main", 0),
        ("rediss+sentinel://a/my%20main/3", "sentinel", True, [("a", 26379)], "my main", 3),
        ("redis+cluster://a,b:1", "cluster", False, [("a", 6379), ("b", 1)], "", 0),
        ("rediss+cluster://a", "cluster", True, [("a", 6379)], "", 0),
    ],
)
def test_what_it_says(
    text: str, kind: str, tls: bool, hosts: list[tuple[str, int]], service: str, database: int
) -> None:
    url = StateUrl(text)
    assert (url.kind, url.tls, url.service, url.database) == (kind, tls, service, database)
    assert list(url.hosts) == [HostPort(*each) for each in hosts]
    assert (url.username, url.password) == (None, None)
    assert str(url) == text


@pytest.mark.parametrize(
    ("user", "username", "password"),
    [
        ("ada:s3cret", "ada", "s3cret"),
        (":s3cret", None, "s3cret"),
        ("ada", "ada", None),
        ("ada:", "ada", ""),
        ("a%3Ada:s3%2F%40%25cret", "a:da", "s3/@%cret"),
        ("ada:s3:cr@et", "ada", "s3:cr@et"),
    ],
)
def test_users_and_passwords(user: str, username: str | None, password: str | None) -> None:
    url = StateUrl(f"redis://{user}@h:1/2")
    assert (url.username, url.password, url.hosts) == (username, password, (HostPort("h", 1),))


def test_it_prints_no_password() -> None:
    url = StateUrl("redis+cluster://ada:s3cret@a:1,b:2")
    assert str(url) == "redis+cluster://ada:********@a:1,b:2"
    assert repr(url) == "StateUrl('redis+cluster://ada:********@a:1,b:2')"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "expected one of redis, rediss, redis[+]sentinel, .* and ://, such as redis://127.0.0.1:6379/0"),
        ("h:6379", "expected one of redis, rediss"),
        ("http://h", "expected one of redis, rediss"),
        ("redis://", "expected host:port, such as redis://127.0.0.1:6379/0, behind an @ where"),
        ("redis://:6379", "expected host:port"),
        ("redis://h:0", "expected host:port"),
        ("redis://h:65536", "expected host:port"),
        ("redis+cluster://a,,b", "expected host:port"),
        ("redis://a,b", r"several servers are Sentinels \(redis\+sentinel://\) or a cluster \(redis\+cluster://\)"),
        ("redis://h?db=1", r"settings have no place behind a \?"),
        ("redis://h#1", r"settings have no place behind a \?"),
        ("redis://h/one", "expected the number of a database"),
        ("redis://h/1/2", "expected the number of a database, of at most five digits, and nothing behind it"),
        ("redis://h/123456", "expected the number of a database, of at most five digits"),
        ("redis+cluster://h/1", "nothing stands behind the servers of a cluster"),
        ("redis+sentinel://h", r"say which service the Sentinels watch: redis\+sentinel://host:26379/name"),
        ("redis+sentinel://h/main/x", "expected the number of a database"),
        ("redis://[::1", "no address: in a user or a password signs other than letters and digits are written %XX"),
    ],
)
def test_what_is_none(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        StateUrl(text)


@pytest.mark.parametrize("sign", "/?#")
def test_a_password_that_ends_the_address_is_not_told(sign: str) -> None:
    with pytest.raises(ValueError, match=r"are written %2F, %3F and %23") as caught:
        StateUrl(f"redis://ada:s3{sign}cret@h:1")
    assert "s3" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "redis://ada:s3cret",
        "redis://:s3cret:h",
        "redis://ada:s3cret:6379/0",
        "redis://ada:s3cret:h:6379/0",
        "redis://ada:s3cret@h:6379:s3cret",
        "redis://ada:s3@cret:s3cret",
        "redis://ada/s3cret",
        "redis+cluster://ada/s3cret",
        "redis+sentinel://ada/main/s3cret",
        "redis://ada:s3\uff0fcret@h:6379",
        "redis://ada:s3cret\u2100@h:6379",
        "redis://ada:s3cret[@h:6379",
        "redis://ada:[s3cret]@h:6379",
        "redis://ada:s3cret@[s3cret]:6379",
        "redis://ada:s3cret@a,[s3cret:6379",
        "ada:s3cret@h",
        "redis:ada:s3cret@h",
        "s3cret://ada@h",
        "redis://ada@h?s3cret",
    ],
)
def test_what_may_be_of_a_password_is_not_told(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w") as caught:
        StateUrl(text)
    assert "s3" not in str(caught.value)
    assert "cret" not in str(caught.value)
    assert "ada" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_those_that_say_the_same_are_the_same() -> None:
    one, same = StateUrl("redis://h/0"), StateUrl("redis://h:6379")
    assert one == same
    assert hash(one) == hash(same)
    assert one != StateUrl("redis://:s3cret@h/0")
    assert one != StateUrl("redis://h/1")
    assert one != "redis://h/0"
