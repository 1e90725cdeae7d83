"""What all tests share: how Hypothesis behaves, a sink, and one Redis server for those that need no more than one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from support.peers import Sink
from support.redis import SERVER, RedisServer

# No deadline: a loaded machine is no fault. The blob that reproduces a failure is printed with it.
settings.register_profile("firstseen", deadline=None, print_blob=True)
settings.load_profile("firstseen")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if SERVER is None:
        for item in items:
            if item.get_closest_marker("redis"):
                item.add_marker(pytest.mark.skip(reason="no redis-server and no valkey-server on PATH"))


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server for all tests of this process; what is in it is told apart by prefixes."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def sink() -> Iterator[Sink]:
    """The last of every chain that does not end in a server of somebody else's."""
    with Sink() as made:
        yield made
