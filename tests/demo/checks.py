"""What has to be true of a demonstration, and the sentence for each way in which it is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from support.peer_frames import Entry, pack

RULE_NAME = "First GetCallerIdentity by an AWS identity"


class DeviationError(Exception):
    """Something is not as it must be."""


@dataclass(frozen=True)
class Day:
    """What is sent: the records in their order, and what they are as bytes, by event."""

    records: Sequence[dict[str, Any]]
    as_bytes: Mapping[str, bytes]

    @classmethod
    def of(cls, records: Sequence[dict[str, Any]]) -> Day:
        return cls(records, {record["eventID"]: pack(record) for record in records})

    @property
    def calls(self) -> list[dict[str, Any]]:
        """What the rule looks for."""
        return [
            record
            for record in self.records
            if (record["eventSource"], record["eventName"]) == ("sts.amazonaws.com", "GetCallerIdentity")
        ]

    @property
    def firsts(self) -> list[dict[str, Any]]:
        """Each identity's first call: what an agent that knows nobody has to alert on."""
        firsts: dict[str, dict[str, Any]] = {}
        for record in self.calls:
            firsts.setdefault(record["userIdentity"]["arn"], record)
        return list(firsts.values())

    @property
    def accounts(self) -> int:
        return len({record["recipientAccountId"] for record in self.records})

    @property
    def size(self) -> int:
        return sum(map(len, self.as_bytes.values()))


@dataclass(frozen=True)
class Alert:
    """One label on one record."""

    record: dict[str, Any]
    label: dict[str, Any]

    @property
    def arn(self) -> str:
        arn: str = self.label["new_terms"]["values"][0]
        return arn


@dataclass(frozen=True)
class Arrived:
    """What came out at the other end."""

    identical: int
    alerts: Sequence[Alert]


def inspect(day: Day, entries: Sequence[Entry]) -> Arrived:
    """Every record arrived once, in order, and as it was sent but for its labels; raises `DeviationError`."""
    alerts: list[Alert] = []
    identical = 0
    arrived = [(entry, entry.record) for entry in entries]
    order = [record.get("eventID") for _, record in arrived]
    if order != [record["eventID"] for record in day.records]:
        missing = len(day.as_bytes.keys() - set(order))
        raise DeviationError(
            f"{len(day.records)} records were sent, {len(order)} arrived: {missing} are missing, "
            f"{len(order) - len(set(order))} came twice, or the order is another"
        )
    for entry, record in arrived:
        sent = day.as_bytes[record["eventID"]]
        if entry.raw_record == sent:
            identical += 1
            continue
        labels = record.pop("alerts", [])
        if not labels or pack(record) != sent:
            raise DeviationError(f"event {record['eventID']} arrived with other content than it was sent with")
        alerts += [Alert(record, label) for label in labels]
    return Arrived(identical, alerts)


def expect_alerts(arrived: Arrived, firsts: Sequence[dict[str, Any]]) -> None:
    """The alerts are on these events and no others, each by the rule and with the caller's ARN."""
    expected = [(record["eventID"], record["userIdentity"]["arn"], RULE_NAME) for record in firsts]
    found = [(alert.record["eventID"], alert.arn, alert.label["rule"]["name"]) for alert in arrived.alerts]
    if found != expected:
        missing, more = (sorted(set(one) - set(other)) for one, other in ((expected, found), (found, expected)))
        raise DeviationError(f"{len(found)} alerts instead of {len(expected)}; missing: {missing}; not due: {more}")
    ids = {alert.label["id"] for alert in arrived.alerts}
    if len(ids) != len(found):
        raise DeviationError("two alerts have the same id")


def expect_totals(totals: Mapping[str, Any], day: Day, alerts: int) -> None:
    """What the agent counted is what happened."""
    expected = {
        "records_in": len(day.records),
        "records_out": len(day.records),
        "records_rejected": 0,
        "matches": len(day.calls),
        "alerts": alerts,
        "suppressed": len(day.calls) - alerts,
    }
    counted = {name: totals.get(name) for name in expected}
    if counted != expected:
        raise DeviationError(f"the agent counted {counted}, where {expected} is right")
