"""The handshake of the Forward protocol, both ends, without their sockets: HELO, PING, PONG.

The server opens with ``["HELO", {nonce, auth, keepalive}]``. The client proves that it knows the shared key, and who it
is, with ``["PING", hostname, salt, digest, username, password digest]``; the server that it knows the key, too, with
``["PONG", let in, reason, hostname, digest]``. Each message goes out in one piece: peers read it with one read.

Digests are lower-case hex of SHA-512 over the plain concatenation of salt, hostname, nonce and key, or of auth,
username and password. Source: the Forward protocol, version 1, and what Fluent Bit and Fluentd make of it: nonce, auth
and salt may be str or bin, and hold any bytes.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgpack

from firstseen.errors import ProtocolError
from firstseen.forward.messages import IS_TLS, TLS_RECORD
from firstseen.packing import Buffer

RandomBytes = Callable[[int], bytes]
"""Gives so many random bytes."""

MAX_MESSAGE = 1 << 12
"""Bytes of the largest message that is read from a peer; the ones that peers write have a few hundred."""

MAX_NAME = 128
"""Bytes of a hostname of our own: Fluentd reads a PONG of up to 512 bytes."""

MAX_USERNAME = 512
"""Bytes of a username of our own, 128 characters of any script: a Fluent Bit reads a PING of up to 1,023 bytes."""

NONCE_SIZE = 16

_WORDS = (b"HELO", b"PING", b"PONG")

NOT_PING = "invalid ping message"
WRONG_KEY = "shared_key mismatch"
WRONG_USER = "username/password mismatch"


@dataclass(frozen=True, slots=True)
class ServerKeys:
    """What clients must know: the ``shared_key`` and, if there are ``users``, the password of one of them.

    ``self_hostname`` is what we call ourselves; clients refuse a server that is called as they are themselves.
    Raises `ValueError` for a name that would make a message too long for peers.
    """

    shared_key: bytes = field(repr=False)
    self_hostname: str
    users: Mapping[str, bytes] = field(repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        _check_name("self_hostname", self.self_hostname, MAX_NAME)


@dataclass(frozen=True, slots=True)
class ClientKeys:
    """What we show to servers. Raises `ValueError` for a name that would make a message too long for peers."""

    shared_key: bytes = field(repr=False)
    self_hostname: str
    username: str = ""
    password: bytes = field(repr=False, default=b"")

    def __post_init__(self) -> None:
        _check_name("self_hostname", self.self_hostname, MAX_NAME)
        _check_name("username", self.username, MAX_USERNAME)


def _check_name(what: str, name: str, most: int) -> None:
    if len(_raw(name)) > most:
        raise ValueError(f"{what} has at most {most} bytes")


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a client's PING comes to: the ``reply`` to write, and why it is refused, or None where it is let in."""

    reply: bytes
    refusal: str | None
    hostname: str
    user: str | None


class ServerHandshake:
    """The server's end on one connection: write `helo`, then `feed` what comes until there is a `Greeting`."""

    __slots__ = ("_auth", "_keys", "_nonce", "_reader", "helo")

    def __init__(self, keys: ServerKeys, random_bytes: RandomBytes) -> None:
        self._keys = keys
        self._nonce = random_bytes(NONCE_SIZE)
        self._auth = random_bytes(NONCE_SIZE) if keys.users else b""
        self._reader = _Reader()
        self.helo = _packed(["HELO", {"nonce": self._nonce, "auth": self._auth, "keepalive": True}])

    @property
    def rest(self) -> bytes:
        """What came behind the PING: frames of a client that did not wait. To be read only once it is let in."""
        return self._reader.rest

    def feed(self, data: Buffer) -> Greeting | None:
        """What the client said, once all of it is here. Who is refused gets the reply, and then the connection closes.

        Anything that is no PING is a refusal; nothing is raised.
        """
        said = self._reader.rest + bytes(data)
        try:
            message = self._reader.feed(data)
        except ProtocolError as error:
            return _refused(NOT_PING, f"{NOT_PING}{_instead(said) or f': {error.reason}'}", "")
        if message is None:
            return None
        fields = _texts(message, "PING", 6)
        if fields is None:
            return _refused(NOT_PING, f"{NOT_PING}{_instead(said)}", "")
        return self._judge(*fields)

    def _judge(self, hostname: bytes, salt: bytes, digest: bytes, username: bytes, password: bytes) -> Greeting:
        name, user = _shown(hostname), _shown(username) if self._keys.users else None
        if not _same(digest, _digest(salt, hostname, self._nonce, self._keys.shared_key)):
            return _refused(WRONG_KEY, f"{WRONG_KEY}, from a client that calls itself {name!r}", name)
        if user is not None and not self._is_user(username, password):
            return _refused(WRONG_USER, f"{WRONG_USER} of {user!r}, from a client that calls itself {name!r}", name)
        own = self._keys.self_hostname
        proof = _digest(salt, _raw(own), self._nonce, self._keys.shared_key)
        return Greeting(_packed(["PONG", True, "", own, proof]), None, name, user)

    def _is_user(self, username: bytes, password: bytes) -> bool:
        known = self._keys.users.get(_text(username))
        # Somebody unknown takes as long as somebody with a wrong password.
        wanted = _digest(self._auth, username, b"" if known is None else known)
        return _same(password, wanted) and known is not None


def _instead(said: bytes) -> str:
    """What a client seems to have begun with instead of a PING, and which setting that is about."""
    if said[:1] == TLS_RECORD:
        return IS_TLS
    unpacker = msgpack.Unpacker(unicode_errors="surrogateescape", max_buffer_size=MAX_MESSAGE)
    unpacker.feed(said[:MAX_MESSAGE])
    try:
        size, tag = unpacker.read_array_header(), _bytes(unpacker.unpack())
    except (msgpack.UnpackException, ValueError):
        return ""
    is_frame = 2 <= size <= 4 and tag is not None and tag not in _WORDS
    return "; it sent records: it has no shared_key" if is_frame else ""


def _refused(reason: str, refusal: str, hostname: str) -> Greeting:
    return Greeting(_packed(["PONG", False, reason, "", ""]), refusal, hostname, None)


class ClientHandshake:
    """The client's end on one connection: `feed` what comes and write what that returns, until it is `done`."""

    __slots__ = ("_asked", "_keys", "_nonce", "_reader", "_salt", "done", "keepalive")

    def __init__(self, keys: ClientKeys, random_bytes: RandomBytes) -> None:
        self._keys = keys
        # Hex, because Fluent Bit takes a salt only as str, and other servers only read a str that is UTF-8.
        self._salt = random_bytes(NONCE_SIZE).hex().encode()
        self._nonce = b""
        self._reader = _Reader()
        self._asked = False
        self.done = False
        self.keepalive = True

    @property
    def rest(self) -> bytes:
        """What came behind the PONG."""
        return self._reader.rest if self.done else b""

    def feed(self, data: Buffer) -> bytes:
        """What to write now, in one piece; often nothing. Raises `ProtocolError`: close the connection then."""
        message = self._reader.feed(data)
        if message is None:
            return b""
        if self._asked:
            self._read_pong(message)
            return b""
        ping = self._ping(message)
        if self._reader.rest:
            raise ProtocolError("the server sent something behind its HELO, before it was asked")
        self._asked = True
        return ping

    def _ping(self, message: list[Any]) -> bytes:
        if not _is_message(message, "HELO", 2) or not isinstance(message[1], dict):
            raise ProtocolError(
                "the server does not ask for a shared key (output.shared_key), or says so in no way known"
            )
        options = {_key(key): value for key, value in message[1].items()}
        nonce, auth = _bytes(options.get("nonce")), _bytes(options.get("auth") or b"")
        if nonce is None or auth is None:
            raise ProtocolError("a HELO whose nonce or auth is no text")
        self._nonce = nonce
        self.keepalive = options.get("keepalive") is not False
        keys = self._keys
        name, digest = ("", "")
        if auth:
            name = keys.username
            digest = _digest(auth, _raw(name), keys.password)
        proof = _digest(self._salt, _raw(keys.self_hostname), nonce, keys.shared_key)
        return _packed(["PING", keys.self_hostname, self._salt.decode(), proof, name, digest])

    def _read_pong(self, message: list[Any]) -> None:
        if not _is_message(message, "PONG", 5) or not isinstance(message[1], bool):
            raise ProtocolError("the server answered with something that is no PONG")
        reason, hostname, digest = (_bytes(value) for value in message[2:])
        if not message[1]:
            raise ProtocolError(f"the server refuses: {_shown(reason or b'') or 'it does not say why'}")
        if hostname is None or digest is None:
            raise ProtocolError("a PONG without a hostname and a digest")
        own = self._keys.self_hostname
        if hostname == _raw(own):
            # Its proof is the one that we sent, then: whoever sends that back need not know the key.
            raise ProtocolError(
                f"the server calls itself {own!r}, as we do, and so proves nothing: the two need names that differ"
                " (input.self_hostname)"
            )
        if not _same(digest, _digest(self._salt, hostname, self._nonce, self._keys.shared_key)):
            raise ProtocolError("the server does not know the shared key (output.shared_key)")
        self.done = True


class _Reader:
    """Whole msgpack objects out of what comes in pieces, of `MAX_MESSAGE` bytes each at the most."""

    __slots__ = ("rest",)

    def __init__(self) -> None:
        self.rest = b""

    def feed(self, data: Buffer) -> list[Any] | None:
        """The next array, or None while it is not all here; anything else as an array of one, which is no message."""
        self.rest += bytes(data)
        unpacker = msgpack.Unpacker(
            unicode_errors="surrogateescape",
            strict_map_key=False,
            max_buffer_size=MAX_MESSAGE,
            max_array_len=16,
            max_map_len=64,
            max_str_len=MAX_MESSAGE,
            max_bin_len=MAX_MESSAGE,
            max_ext_len=MAX_MESSAGE,
        )
        unpacker.feed(self.rest[:MAX_MESSAGE])
        try:
            message = unpacker.unpack()
        except msgpack.OutOfData:
            if len(self.rest) >= MAX_MESSAGE:
                raise ProtocolError(f"a message of more than {MAX_MESSAGE} bytes in the handshake") from None
            return None
        except (msgpack.StackError, msgpack.FormatError, ValueError, TypeError, OverflowError):
            raise ProtocolError("no msgpack in the handshake") from None
        self.rest = self.rest[unpacker.tell() :]
        return message if isinstance(message, list) else [message]


def _packed(message: list[object]) -> bytes:
    packed: bytes = msgpack.packb(message, unicode_errors="surrogateescape")
    return packed


def _is_message(message: list[Any], name: str, size: int) -> bool:
    return len(message) == size and _bytes(message[0]) == name.encode()


def _texts(message: list[Any], name: str, size: int) -> Sequence[bytes] | None:
    """The fields of a message behind its name, if all of them are text or bytes."""
    if not _is_message(message, name, size):
        return None
    fields = [_bytes(value) for value in message[1:]]
    known = [value for value in fields if value is not None]
    return known if len(known) == len(fields) else None


def _bytes(value: object) -> bytes | None:
    """What a str or a bin holds; None for anything else."""
    if isinstance(value, str):
        return _raw(value)
    return value if isinstance(value, bytes) else None


def _key(value: object) -> object:
    return _text(value) if isinstance(value, bytes) else value


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _shown(raw: bytes) -> str:
    """Text of a peer as it may stand in a log: odd bytes replaced, and cut short."""
    text = raw.decode("utf-8", "replace")
    return text if len(text) <= MAX_NAME else f"{text[:MAX_NAME]}…"


def _digest(*parts: bytes) -> str:
    return hashlib.sha512(b"".join(parts)).hexdigest()


def _same(given: bytes, wanted: str) -> bool:
    return hmac.compare_digest(given, wanted.encode())
