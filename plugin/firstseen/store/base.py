"""The store as its callers see it, and the values that pass between them.

A term of a rule is *seen* once an event with it is durable on disk. Between `Store.claim` and that moment it is
*pending*, and two promises hold:

1. A term is never remembered before an alert on it was delivered: while the alert is pending, other events on the term
   are KNOWN, but what they confirm waits for the alert's own confirmation.
2. If every claim of a pending alert is released, the claims that relied on it are lost: confirming them fails with
   `ClaimLost`, so their chunks are not acknowledged, come again, and one of them alerts.

The cases are in ``tests/spec/state/``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple, Protocol

from msgspec import Struct, field

from firstseen.detect.law import NEVER, Law, Occurrence
from firstseen.detect.new_terms import Sighting
from firstseen.detect.suppression import Window
from firstseen.detect.threshold import Bucket
from firstseen.errors import StoreError
from firstseen.model import TermValue, Verdict

Memory = Sighting | Bucket | Window
"""What is remembered of one rule's terms, by the law of the rule."""


class RuleState(Struct, frozen=True):
    """One history of one rule: ``key`` (`firstseen.detect.keys.rule_state`) changes when the rule's meaning does.

    ``reach_ms`` is for how long what it remembers may decide (`firstseen.detect.law.Law`); None where nobody knows.
    """

    key: bytes
    rule_id: str
    name: str
    reach_ms: int | None = None


class More(Struct, eq=False):
    """Later ``events`` with the terms of a claim, which are KNOWN (see `Claims.extend`).

    Whoever made the claim may add those up to ``open_until_ms`` without asking. The store moves that at any call.
    """

    events: list[Occurrence] = field(default_factory=list)
    open_until_ms: int = NEVER


class Claim(Struct, frozen=True, eq=False):
    """One event's sighting of one rule's terms, from `Store.claim` to its confirmation or release, exactly one of them.

    ``before`` is what was remembered, or on its way to be, when the event came; None if nothing was. ``alone`` says
    that this is what one agent has seen, of a state that it shares with others and could not ask. Claims are compared
    by identity: the same event may be on its way twice.
    """

    rule: RuleState
    terms: tuple[TermValue, ...]
    occurrence: Occurrence
    law: Law[Any]
    verdict: Verdict
    before: Any
    alone: bool = False
    more: More = field(default_factory=More)


class ClaimLost(StoreError):  # noqa: N818  # says what happened; nothing is wrong with the store
    """The alert that this claim relied on was given back undelivered: the chunk must come again."""


class NotReservedError(StoreError):
    """What was claimed was not reserved, or not for this: the rules changed meanwhile. Reserve again, and claim."""


class DamagedError(StoreError):
    """What was read is no longer what was written: all that needs it fails, until another state takes its place."""


class Wanted(NamedTuple):
    """What will be claimed: see `Claims.claim`."""

    rule: RuleState
    terms: tuple[TermValue, ...]
    occurrence: Occurrence
    law: Law[Any]


class Entry(NamedTuple):
    """What is remembered of one list of terms: of which rule (`RuleState.key`), which terms, and what."""

    rule_key: bytes
    terms: tuple[TermValue, ...]
    memory: Memory


class History(NamedTuple):
    """A history of a rule, and when it began, in milliseconds since the epoch."""

    rule: RuleState
    since_ms: int


class Stats(Struct, frozen=True):
    """How large the state is: terms, bytes in use by data, bytes of the file, and the bound of both.

    The file does not shrink; what it holds beyond ``used_bytes`` is written over before it grows.
    """

    entries: int
    used_bytes: int
    file_bytes: int
    map_size: int


class Solitude(NamedTuple):
    """How an agent does that may go on alone, by a copy on its disk, while the servers of a shared state are away.

    ``reason`` is why it is ``alone``, or why what it remembered alone is not there yet. ``uncopied`` terms it has seen
    wait for the copy, which could not be written for the reason ``behind``; 0 and None while all is copied.
    """

    alone: bool = False
    reason: StoreError | None = None
    uncopied: int = 0
    behind: StoreError | None = None


class StateReader(Protocol):
    """What can be asked of a state, also while another process writes it. Everything raises `StoreError`."""

    def get(self, rule_key: bytes, terms: Sequence[TermValue]) -> Memory | None:
        """What is durably remembered of ``terms``; None if they were never seen."""

    def entries(self, rule_key: bytes = b"", after: bytes = b"", holding: bytes = b"") -> Iterator[Entry]:
        """What is remembered, of one rule or of all, by key (`firstseen.detect.keys.state_key`), behind ``after``.

        With ``holding`` only that whose stored form has these bytes somewhere, as it has for each text among its terms
        those of `firstseen.store.texts.verbatim`: a filter that saves work, with more in it than what one looks for.

        Not one moment's picture: what is written meanwhile may be in it or not.
        """

    def rules(self) -> Iterator[History]:
        """Every history there is."""

    def stats(self) -> Stats:
        """How large the state is."""

    def close(self) -> None:
        """Let go of everything."""


class Claims(Protocol):
    """What the engine asks of a state. One thread claims, extends and releases; any may register and read."""

    def register(self, rules: Iterable[RuleState], now_ms: int) -> Sequence[int]:
        """When each of these histories began: ``now_ms`` if it begins here and now.

        Waits for the disk where one does, once for all of them.
        """

    def rules(self) -> Iterator[History]:
        """Every history there is."""

    def claim(self, rule: RuleState, terms: tuple[TermValue, ...], occurrence: Occurrence, law: Law[Any]) -> Claim:
        """What this event means by ``law`` (see `Claim.verdict`). The caller must confirm or release it, once.

        A rule has one law for as long as it has one history.
        """

    def extend(self, claim: Claim, occurrence: Occurrence) -> bool:
        """Make a later event with the terms of ``claim`` a part of it, where it is KNOWN and nothing came in between.

        It is remembered with the claim, or not at all. False where it has to be claimed by itself.
        """

    def release(self, claims: Sequence[Claim]) -> None:
        """The alerts of these claims were not delivered: forget the claims. Raises `ValueError` as `confirm` does."""


class Store(StateReader, Claims, Protocol):
    """The state, for the process that writes it. The thread that claims also confirms."""

    def confirm(self, claims: Sequence[Claim]) -> Future[None]:
        """The alerts of these claims are delivered: remember the terms. The future ends when that is durable.

        It fails with `StoreError` if it cannot become durable, with `ClaimLost` if an alert relied upon was released;
        the claims are spent either way, and the chunk must not be acknowledged. When it fails, all others of its claims
        are durable or gone as well. Its callbacks run in the writing thread or in the one that releases. Raises
        `ValueError` for a claim that is not pending.
        """

    @property
    def problem(self) -> StoreError | None:
        """Why nothing can be made durable at present: the last commit's failure, until one succeeds.

        Or the first `DamagedError` that reading came upon, which stays.
        """

    def close(self) -> None:
        """Write what is confirmed and let go. What waits for an unconfirmed alert fails; pending claims are gone."""


class Reservation(Protocol):
    """What one chunk will claim: `add` all of it, `ask` for it, claim it once it is there, and `end`."""

    def add(self, wanted: Wanted) -> None:
        """This will be claimed."""

    def ask(self) -> Future[None]:
        """Ends when all of it can be claimed without waiting; fails with `StoreError` if the state is closed before.

        It cannot be cancelled; its callbacks run in any thread.
        """

    def end(self) -> None:
        """The claims are made, or will not be: what was not claimed is left to others. Ending twice is ending once."""


class SharedStore(Store, Protocol):
    """A state that other agents write as well: what is to be claimed there has to be asked for first, and waited for.

    `Claims.claim` raises `NotReservedError` for what was not. Agents that come upon the same new terms are served one
    after the other: `Reservation.ask` waits for the alerts of others on the same terms to be remembered or given up.
    """

    def reservation(self) -> Reservation:
        """A new one, with nothing in it."""


class Swept(NamedTuple):
    """Terms forgotten, and rounds that came to the end."""

    pruned: int
    rounds: int


class Pruning(Protocol):
    """A store that does not forget by itself, as whoever has it forget sees it."""

    @property
    def problem(self) -> StoreError | None:
        """See `Store.problem`."""

    @property
    def newest_ms(self) -> int | None:
        """The latest sighting written since the state was opened: the clock of what comes in; None before the first."""

    @property
    def reached_ms(self) -> int | None:
        """The latest time by which a round of `prune` ended, ever, or at which the state was made; None if not known.

        Raises `StoreError`.
        """

    @property
    def swept(self) -> Swept:
        """What `prune` has done since the state was opened."""

    def prune(self, now_ms: int) -> Future[None]:
        """Look at some terms more, and forget those that can decide nothing any more at ``now_ms``.

        The future ends when that is done; it fails with `StoreError` where there was no room for it. Its callbacks run
        in the writing thread.
        """
