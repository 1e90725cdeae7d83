"""Where a shared state is: the address of a Redis or Valkey server, of Sentinels, or of a cluster."""

from __future__ import annotations

from typing import Literal, NamedTuple
from urllib.parse import unquote, urlsplit

Kind = Literal["single", "sentinel", "cluster"]

_SCHEMES: dict[str, tuple[Kind, bool]] = {
    "redis": ("single", False),
    "rediss": ("single", True),
    "redis+sentinel": ("sentinel", False),
    "rediss+sentinel": ("sentinel", True),
    "redis+cluster": ("cluster", False),
    "rediss+cluster": ("cluster", True),
}
_PORTS: dict[Kind, int] = {"single": 6379, "sentinel": 26379, "cluster": 6379}


class HostPort(NamedTuple):
    """One server; ``host`` is a name or an address."""

    host: str
    port: int


class StateUrl:
    """``redis[s][+sentinel|+cluster]://[user[:password]@]host[:port][,host[:port]...][/...]``; prints no password.

    Behind the hosts stands ``/database``, of Sentinels ``/name[/database]``, of a cluster nothing; with ``s`` the
    connection is TLS. Raises `ValueError` for a text that is none, which quotes nothing of it: where an ``@`` or a sign
    in a password is not as it should be, any part may be the password.
    """

    EXAMPLE = "redis://127.0.0.1:6379/0"

    __slots__ = ("_text", "database", "hosts", "kind", "password", "service", "tls", "username")

    def __init__(self, text: str) -> None:
        try:
            parts = urlsplit(text)
        except ValueError:  # which quotes what it does not take
            what = (
                "no address: in a user or a password signs other than letters and digits are written %XX, as [ is %5B"
            )
            raise ValueError(what) from None
        if "@" in parts.path + parts.query + parts.fragment:
            raise ValueError("/, ? and # in a user or a password are written %2F, %3F and %23")
        if parts.scheme not in _SCHEMES:
            raise ValueError(f"expected one of {', '.join(_SCHEMES)} and ://, such as {self.EXAMPLE}")
        if parts.query or parts.fragment:
            raise ValueError("settings have no place behind a ?: they have names of their own under [state]")
        self.kind, self.tls = _SCHEMES[parts.scheme]
        before, at, places = parts.netloc.rpartition("@")
        user, colon, password = before.partition(":")
        self.username = unquote(user) or None
        self.password = unquote(password) if colon else None
        self.hosts = tuple(_host(place, _PORTS[self.kind]) for place in places.split(","))
        if self.kind == "single" and len(self.hosts) > 1:
            raise ValueError("several servers are Sentinels (redis+sentinel://) or a cluster (redis+cluster://)")
        self.service, self.database = self._behind([unquote(part) for part in parts.path.split("/") if part])
        named = unquote(user) + ":********" if colon else user
        self._text = f"{parts.scheme}://{named}{at}{places}{parts.path}"

    def _behind(self, path: list[str]) -> tuple[str, int]:
        service = ""
        if self.kind == "sentinel":
            if not path:
                raise ValueError("say which service the Sentinels watch: redis+sentinel://host:26379/name")
            service, *path = path
        if not path:
            return service, 0
        if self.kind == "cluster" or len(path) > 1 or not path[0].isdecimal() or len(path[0]) > 5:
            if self.kind == "cluster":
                raise ValueError("nothing stands behind the servers of a cluster")
            raise ValueError("expected the number of a database, of at most five digits, and nothing behind it")
        return service, int(path[0])

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._text!r})"

    def _key(self) -> tuple[object, ...]:
        parts = (self.kind, self.tls, self.hosts, self.service, self.database)
        return (*parts, self.username, self.password)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StateUrl) and other._key() == self._key()

    def __hash__(self) -> int:
        return hash(self._key())


def _host(place: str, port: int) -> HostPort:
    try:
        parts = urlsplit(f"//{place}")
        given = parts.port
    except ValueError:
        given = 0
    if given == 0 or not parts.hostname:
        what = (
            f"expected host:port, such as {StateUrl.EXAMPLE}, behind an @ where a user or a password stands before it"
        )
        raise ValueError(what)
    return HostPort(parts.hostname, port if given is None else given)
