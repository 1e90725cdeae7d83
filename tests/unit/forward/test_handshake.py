import hashlib
from collections.abc import Callable
from typing import Any

import msgpack
import pytest

from firstseen.errors import ProtocolError
from firstseen.forward.handshake import (
    MAX_MESSAGE,
    MAX_NAME,
    MAX_USERNAME,
    NOT_PING,
    WRONG_KEY,
    WRONG_USER,
    ClientHandshake,
    ClientKeys,
    Greeting,
    ServerHandshake,
    ServerKeys,
)

NONCE, AUTH = bytes(range(0x80, 0x90)), bytes(range(0x90, 0xA0))
KEY, PASSWORD = b"s3\xffcret", b"p\xfew"
USERS = {"alice": PASSWORD, "b\udcffb": b"other"}


def random_bytes(*gives: bytes) -> Callable[[int], bytes]:
    left = list(gives)

    def give(size: int) -> bytes:
        assert len(left[0]) == size
        return left.pop(0)

    return give


def digest(*parts: bytes) -> str:
    return hashlib.sha512(b"".join(parts)).hexdigest()


def server(users: dict[str, bytes] | None = None) -> ServerHandshake:
    keys = ServerKeys(KEY, "server.example", USERS if users is None else users)
    return ServerHandshake(keys, random_bytes(NONCE, AUTH))


def client(**keys: Any) -> ClientHandshake:
    given = {"shared_key": KEY, "self_hostname": "client.example", "username": "alice", "password": PASSWORD, **keys}
    return ClientHandshake(ClientKeys(**given), random_bytes(bytes(16)))


def unpacked(data: bytes) -> list[Any]:
    message: list[Any] = msgpack.unpackb(data, raw=True)
    return message


def raw(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")


def ping(
    *,
    salt: str | bytes = b"salt",
    hostname: str | bytes = "client.example",
    key: bytes = KEY,
    username: str | bytes = "alice",
    password: bytes = PASSWORD,
) -> bytes:
    proof = digest(raw(salt), raw(hostname), NONCE, key)
    message = ["PING", hostname, salt, proof, username, digest(AUTH, raw(username), password)]
    packed: bytes = msgpack.packb(message, unicode_errors="surrogateescape")
    return packed


def answer(handshake: ServerHandshake, data: bytes) -> Greeting:
    greeting = handshake.feed(data)
    assert greeting is not None
    assert len(greeting.reply) <= 500
    return greeting


def test_both_ends_understand_each_other() -> None:
    here, there = server(), client()
    greeting = answer(here, there.feed(here.helo))
    assert (greeting.refusal, greeting.hostname, greeting.user) == (None, "client.example", "alice")
    assert there.rest == b""
    assert there.feed(greeting.reply + b"behind") == b""
    assert (there.done, there.keepalive, there.rest) == (True, True, b"behind")


def test_without_users_nobody_is_asked_who_he_is() -> None:
    here, there = server({}), client()
    assert unpacked(here.helo) == [b"HELO", {b"nonce": NONCE, b"auth": b"", b"keepalive": True}]
    sent = there.feed(here.helo)
    assert unpacked(sent)[4:] == [b"", b""]
    greeting = answer(here, sent)
    assert (greeting.refusal, greeting.user) == (None, None)


@pytest.mark.parametrize("salt", [bytes(range(0xF0, 0x100)), bytes(16), "0123456789abcdef" * 2, b""])
@pytest.mark.parametrize("as_text", [True, False])
def test_a_salt_of_any_bytes_as_str_or_bin(salt: str | bytes, as_text: bool) -> None:
    given = raw(salt)
    sent = ping(salt=given.decode("utf-8", "surrogateescape") if as_text else given)
    greeting = answer(server(), sent)
    assert greeting.refusal is None
    assert unpacked(greeting.reply)[4] == digest(given, b"server.example", NONCE, KEY).encode()


@pytest.mark.parametrize("username", ["b\udcffb", b"b\xffb"])
def test_a_username_of_odd_bytes(username: str | bytes) -> None:
    greeting = answer(server(), ping(username=username, password=b"other"))
    assert (greeting.refusal, greeting.user) == (None, "b�b")


def test_a_username_of_odd_bytes_as_a_client() -> None:
    here = server()
    assert answer(here, client(username="b\udcffb", password=b"other").feed(here.helo)).refusal is None


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (ping(key=b"another"), WRONG_KEY),
        (ping(key=b""), WRONG_KEY),
        (ping(password=b"another"), WRONG_USER),
        (ping(username="nobody"), WRONG_USER),
        (ping(username="nobody", password=b""), WRONG_USER),
        (msgpack.packb(["PING", "client.example", "salt", "", "", ""]), WRONG_KEY),
        (msgpack.packb(["PING", "client.example", "salt", digest(b"salt"), "alice"]), NOT_PING),
        (msgpack.packb(["PING", "client.example", "salt", None, "alice", ""]), NOT_PING),
        (msgpack.packb(["PONG", "client.example", "salt", "", "alice", ""]), NOT_PING),
        (msgpack.packb(["app", 1, {"a record": "and no ping"}]), NOT_PING),
        (msgpack.packb({"ack": "x"}), NOT_PING),
        (b"GET / HTTP/1.1\r\n", NOT_PING),
        (b"\xc1", NOT_PING),
        (b"\x91" * 2000, NOT_PING),
        (b"\x81\x90\x01", NOT_PING),
        (b"\xd7\xff" + b"\xff" * 8, NOT_PING),
        (b"\xdd\xff\xff\xff\xff", NOT_PING),
        (b"\xc6\xff\xff\xff\xff" + bytes(MAX_MESSAGE), NOT_PING),
        (b"\x96\xa4PING\xda\x20\x00" + b"x" * MAX_MESSAGE, NOT_PING),
    ],
)
def test_who_is_refused_and_what_he_is_told(sent: bytes, reason: str) -> None:
    greeting = answer(server(), sent)
    assert unpacked(greeting.reply) == [b"PONG", False, reason.encode(), b"", b""]
    assert greeting.refusal is not None
    assert greeting.refusal.startswith(reason)


@pytest.mark.parametrize("count", [1, 17, 1_000], ids=["whole", "of many entries", "larger than a message"])
def test_who_sends_records_where_a_key_is_asked_for_has_none(count: int) -> None:
    greeting = server().feed(msgpack.packb(["app.log", [[n, {"m": "hi"}] for n in range(count)], {"chunk": "c"}]))
    assert greeting is not None
    assert greeting.refusal == "invalid ping message; it sent records: it has no shared_key"


def test_a_refusal_names_the_client_in_printable_characters_and_cut_short() -> None:
    greeting = answer(server(), ping(hostname=b"\x1b[2J\xff" + b"h" * 1000, username=b"u\n", password=b""))
    assert greeting.refusal is not None
    assert greeting.refusal.isprintable()
    assert len(greeting.refusal) < 400
    assert "'u\\n'" in greeting.refusal


def test_a_ping_in_pieces_and_frames_behind_it() -> None:
    handshake = server()
    sent = ping()
    for byte in sent[:-1]:
        assert handshake.feed(bytes((byte,))) is None
    assert answer(handshake, sent[-1:] + b"frames").refusal is None
    assert handshake.rest == b"frames"


def test_a_ping_larger_than_others_read_is_read_up_to_a_limit() -> None:
    overhead = len(ping(hostname="h" * 2000)) - 2000
    assert answer(server(), ping(hostname="h" * (MAX_MESSAGE - overhead))).refusal is None
    too_large = answer(server(), ping(hostname="h" * (MAX_MESSAGE - overhead + 1)))
    assert too_large.refusal == f"{NOT_PING}: a message of more than {MAX_MESSAGE} bytes in the handshake"


@pytest.mark.parametrize("options", [{"auth": b""}, {}, {"auth": None}, {b"auth": ""}])
def test_without_auth_there_is_neither_username_nor_password(options: dict[Any, Any]) -> None:
    sent = client().feed(msgpack.packb(["HELO", {"nonce": NONCE, **options}]))
    assert unpacked(sent) == [b"PING", b"client.example", b"00" * 16, unpacked(sent)[3], b"", b""]


@pytest.mark.parametrize("as_text", [True, False])
def test_nonce_and_auth_of_any_bytes_as_str_or_bin(as_text: bool) -> None:
    given = [part.decode("utf-8", "surrogateescape") if as_text else part for part in (NONCE, AUTH)]
    helo = msgpack.packb(["HELO", {"nonce": given[0], "auth": given[1], 1: 2}], unicode_errors="surrogateescape")
    sent = unpacked(client().feed(helo))
    assert sent[3] == digest(b"00" * 16, b"client.example", NONCE, KEY).encode()
    assert sent[4:] == [b"alice", digest(AUTH, b"alice", PASSWORD).encode()]


def test_a_server_that_takes_one_frame_a_connection() -> None:
    handshake = client()
    handshake.feed(msgpack.packb(["HELO", {"nonce": NONCE, "keepalive": False}]))
    assert not handshake.keepalive


@pytest.mark.parametrize(
    ("helo", "reason"),
    [
        (msgpack.packb({"ack": "x"}), "does not ask for a shared key"),
        (msgpack.packb(["HELO"]), "does not ask for a shared key"),
        (msgpack.packb(["HELO", []]), "does not ask for a shared key"),
        (msgpack.packb(["HELO", {}]), "nonce or auth"),
        (msgpack.packb(["HELO", {"nonce": NONCE, "auth": 1}]), "nonce or auth"),
        (msgpack.packb(["HELO", {"nonce": NONCE}]) + b"\xc0", "behind its HELO"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not ask for a shared key"),
        (b"\xc1", "no msgpack"),
    ],
)
def test_no_helo(helo: bytes, reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        client().feed(helo)


PROOF = digest(b"00" * 16, b"server.example", NONCE, KEY)


@pytest.mark.parametrize(
    ("pong", "reason"),
    [
        (["PONG", True, "", "server.example"], "no PONG"),
        (["PONG", 1, "", "server.example", PROOF], "no PONG"),
        (["PANG", True, "", "server.example", PROOF], "no PONG"),
        (["PONG", False, "shared_key mismatch", "", ""], "refuses: shared_key mismatch"),
        (["PONG", False, None, None, None], "does not say why"),
        (["PONG", True, "", None, PROOF], "without a hostname"),
        (["PONG", True, "", "server.example", None], "without a hostname"),
        (["PONG", True, "", "other.example", PROOF], "does not know the shared key"),
        (["PONG", True, "", "server.example", PROOF[:-1]], "does not know the shared key"),
        (["PONG", True, "", "server.example", PROOF.upper()], "does not know the shared key"),
        (["PONG", True, "", "server.example", ""], "does not know the shared key"),
    ],
)
def test_no_pong_that_lets_us_in(pong: list[Any], reason: str) -> None:
    handshake = client()
    handshake.feed(msgpack.packb(["HELO", {"nonce": NONCE}]))
    with pytest.raises(ProtocolError, match=reason):
        handshake.feed(msgpack.packb(pong))
    assert not handshake.done


@pytest.mark.parametrize("name", ["client.example", b"client.example"])
def test_a_server_that_sends_our_own_proof_back_has_not_shown_that_it_knows_the_key(name: str | bytes) -> None:
    handshake = client()
    sent = unpacked(handshake.feed(msgpack.packb(["HELO", {"nonce": NONCE}])))
    with pytest.raises(ProtocolError, match=r"calls itself 'client\.example', as we do, .*input\.self_hostname"):
        handshake.feed(msgpack.packb(["PONG", True, "", name, sent[3]]))
    assert not handshake.done


def test_two_agents_of_one_name_are_told_apart_by_nothing_and_nothing_is_sent() -> None:
    here, there = server(), client(self_hostname="server.example")
    greeting = answer(here, there.feed(here.helo))
    with pytest.raises(ProtocolError, match=r"input\.self_hostname"):
        there.feed(greeting.reply)
    assert not there.done


def test_helo_and_pong_in_pieces() -> None:
    handshake = client()
    sent = b"".join(handshake.feed(bytes((byte,))) for byte in msgpack.packb(["HELO", {"nonce": NONCE}]))
    assert unpacked(sent)[0] == b"PING"
    for byte in msgpack.packb(["PONG", True, "", b"server.example", PROOF.encode()]):
        assert not handshake.done
        assert handshake.feed(bytes((byte,))) == b""
    assert handshake.done


def test_the_longest_names_make_messages_that_every_peer_reads() -> None:
    name, user = "n" * MAX_NAME, "é" * (MAX_USERNAME // 2)
    here = ServerHandshake(ServerKeys(KEY, name, {user: PASSWORD}), random_bytes(NONCE, AUTH))
    sent = client(self_hostname=name, username=user).feed(here.helo)
    assert len(here.helo) <= 500
    assert len(sent) < 1023
    assert answer(here, sent).refusal is None


@pytest.mark.parametrize(
    "made",
    [
        lambda: ServerKeys(KEY, "é" * 65),
        lambda: ClientKeys(KEY, "n" * 129),
        lambda: ClientKeys(KEY, "n", "u" * 513),
    ],
)
def test_names_that_would_not_fit(made: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match="at most"):
        made()


def test_secrets_are_not_printed() -> None:
    assert "s3" not in repr(ServerKeys(KEY, "n", USERS)) + repr(ClientKeys(KEY, "n", "u", PASSWORD))
    assert "alice" not in repr(ServerKeys(KEY, "n", USERS))
