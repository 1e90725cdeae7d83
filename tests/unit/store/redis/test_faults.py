"""Most of it is in test_link.py, where servers say what they say; here is what is hard to have them say."""

from __future__ import annotations

import pytest
from redis.exceptions import (
    ClusterDownError,
    MasterDownError,
    MovedError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.sentinel import MasterNotFoundError

from firstseen.stateurl import StateUrl
from firstseen.store.redis.faults import Fault, is_gone, told, told_of_key

URL = StateUrl("redis://ada:s3cret@h/0")
HEAD = "the state at redis://ada:********@h/0"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            ResponseError("MISCONF Redis is configured to save RDB snapshots, but it's unable to persist to disk."),
            "cannot be used: MISCONF Redis is configured to save RDB snapshots, but it's unable to persist to disk; it "
            "cannot write its own files: look at its disk and its log",
        ),
        (
            ResponseError("NOREPLICAS Not enough good replicas to write."),
            "cannot be used: NOREPLICAS Not enough good replicas to write; too few replicas keep up with it "
            "(min-replicas-to-write)",
        ),
        (
            ResponseError("ERR Error running script: @user_script:2: -OOM command not allowed"),
            "cannot be used: ERR Error running script: @user_script:2: -OOM command not allowed; it is full: give it a "
            "larger maxmemory, or forget terms (firstseen state forget)",
        ),
        (
            MovedError("42 h2:1"),
            "cannot be used: 42 h2:1; it is one of a cluster: redis+cluster:// instead of redis://",
        ),
        (
            ClusterDownError("The cluster is down"),
            "cannot be used: The cluster is down; a part of the cluster has no primary at present",
        ),
        (
            RedisConnectionError("max number of clients reached"),
            "cannot be reached: max number of clients reached; it takes more with a larger maxclients",
        ),
        (
            MasterNotFoundError("no Sentinel names a primary for main (h:1 cannot be asked: no permissions to run it)"),
            "cannot be reached: no Sentinel names a primary for main (h:1 cannot be asked: no permissions to run it); "
            "what their user must be allowed is in docs/state.md",
        ),
        (OSError(), "cannot be reached: OSError"),
        (ResponseError("ERR whatever"), "cannot be used: ERR whatever"),
    ],
)
def test_what_happened_and_what_to_do(error: Fault, said: str) -> None:
    assert str(told(URL, error)) == f"{HEAD} {said}"


def test_what_is_behind_the_words_of_a_cluster_s_client() -> None:
    inner = RedisClusterException("Cluster mode is not enabled on this node")
    inner.__context__ = OutOfMemoryError("command not allowed")
    outer = RedisClusterException("Redis Cluster cannot be connected")
    outer.__cause__ = inner
    assert str(told(URL, outer)).startswith(f"{HEAD} cannot be used: command not allowed; it is full")
    alone = RedisClusterException("All slots are not covered after query all startup_nodes.")
    assert str(told(URL, alone)).endswith("; a part of the cluster has no primary at present")


@pytest.mark.parametrize(
    ("error", "gone"),
    [
        (RedisConnectionError("closed"), True),
        (OSError("unreachable"), True),
        (RedisError("odd"), True),
        (RedisClusterException("odd"), True),
        (ReadOnlyError("You can't write against a read only replica."), True),
        (ResponseError("ERR Error running script: -READONLY You can't write"), True),
        (MasterDownError("Link with MASTER is down"), True),
        (ClusterDownError("The cluster is down"), True),
        (OutOfMemoryError("command not allowed"), False),
        (ResponseError("MISCONF"), False),
    ],
)
def test_when_another_server_may_be_the_one_to_ask(error: Fault, gone: bool) -> None:
    assert is_gone(error) is gone


@pytest.mark.parametrize(
    ("said", "keys", "told"),
    [
        ("WRONGTYPE Operation against a key", [b"k"], "under the key b'k': WRONGTYPE Operation against a key; DEL it"),
        ("ERR Error running script: @user_script:6: WRONGTYPE Operation", [b"k"], "under the key b'k': "),
        (
            "user_script:20: attempt to compare nil with number script",
            [b"k", b"l"],
            "under one of 2 keys from b'k' on: ",
        ),
        (
            "ERR Error running script: @user_script:3: user_script:3: bad argument #1 to 'min' (number expected)",
            [b"k"],
            "under the key b'k': ",
        ),
        (
            "Lua redis lib command arguments must be strings or integers script: 8a, on @user_script:35.",
            [b"k"],
            "under the key b'k': ",
        ),
    ],
)
def test_what_lies_under_a_key_is_told_with_the_key(said: str, keys: list[bytes | str | int], told: str) -> None:
    error = told_of_key(URL, ResponseError(said), keys)
    assert f"{HEAD} holds something unreadable {told}" in str(error)


def test_other_errors_are_not_about_a_key() -> None:
    assert told_of_key(URL, ResponseError("OOM command not allowed"), [b"k"]) is None
