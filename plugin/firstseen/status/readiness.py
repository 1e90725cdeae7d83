"""Why the agent is not ready: what stands in the way of the job it has. An agent that is not ready goes on trying."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from msgspec import Struct

from firstseen.notation import in_units
from firstseen.status.report import Reason

UNREACHABLE_S = 10.0
"""For how long servers that were there may be away."""

CODES: Mapping[str, str] = MappingProxyType(
    {
        "starting": "It does not listen yet.",
        "stopping": "It was told to stop, and settles what it has.",
        "state_not_written": "Nothing can be remembered at present, and so nothing is acknowledged.",
        "state_damaged": "Something in the state cannot be read: chunks that need it are refused, all others go on.",
        "downstream_unreachable": (
            "No server downstream can be reached, for more than a moment or since the start. "
            "One that closes connections within four seconds, and takes nothing, is not reached."
        ),
        "downstream_stuck": "What is sent waits for its ack (without acks: to be read) longer than an ack may take.",
        "rules_not_loaded": "What is configured could not be loaded anew: all is as it was.",
        "no_rules": "No rule runs.",
    }
)
"""Every reason there is, and what it means."""


class Signs(Struct, frozen=True):
    """What readiness is judged by. ``stage`` is "starting", "running" or "stopping".

    ``problem`` is why the state cannot be written, ``damage`` what of it cannot be read; ``unreachable_s`` for how long
    no server can be reached, ``reached`` whether one ever could. ``lag_s`` is how long the oldest message waits, which
    may take ``patience_s``.
    """

    stage: str
    problem: str | None
    damage: str | None
    unreachable_s: float | None
    reached: bool
    lag_s: float | None
    patience_s: float
    rule_problems: Sequence[str]
    rules: int


def reasons(signs: Signs) -> tuple[Reason, ...]:
    """Why the agent is not ready; empty if it is."""
    return tuple(Reason(code=code, text=text) for code, text in _found(signs))


def _found(signs: Signs) -> Iterator[tuple[str, str]]:
    if signs.stage == "starting":
        yield "starting", "it does not listen yet"
    if signs.stage == "stopping":
        yield "stopping", "it was told to stop, and settles what it has"
    if signs.problem is not None:
        yield "state_not_written", signs.problem
    if signs.damage is not None:
        rest = "until then chunks that need it are refused, and their senders keep them; all others go on"
        yield "state_damaged", f"{signs.damage}; {rest}"
    if signs.unreachable_s is not None and not signs.reached:
        yield "downstream_unreachable", "no server downstream was reached yet"
    elif signs.unreachable_s is not None and signs.unreachable_s >= UNREACHABLE_S:
        yield "downstream_unreachable", f"no server downstream can be reached for {_spoken(signs.unreachable_s)}"
    elif signs.lag_s is not None and signs.lag_s > signs.patience_s:
        yield "downstream_stuck", f"what is sent downstream is on its way for {_spoken(signs.lag_s)}"
    if signs.rule_problems:
        more = len(signs.rule_problems) - 1
        rest = f" (and {more} more)" if more else ""
        yield "rules_not_loaded", f"all is as it was before: {signs.rule_problems[0]}{rest}"
    if not signs.rules:
        yield "no_rules", "no rule runs: `firstseen rules list` says why"


def _spoken(seconds: float) -> str:
    return in_units(round(seconds * 1_000))
