"""What fuzzing begins with: the cases of the protocol's specification, and for some targets files of their own.

The files are under ``seeds/``, one folder for each target: what was once found to break something stays there.
``python -m fuzz.seeds`` writes the ones that can be made.
"""

from __future__ import annotations

import gzip
import hashlib
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgpack
import zstandard

from fuzz.handshake import KEY, NONCE, PASSWORD, SALT

SPEC = Path(__file__).parents[1] / "spec/forward"
FOLDER = Path(__file__).parent / "seeds"

LONGEST = 4_000
"""Bytes of a case that is still a seed; the others are about limits."""

FRAMES = ("golden", "modes", "compressed", "groups", "options", "streams", "refused", "outgoing", "conversion")
FROM_SPEC: Mapping[str, tuple[str, ...]] = {
    "acks": ("acks",),
    "decompression": (),
    "frames": FRAMES,
    "handshake": (),
    "requests": (),
    "shaping": FRAMES,
}
TARGETS = tuple(FROM_SPEC)


def seeds(target: str) -> list[bytes]:
    """Every seed of ``target``."""
    files = [path.read_bytes() for path in sorted((FOLDER / target).iterdir())] if (FOLDER / target).is_dir() else []
    return [*files, *_from_spec(FROM_SPEC[target])]


def _from_spec(names: tuple[str, ...]) -> Iterator[bytes]:
    for name in names:
        for case in tomllib.loads((SPEC / f"{name}.toml").read_text("utf-8"))["case"]:
            data = unhex(case["hex"])
            if len(data) <= LONGEST:
                yield data


def unhex(text: str) -> bytes:
    """Hex as the cases write it: blanks anywhere, ``91*1100`` for a piece repeated, remarks behind a #."""
    words = [word.partition("*") for word in re.sub(r"#.*", "", text).split()]
    return b"".join(bytes.fromhex(piece) * int(times or 1) for piece, _, times in words)


def _digest(*parts: bytes) -> str:
    return hashlib.sha512(b"".join(parts)).hexdigest()


def handshakes() -> Iterator[tuple[str, bytes]]:
    """What a client says that knows the key, or a user's password too, and some that do not; the same of servers."""
    host, salt = b"client.example", b"\xff" * 16
    proof = _digest(salt, host, NONCE, KEY)
    user = _digest(NONCE, b"ada", PASSWORD)
    yield "ping", msgpack.packb(["PING", host.decode(), salt, proof, "", ""])
    yield "ping-user", msgpack.packb(["PING", host.decode(), salt, proof, "ada", user])
    yield "ping-frame-behind", msgpack.packb(["PING", host, salt, proof, "", ""]) + msgpack.packb(["t", 1, {}])
    yield "ping-wrong-key", msgpack.packb(["PING", host, salt, _digest(salt, host, NONCE, b"x"), "", ""])
    yield "ping-other-types", msgpack.packb(["PING", 1, None, [], {}, 1.5])
    pong = msgpack.packb(["PONG", True, "", "server", _digest(SALT, b"server", b"n", KEY)])
    for name, options in (
        ("helo", {"nonce": b"n", "auth": b"", "keepalive": True}),
        ("helo-text", {"nonce": "n", "auth": "a", "keepalive": False}),
        ("helo-bin-keys", {b"nonce": b"n", b"auth": b""}),
    ):
        yield name, msgpack.packb(["HELO", options]) + pong
    yield "helo-refused", msgpack.packb(["HELO", {"nonce": b"n"}]) + msgpack.packb(["PONG", False, "no", "", ""])
    yield "helo-wrong", msgpack.packb(["HELO", {"nonce": b"n"}]) + msgpack.packb(["PONG", True, "", "server", "00"])
    yield "helo-large", msgpack.packb(["HELO", {"nonce": b"n" * 4_000}])
    yield "frame", msgpack.packb(["t", 1, {}])


def bodies() -> Iterator[tuple[str, bytes]]:
    """Compressed bodies of the kinds that are about."""
    plain = b"\x92\x01\x81\xa1m\xa2hi" * 40
    member = gzip.compress(plain, mtime=0)
    yield "gzip", member
    yield "gzip-empty", gzip.compress(b"", mtime=0)
    yield "gzip-members", member + gzip.compress(b"", mtime=0) + member
    yield "gzip-stored", gzip.compress(plain, 0, mtime=0)
    yield "gzip-name", member[:3] + b"\x08" + member[4:10] + b"name\0" + member[10:]
    yield "gzip-ratio", gzip.compress(bytes(200_000), mtime=0)
    yield "gzip-cut", member[:-3]
    yield "gzip-tail", member + b"\0" * 8
    sized = zstandard.ZstdCompressor(write_checksum=True).compress(plain)
    yield "zstd", sized
    yield "zstd-frames", sized + zstandard.ZstdCompressor(write_content_size=False).compress(plain) + sized
    yield "zstd-skippable", b"\x5f\x2a\x4d\x18\x02\0\0\0hi" + sized
    yield "zstd-rle", zstandard.ZstdCompressor().compress(bytes(300_000))
    yield "zstd-empty", zstandard.ZstdCompressor().compress(b"")
    yield "zstd-level-19", zstandard.ZstdCompressor(level=19).compress(plain * 20)
    yield "zstd-cut", sized[:-2]
    stream = zstandard.ZstdCompressor().compressobj()
    yield (
        "zstd-blocks",
        b"".join(stream.compress(plain) + stream.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK) for _ in range(3))
        + stream.flush(),
    )


def requests() -> Iterator[tuple[str, bytes]]:
    """Requests of browsers, of Prometheus, of old clients, and what is none."""
    host = b"Host: localhost\r\n"
    get = b"GET /status HTTP/1.1\r\n" + host
    yield "get", get + b"\r\n"
    yield "get-three", (get + b"\r\n") * 2 + get + b"Connection: close\r\n\r\n"
    yield "get-old", b"GET / HTTP/1.0\r\n\r\n" + get + b"\r\n"
    yield "get-old-kept", b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" * 2
    yield "head", get.replace(b"GET", b"HEAD") + b"\r\n" + get + b"\r\n"
    yield "scrape", get + b"Accept: text/plain;version=0.0.4\r\nAccept-Encoding: gzip\r\nUser-Agent: Prometheus\r\n\r\n"
    yield "token", get + b"Authorization: Bearer a token that is right\r\n\r\n"
    yield "post", b"POST / HTTP/1.1\r\n" + host + b"Content-Length: 3\r\n\r\nabc" + get + b"\r\n"
    yield "chunked", get + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" + get + b"\r\n"
    yield "lengths", get + b"Content-Length: 0\r\nContent-Length: 5\r\n\r\nabcde"
    yield "upgrade", get + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n" + get + b"\r\n"
    yield "connect", b"CONNECT localhost:1 HTTP/1.1\r\n" + host + b"\r\nabc"
    yield "expect", get + b"Expect: 100-continue\r\nContent-Length: 1\r\n\r\n"
    yield "folded", get + b"X: a\r\n b\r\n\r\n"
    yield "hosts", b"GET / HTTP/1.1\r\n" + host * 2 + b"\r\n"
    yield "bare-newlines", get.replace(b"\r", b"") + b"\n"
    yield "long", get + b"X: " + b"x" * 3_000 + b"\r\n\r\n"
    yield "hello-of-tls", bytes.fromhex("160301020001000" + "1fc0303") + bytes(40)


def write() -> None:
    """Write the seeds that are made here."""
    for target, made in (("handshake", handshakes()), ("decompression", bodies()), ("requests", requests())):
        (FOLDER / target).mkdir(parents=True, exist_ok=True)
        for name, data in made:
            (FOLDER / target / name).write_bytes(data)


if __name__ == "__main__":
    write()
