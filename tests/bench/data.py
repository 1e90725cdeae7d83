"""What the benchmark sends: chunks of synthetic CloudTrail, encoded once, changed in place before each use.

In each use a chunk's id and the event ids of its hits are new, as a stream's are, and one of its callers may be. All
else is the same bytes again, which the agent has no reason to look at.
"""

from __future__ import annotations

import copy
import gzip
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any, Literal

from support import corpus
from support.peer_frames import elements, entry_v1, forward, pack, packed, unpack

Mode = Literal["forward", "packed", "gzip"]

WHOLE_DAY = 4000
"""Fewer records would have more hits among them than a day has."""

TAG = "aws.cloudtrail"
TIME_NS = 1_779_610_353_123_456_789
ID_DIGITS = 22
CHUNK_ID = "0" * ID_DIGITS + "=="
DIGITS = 8
SESSION = "pipeline-" + "0" * DIGITS
"""A caller whose name ends in digits that can be changed."""


@dataclass(frozen=True)
class Template:
    """A frame and where it changes: its id, the event ids of its hits, and every mention of one caller."""

    frame: bytearray
    records: int
    arns: frozenset[str]
    id_at: int
    events_at: Sequence[int]
    caller_at: Sequence[int]

    @property
    def hits(self) -> int:
        return len(self.events_at)

    def renew(self, chunk: int, first_event: int, caller: int) -> None:
        """Make it the ``chunk``-th chunk; its hits are numbered from ``first_event``; caller 0 is one that is known."""
        frame = self.frame
        frame[self.id_at : self.id_at + ID_DIGITS] = b"%022x" % chunk
        for number, at in enumerate(self.events_at, first_event):
            frame[at : at + DIGITS] = b"%08x" % number
        for at in self.caller_at:
            frame[at : at + DIGITS] = b"%08x" % caller


def templates(mode: Mode, size: int, count: int, hits: int | None = None, share: float | None = None) -> list[Template]:
    """``count`` different chunks of about ``size`` bytes, their records in no order of time.

    Each has at most ``hits`` hits, if that is said; or of all records this ``share`` are hits. The mode gzip gives
    packed chunks: they are compressed after they were renewed.
    """
    records = corpus.day(records=max(WHOLE_DAY, (count + 1) * size // 1000))
    random.Random(0).shuffle(records)
    if share is not None:
        records = _with_share(records, share)
    found: list[Template] = []
    chunk: list[dict[str, Any]] = []
    filled = 0
    for record in records:
        if hits is not None and is_hit(record) and sum(map(is_hit, chunk)) >= hits:
            continue
        chunk.append(record)
        filled += len(pack(record))
        if filled >= size:
            found.append(_template(mode, chunk))
            chunk, filled = [], 0
        if len(found) == count:
            break
    return found


def _with_share(records: list[dict[str, Any]], share: float) -> list[dict[str, Any]]:
    """As many records, of which this share are hits, evenly spread: some of them again and again."""
    chosen = cycle([record for record in records if is_hit(record)])
    others = cycle([record for record in records if not is_hit(record)])
    return [
        next(chosen) if int((number + 1) * share) > int(number * share) else next(others)
        for number in range(len(records))
    ]


def compressed(frame: bytes | bytearray) -> bytes:
    """A packed frame with its blob in one gzip member, as Fluent Bit sends it."""
    _, blob, option = map(unpack, elements(bytes(frame)))
    return packed(TAG, [gzip.compress(blob, compresslevel=1, mtime=0)], **option, compressed="gzip")


def _template(mode: Mode, records: Sequence[dict[str, Any]]) -> Template:
    changeable = next((record for record in records if is_hit(record) and _session(record) == "pipeline"), None)
    entries = [entry_v1(_renamed(record) if record is changeable else record, TIME_NS) for record in records]
    build = forward if mode == "forward" else packed
    frame = bytearray(build(TAG, entries, chunk=CHUNK_ID, size=len(records)))
    at = frame.index(entries[0])
    events, arns = [], set()
    for record, entry in zip(records, entries, strict=True):
        if is_hit(record):
            events.append(at + entry.index(record["eventID"].encode()))
            arns.add(record["userIdentity"]["arn"] + SESSION[len("pipeline") :] * (record is changeable))
        at += len(entry)
    caller = [match.end() - DIGITS for match in re.finditer(SESSION.encode(), frame)]
    return Template(frame, len(records), frozenset(arns), frame.index(CHUNK_ID.encode()), events, caller)


def is_hit(record: dict[str, Any]) -> bool:
    """Whether the shipped rule matches it."""
    return (record["eventSource"], record["eventName"]) == ("sts.amazonaws.com", "GetCallerIdentity")


def _session(record: dict[str, Any]) -> str:
    session: str = record["userIdentity"]["arn"].rpartition("/")[2]
    return session


def _renamed(record: dict[str, Any]) -> dict[str, Any]:
    renamed = copy.deepcopy(record)
    for key in ("arn", "principalId"):
        renamed["userIdentity"][key] += SESSION[len("pipeline") :]
    return renamed
