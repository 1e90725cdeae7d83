"""Runs the cases in ``forward/handshake.toml``, which says at its head what they look like."""

from __future__ import annotations

import itertools
import re
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from firstseen.errors import ProtocolError
from firstseen.forward.handshake import ClientHandshake, ClientKeys, ServerHandshake, ServerKeys
from support.wire import pieces

CASES = tomllib.loads((Path(__file__).parent / "forward/handshake.toml").read_text("utf-8"))["case"]

KEY = b"s3cret"
LARGEST = 500
"""Bytes of HELO and PONG that every peer reads in one read."""
LARGEST_PING = 1023


def cases(end: str) -> list[Any]:
    return [pytest.param(case, id=f"{case['point']}: {case['name']}") for case in CASES if case["end"] == end]


def unhex(written: str) -> bytes:
    data = b""
    for text, word in re.findall(r"'([^']*)'|(\S+)", written):
        piece, _, times = word.partition("*")
        data += text.encode() if text else bytes.fromhex(piece) * int(times or 1)
    return data


def counting() -> Callable[[int], bytes]:
    numbers = itertools.count()
    return lambda size: bytes(itertools.islice(numbers, size))


def splittings(data: bytes) -> Iterable[Iterable[bytes]]:
    """Whole, and byte by byte."""
    return [data], pieces(data, range(len(data)))


def test_every_case_is_for_one_of_the_ends() -> None:
    assert {case["end"] for case in CASES} == {"server", "client"}


@pytest.mark.parametrize("case", cases("server"))
def test_server(case: dict[str, Any]) -> None:
    users = {name: password.encode() for name, password in case.get("users", {}).items()}
    expected = {
        "sent": unhex(case["sent"]).hex(" "),
        "refusal": case.get("refusal"),
        "hostname": case.get("hostname"),
        "user": case.get("user"),
        "rest": unhex(case.get("rest", "")),
    }
    for sent in splittings(unhex(case["received"])):
        handshake = ServerHandshake(ServerKeys(KEY, "server.example", users), counting())
        assert handshake.helo == unhex(case["helo"])
        result: dict[str, Any] = {}
        for piece in sent:
            if result:
                result["rest"] += piece
                continue
            greeting = handshake.feed(piece)
            if greeting is not None:
                assert len(handshake.helo) <= LARGEST >= len(greeting.reply)
                refusal = greeting.refusal
                if refusal is not None and "refusal" in case:
                    refusal = refusal[: len(case["refusal"])]
                let_in = refusal is None
                result = {
                    "sent": greeting.reply.hex(" "),
                    "refusal": refusal,
                    "hostname": greeting.hostname if let_in else None,
                    "user": greeting.user,
                    "rest": handshake.rest if let_in else b"",
                }
        if "refusal" in case:
            result["rest"] = b""  # nobody will read it
        assert result == expected, f"\ncase     {case['name']}\nexpected {expected}\nresult   {result}"


@pytest.mark.parametrize("case", cases("client"))
def test_client(case: dict[str, Any]) -> None:
    names = ("error", "ping", "single")
    expected = {name: case.get(name) for name in names} | {"rest": unhex(case.get("rest", ""))}
    expected["ping"] = unhex(case.get("ping", "")).hex(" ")
    for helo, pong in zip(splittings(unhex(case["received"])), splittings(unhex(case.get("pong", ""))), strict=True):
        handshake = ClientHandshake(ClientKeys(KEY, "client.example", "alice", b"pw"), counting())
        result: dict[str, Any] = dict.fromkeys(names) | {"rest": b""}
        said = b""
        try:
            for piece in helo:
                said += handshake.feed(piece)
            result["ping"] = said.hex(" ")
            assert len(said) < LARGEST_PING
            answered = iter(pong)
            for piece in answered:
                assert handshake.feed(piece) == b"", "one message is one write"
                if handshake.done:
                    result["rest"] = handshake.rest
                    break
            result["rest"] += b"".join(answered)  # what comes later is no part of the handshake
            result["single"] = None if handshake.keepalive else True
            assert handshake.done
        except ProtocolError as error:
            result |= {"error": error.reason, "ping": said.hex(" ")}
            assert not handshake.done
        assert result == expected, f"\ncase     {case['name']}\nexpected {expected}\nresult   {result}"
