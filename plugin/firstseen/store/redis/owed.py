"""What an agent has in its copy and not in the shared state, by term: reserved, claimed, or remembered alone."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from firstseen.model import TermValue
from firstseen.store.base import Claim

MOST_UNMERGED = 100_000
"""Terms that are merged one by one; where there are more, all of the copy is."""

Place = tuple[bytes, tuple[TermValue, ...]]
"""A history (`RuleState.key`), and terms of it."""


class Owed:
    """For whoever holds one lock. Begins with ``all_unmerged`` where what is not merged is not known one by one."""

    def __init__(self, *, all_unmerged: bool) -> None:
        self.all_unmerged = all_unmerged
        self._merging_all = False
        self._reserved: Counter[bytes] = Counter()
        self._claims: dict[Claim, bytes] = {}
        self._claimed: Counter[bytes] = Counter()
        self._unmerged: dict[bytes, Place] = {}
        self._merging: Mapping[bytes, Place] = {}

    def __bool__(self) -> bool:
        return bool(self.is_unmerged or self._reserved or self._claims or self._merging or self._merging_all)

    @property
    def is_unmerged(self) -> bool:
        """Whether there is anything to merge now."""
        return bool(self.all_unmerged or self._unmerged)

    def holds(self, keys: Iterable[bytes]) -> bool:
        """Whether the shared state may lack something of one of these terms that is here, or will be."""
        if not self:
            return False
        if self.all_unmerged or self._merging_all:
            return True
        return any(
            key in self._reserved or key in self._claimed or key in self._unmerged or key in self._merging
            for key in keys
        )

    def reserve(self, keys: Iterable[bytes]) -> None:
        """These are to be claimed in the copy."""
        self._reserved.update(keys)

    def give_up(self, keys: Iterable[bytes]) -> None:
        """They will not be any more, by whoever has reserved them."""
        _take_out(self._reserved, keys)

    def is_reserved(self, key: bytes) -> bool:
        """Whether it is to be claimed in the copy."""
        return key in self._reserved

    def claim(self, claim: Claim, key: bytes) -> None:
        """This is in the copy."""
        self._claims[claim] = key
        self._claimed[key] += 1

    def has(self, claim: Claim) -> bool:
        """Whether it is in the copy."""
        return claim in self._claims

    def parted(self, claims: Sequence[Claim]) -> tuple[list[Claim], list[Claim]]:
        """Those in the copy, and the others."""
        here = [claim for claim in claims if claim in self._claims]
        return here, [] if len(here) == len(claims) else [claim for claim in claims if claim not in self._claims]

    def settle(self, claims: Sequence[Claim], *, may_be_there: bool) -> None:
        """They are remembered, all or some of them, or never will be. Once for each."""
        keys = [self._claims.pop(claim) for claim in claims]
        _take_out(self._claimed, keys)
        if may_be_there:
            self._unmerged.update((key, (claim.rule.key, claim.terms)) for claim, key in zip(claims, keys, strict=True))
        if len(self._unmerged) > MOST_UNMERGED:  # it is all in the copy
            self._unmerged.clear()
            self.all_unmerged = True

    @property
    def merging(self) -> Iterable[Place]:
        """What was begun."""
        return self._merging.values()

    def begin(self, most: int) -> None:
        """Some is to be merged: it has to be read after this. `end` says what came of it."""
        self._merging = dict(itertools.islice(self._unmerged.items(), most))
        for key in self._merging:  # what is remembered from now on is another matter
            del self._unmerged[key]

    def end(self, *, is_merged: bool) -> None:
        """What was begun is merged, or still is to be."""
        if not is_merged:
            self._unmerged = {**self._merging, **self._unmerged}
        self._merging = {}

    def begin_all(self) -> None:
        """All of the copy is to be read, and merged. `end_all` says what came of it."""
        self.all_unmerged, self._merging_all = False, True

    def end_all(self, *, is_merged: bool) -> None:
        """It is, or still is to be."""
        self._merging_all = False
        self.all_unmerged = self.all_unmerged or not is_merged


def _take_out(counts: Counter[bytes], keys: Iterable[bytes]) -> None:
    """One of each: those of which none is left are gone."""
    for key in keys:
        counts[key] -= 1
        if not counts[key]:
            del counts[key]
