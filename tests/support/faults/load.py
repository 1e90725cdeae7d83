"""What is sent: chunks of every mode and size, with first sightings, later ones, and records that match nothing."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from support.faults.ledger import SentChunk, SentRecord, Take, TakenRecord
from support.peer_frames import (
    chunk_id,
    compressed,
    entry_v1,
    entry_v2,
    forward,
    message,
    pack,
    packed,
    parse,
    unpack,
)
from support.rulebook import call

TAGS = ("aws.cloudtrail", "aws.cloudtrail.org", "app")
SMALLEST, LARGEST = 500, 200_000
"""Bytes of a chunk's content, about; as many are small as are large."""

MATCHES = 0.15
NEWCOMERS = 0.4
SHARED = 0.3
"""Shares: records that match, matches that are of somebody new, identities that all channels sight."""

WORDS = ("connection", "opened", "closed", "by", "peer", "retry", "upload", "GetCallerIdentity", "done", "warning")
TIME_NS = 1_790_000_000_000_000_000


def digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=12).digest()


class Load:
    """Makes chunks for a number of channels, out of ``rng``."""

    def __init__(self, rng: random.Random, *, poison: bool) -> None:
        self._rng = rng
        self._poison = poison
        self._number = 0
        self._known: dict[int | None, list[str]] = {}

    def chunk(self, channel: int) -> tuple[SentChunk, bytes]:
        """The next one of that channel, and its frame."""
        rng = self._rng
        if self._poison and rng.random() < 0.03:
            return self._poisoned(channel)
        size = math.exp(rng.uniform(math.log(SMALLEST), math.log(LARGEST)))
        records: list[Any] = []
        identities: list[str | None] = []
        while size > 0:
            record, identity = self._record(channel)
            records.append(record)
            identities.append(identity)
            size -= len(pack(record))
        return self._framed(channel, records, identities)

    def newcomers(self, channel: int, count: int) -> tuple[SentChunk, bytes]:
        """A chunk that makes so many known at once."""
        names = [self._newcomer(channel) for _ in range(count)]
        return self._framed(channel, [call(name, self._event()) for name in names], names)

    def _next(self, prefix: str) -> str:
        self._number += 1
        return f"{prefix}-{self._number}"

    def _event(self) -> str:
        """A UUID mostly, as CloudTrail's are, and else another text: a state has a form for each."""
        name = self._next("e")
        return name if self._number % 4 == 0 else str(UUID(int=self._number))

    def _newcomer(self, owner: int | None) -> str:
        name = f"arn:aws:iam::111122223333:user/{self._next('anybody' if owner is None else f'of-{owner}')}"
        self._known.setdefault(owner, []).append(name)
        return name

    def _record(self, channel: int) -> tuple[dict[str, Any], str | None]:
        rng = self._rng
        if rng.random() >= MATCHES:
            text = " ".join(rng.choices(WORDS, k=rng.randint(3, 60)))
            return {"eventID": self._next("r"), "log": text, "level": rng.randint(0, 7)}, None
        owner = None if rng.random() < SHARED else channel
        known = self._known.get(owner)
        name = self._newcomer(owner) if not known or rng.random() < NEWCOMERS else rng.choice(known)
        return call(name, self._event()), name

    def _framed(
        self, channel: int, records: Sequence[Any], identities: Sequence[str | None]
    ) -> tuple[SentChunk, bytes]:
        rng = self._rng
        tag = rng.choice(TAGS)
        kinds = ["forward", "packed", "as_str", "gzip", "members"]
        kind = rng.choice(kinds + ["message"] * 3) if len(records) == 1 else rng.choice(kinds)
        make = entry_v1 if kind == "message" or rng.random() < 0.5 else entry_v2
        times = [TIME_NS + rng.randrange(1_000_000_000) for _ in records]
        entries = [make(record, time) for record, time in zip(records, times, strict=True)]
        name = chunk_id(b"".join(entries))
        option: dict[str, Any] = {"chunk": name, "size": len(entries)}
        match kind:
            case "message":
                frame = message(tag, records[0], times[0], chunk=name)
            case "forward":
                frame = forward(tag, entries, **option)
            case "packed" | "as_str":
                frame = packed(tag, entries, as_str=kind == "as_str", **option)
            case _:
                frame = compressed(tag, entries, members=rng.randint(2, 4) if kind == "members" else 1, **option)
        sent = [
            SentRecord(record["eventID"], digest(entry[1:]), identity)
            for record, entry, identity in zip(records, entries, identities, strict=True)
        ]
        return SentChunk(name, channel, tag, sent, digest=digest(frame)), frame

    def _poisoned(self, channel: int) -> tuple[SentChunk, bytes]:
        """Its blob says that it is compressed, and is not."""
        name = chunk_id(self._next("poison").encode())
        tag = self._rng.choice(TAGS)
        blob = b"\x1f\x8b\x08\x00" + self._rng.randbytes(200)
        frame = pack([tag, blob, {"chunk": name, "compressed": "gzip"}])
        return SentChunk(name, channel, tag, poison=True, digest=digest(frame)), frame


def taken(time_ns: int, frame: bytes) -> Take:
    """What a server took, as the books want it."""
    parsed = parse(frame)
    records = []
    for entry in parsed.entries:
        record = unpack(entry.raw_record)
        labels = record.pop("alerts", ())
        raw = pack(record) if labels else entry.raw_record
        records.append(
            TakenRecord(record["eventID"], digest(entry.raw_time + raw), tuple(label["id"] for label in labels))
        )
    return Take(time_ns, parsed.chunk, parsed.tag, records)
