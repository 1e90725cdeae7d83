"""What went wrong on the way to the servers, in words for whoever runs them: what, where, and what to do."""

from __future__ import annotations

import re
from collections.abc import Sequence

from redis.exceptions import RedisClusterException, RedisError, ResponseError

from firstseen.errors import StoreError
from firstseen.stateurl import StateUrl

Fault = RedisError | RedisClusterException | OSError

_ADVICE: tuple[tuple[str, str], ...] = (
    (r"no Sentinel .*does not know it", "the name behind the / of state.url is the one by which they watch it"),
    (r"no Sentinel .*takes it for down", "they name another where there is one"),
    (r"no Sentinel .*(Authentication|password)", "look at username and password under [state.sentinel]"),
    (r"no Sentinel .*no permission", "what their user must be allowed is in docs/state.md"),
    (r"no Sentinel .*unknown command", "it is no Sentinel: redis:// instead of redis+sentinel://"),
    (
        r"OutOfMemory|\bOOM\b",
        "it is full: give it a larger maxmemory, or forget terms (firstseen state forget)",
    ),
    (r"ReadOnly|\bREADONLY\b", "it is a replica: name the primary, or Sentinels (redis+sentinel://)"),
    (r"\bMISCONF\b", "it cannot write its own files: look at its disk and its log"),
    (r"\bNOREPLICAS\b", "too few replicas keep up with it (min-replicas-to-write)"),
    (r"\bBUSY\b", "another script has run for too long"),
    (r"loading the dataset", "it reads its files, and answers then"),
    (r"max number of clients", "it takes more with a larger maxclients"),
    (r"NoPermission|NOPERM", "what its user must be allowed is in docs/state.md (ACL SETUSER)"),
    (r"Authentication|NOAUTH|WRONGPASS|password", "look at username and password, under [state] or in its url"),
    (r"DENIED.*protected mode", "give it a password, or turn protected-mode off"),
    (r"CERTIFICATE_REQUIRED|certificate required", "it asks for tls.cert and tls.key"),
    (r"^TLS .*(EOF|HANDSHAKE_FAILURE|reset by peer|closed by)", "where it asks for certificates: tls.cert and tls.key"),
    (r"certificate is not valid for", "name it in state.url as its certificate does"),
    (r"CERTIFICATE_VERIFY_FAILED", "tls.ca under [state] has to hold the root of its certificate"),
    (r"WRONG_VERSION_NUMBER|RECORD_LAYER", "it does not seem to speak TLS there: redis:// instead of rediss://"),
    (r"Timeout connecting", "nothing answers there, or not in what state.url begins with (rediss:// is TLS)"),
    (r"Connection (closed by server|reset by peer)", "where it speaks TLS, state.url begins with rediss"),
    (r"ClusterDown|slots are not covered", "a part of the cluster has no primary at present"),
    (r"cluster support disabled|Cluster mode is not enabled", "it is no cluster: redis:// instead of redis+cluster://"),
    (r"\bMoved", "it is one of a cluster: redis+cluster:// instead of redis://"),
    (r"unknown command", "servers with renamed commands cannot hold a state, nor can Sentinels (redis+sentinel://)"),
    (r"DB index is out of range", "name another database behind the / of state.url"),
    (r"InvalidResponse", "something else than Redis or Valkey seems to listen there"),
)
"""What an error says, by its class and its words, and what that means; the first that fits."""

_UNREADABLE = r"\bWRONGTYPE\b|user_script:\d+: (attempt to|bad argument) |arguments must be strings or integers"
"""Another type, or a part that is missing, which scripts count with, hand to a function or would write."""

_DEMOTED = r"ReadOnly|\bREADONLY\b|MasterDown|ClusterDown"


def told(url: StateUrl, error: Fault) -> StoreError:
    """What is raised for ``error``."""
    root = _root(error)
    said = (str(root) or type(root).__name__).rstrip(".")
    what = "cannot be used" if isinstance(root, ResponseError) else "cannot be reached"
    words = f"{'TLS ' if url.tls else ''}{_words(root)}"
    advice = next((f"; {advice}" for pattern, advice in _ADVICE if re.search(pattern, words)), "")
    return StoreError(f"the state at {url} {what}: {said}{advice}")


def told_of_key(url: StateUrl, error: Exception, keys: Sequence[bytes | str | int]) -> StoreError | None:
    """What is raised where it is what lies under one of these keys that a command or a script cannot work with."""
    if not re.search(_UNREADABLE, _words(error)):
        return None
    where = f"the key {keys[0]!r}" if len(keys) == 1 else f"one of {len(keys)} keys from {keys[0]!r} on"
    return StoreError(f"the state at {url} holds something unreadable under {where}: {error}; DEL it to go on")


def is_gone(error: Fault) -> bool:
    """Whether another server may be the one to ask by now: connections are made anew then, to what is named then."""
    return not isinstance(error, ResponseError) or bool(re.search(_DEMOTED, _words(error)))


def _words(error: BaseException) -> str:
    """With its class: redis-py has classes for most of the words that such answers begin with, and leaves them out."""
    return f"{type(error).__name__} {error}"


def _root(error: Fault) -> BaseException:
    """What a client of a cluster failed for: it tells of it in its own words, not all of which are true."""
    root: BaseException = error
    while isinstance(root, RedisClusterException):
        behind = root.__cause__ or root.__context__
        if not isinstance(behind, (RedisError, RedisClusterException, OSError)):
            break
        root = behind
    return root
