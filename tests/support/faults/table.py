"""The books of a run as a table to read."""

from __future__ import annotations

from dataclasses import asdict

from support.faults.ledger import MUST_BE_NONE
from support.faults.play import Report

WORDS = {
    "chunks": "chunks sent",
    "sent": "records sent",
    "acked": "records acked",
    "delivered": "records delivered",
    "repeated": "records repeated",
    "kept": "chunks in the quarantine",
    "lost": "records lost",
    "early": "records acked before they were delivered",
    "changed": "records changed",
    "strange": "records and acks that nobody knows",
    "alerts_expected": "identities acked, each to have its alert",
    "alerts_delivered": "alerts delivered",
    "alerts_repeated": "alerts repeated",
    "alerts_lost": "alerts lost",
    "alerts_early": "identities acked before their alert was delivered",
    "alerts_doubled": "identities that alerted for a second event",
    "ids_differ": "repeats with another id",
    "remembered": "identities in the state at the end",
    "forgotten": "identities acked and not in the state",
    "unalerted": "identities in the state without an alert",
}
AGENT_SAYS = (
    "state_not_written",
    "chunk_rejected",
    "frame_not_taken",
    "frame_cut_short",
    "downstream_lost",
    "downstream_unreachable",
)


def table(report: Report) -> str:
    """Faults by kind, then what became of the records and the alerts."""
    rows = [("faults", report.faults.total()), *sorted(report.faults.items()), ("", "")]
    rows += [
        (WORDS[name] + (" (must be 0)" if name in MUST_BE_NONE else ""), n) for name, n in asdict(report.counts).items()
    ]
    rows += [("", ""), *((f"the agent said {name}", report.events[name]) for name in AGENT_SAYS)]
    if report.no_disk:
        rows.append((f"no disk was filled: {report.no_disk}", ""))
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:{width}} {count:>10}".rstrip() for name, count in rows)
