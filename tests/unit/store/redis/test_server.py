"""Against real servers; what Sentinels do when a primary ends is in tests/crash/test_redis_servers.py."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from firstseen.errors import StoreError
from firstseen.stateurl import StateUrl
from firstseen.store.redis.access import Access
from firstseen.store.redis.link import SWAP, Link
from firstseen.store.redis.server import keys_of
from support.redis import RedisServer, new_prefix
from support.redis_groups import Watched

pytestmark = pytest.mark.redis


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with Watched(tmp_path_factory.mktemp("watched"), "of-the-servers", "of-the-sentinels") as made:
        yield made


def complaint(url: str, access: Access) -> str:
    link = Link(StateUrl(url), access)
    with pytest.raises(StoreError) as caught:
        link.call("GET", "a")
    link.close()
    return str(caught.value)


def test_the_primary_is_the_one_that_sentinels_name(watched: Watched) -> None:
    link = watched.link()
    assert link.call("SET", "a", 1) is True
    assert watched.primary.call("GET", "a") == b"1"
    assert link.size() == 1
    assert list(link.keys(b"*")) == [b"a"]
    link.close()


def test_sentinels_have_a_password_of_their_own(watched: Watched) -> None:
    places = ",".join(f"{host}:{port}" for host, port in watched.url.hosts)
    url = f"redis+sentinel://{places}/main"
    both = Access(password=b"of-the-servers", sentinel_password=b"of-the-sentinels")
    link = Link(StateUrl(url), both)
    assert link.call("GET", "b") is None
    link.close()
    for wrong in (None, b"of-the-servers"):
        said = complaint(url, Access(password=b"of-the-servers", sentinel_password=wrong))
        assert said.endswith("; look at username and password under [state.sentinel]")
        assert "of-the-servers" not in said
    said = complaint(url, Access(password=b"wr0ng", sentinel_password=b"of-the-sentinels"))
    assert said.endswith("; look at username and password, under [state] or in its url")


def test_a_name_that_no_sentinel_knows(watched: Watched) -> None:
    url = str(watched.url).replace(":********@", "").replace("/main", "/other")
    said = complaint(url, Access(sentinel_password=b"of-the-sentinels"))
    (host, port), *_ = watched.url.hosts
    assert f"no Sentinel names a primary for other ({host}:{port} does not know it, " in said
    assert said.endswith("; the name behind the / of state.url is the one by which they watch it")


def test_sentinels_that_are_not_there(watched: Watched) -> None:
    said = complaint("redis+sentinel://127.0.0.1:1/main", Access(password=b"of-the-servers"))
    assert "for main (127.0.0.1:1 cannot be asked: " in said
    assert "refused" in said
    assert "of-the-servers" not in said


def test_databases_are_told_apart(redis_server: RedisServer) -> None:
    key = new_prefix()
    other = Link(StateUrl(f"redis://127.0.0.1:{redis_server.port}/1"), Access())
    other.call("SET", key, 1)
    assert list(other.keys(key)) == [key]
    assert redis_server.call("GET", key) is None
    other.close()


def test_the_keys_of_a_command() -> None:
    assert keys_of(("GET", b"k")) == (b"k",)
    assert keys_of(SWAP.on(b"k", b"owner", b"token")) == (b"k",)
    assert keys_of(SWAP.across([b"k", b"l"], b"owner")) == (b"k", b"l")
