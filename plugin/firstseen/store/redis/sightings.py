"""The commands that remember what is claimed by the law of new_terms: its events, in order."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import TypeAlias

from firstseen.detect.law import Occurrence
from firstseen.model import Verdict
from firstseen.store.base import Claim
from firstseen.store.ledger import Change
from firstseen.store.redis.hashes import fields_of, raw
from firstseen.store.redis.link import REMEMBER, Part
from firstseen.store.redis.merging import new_token

Parts: TypeAlias = tuple[Part, ...]
"""Some of what a command is made of."""

MOST_SIGHTINGS = 10_000
"""In one command: an event may come a million times in a chunk, and no command may have so many parts."""


def remembering(key: bytes, owner: bytes, change: Change, how: Parts) -> list[Parts]:
    """`REMEMBER` for this change of the hash ``key``, the last as ``how`` says: token, lease, and time to keep it."""
    *_, kept = how
    terms = fields_of(change.memory, change.terms)[b"t"] or b""
    every = [each for claim in change.claims for each in _sightings(claim)]
    pieces = [every[start : start + MOST_SIGHTINGS] for start in range(0, len(every), MOST_SIGHTINGS)]
    return [
        REMEMBER.on(key, owner, *(how if piece is pieces[-1] else (new_token(), 0, kept)), terms, *chain(*piece))
        for piece in pieces
    ]


def _sightings(claim: Claim) -> Iterator[Parts]:
    yield _sighting(claim.occurrence, claim.verdict)
    for occurrence in claim.more.events:
        yield _sighting(occurrence, Verdict.KNOWN)


def _sighting(occurrence: Occurrence, verdict: Verdict) -> Parts:
    return occurrence.time_ms, raw(occurrence.event), "known" if verdict is Verdict.KNOWN else "alert"
