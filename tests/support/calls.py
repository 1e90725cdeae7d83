"""Calls of AWS that were never made, in the shape of CloudTrail: few fields, quick to make."""

from __future__ import annotations

from typing import Any

from support.peer_frames import Mode, compressed, entry_v1, entry_v2, forward, message, packed

TIME_NS = 1_700_000_000_123_456_789


def event(number: int, fill: int = 0) -> dict[str, Any]:
    """Every third is a GetCallerIdentity, by one of four identities; ``fill`` makes it larger by so many bytes."""
    return {
        "eventVersion": "1.08",
        "userIdentity": {"type": "IAMUser", "arn": f"arn:aws:iam::111122223333:user/u{number % 4}"},
        "eventTime": "2026-09-21T08:00:00Z",
        "eventSource": "sts.amazonaws.com",
        "eventName": "GetCallerIdentity" if number % 3 == 0 else "AssumeRole",
        "eventID": f"e-{number}",
        "requestParameters": {"durationSeconds": 3600, "tags": ["ä", "b"], "ratio": 0.5, "none": None},
    } | ({"fill": "-" * fill} if fill else {})


def events(count: int, fill: int = 0) -> list[dict[str, Any]]:
    return [event(number, fill) for number in range(count)]


FIRST = ["e-0", "e-3", "e-6", "e-9"]
"""Those of them that are the first of their identities."""


def without_alerts(record: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key != "alerts"}


def frames(
    mode: Mode,
    records: list[dict[str, Any]],
    tag: str = "aws",
    metadata: dict[str, Any] | None = None,
    time_ns: int = TIME_NS,
) -> list[bytes]:
    """Frames that ask for acks and carry those records, a nanosecond apart, with metadata where there is some."""
    times = range(time_ns, time_ns + len(records))
    if mode == "message":
        extra = {} if metadata is None else {"metadata": metadata}
        return [
            message(tag, record, time, chunk=f"{mode} {record['eventID']}", **extra)
            for time, record in zip(times, records, strict=True)
        ]
    made = [
        entry_v1(record, time) if metadata is None else entry_v2(record, time, metadata)
        for time, record in zip(times, records, strict=True)
    ]
    pack = {"forward": forward, "packed": packed, "compressed": compressed}[mode]
    return [pack(tag, made, chunk=f"{mode} {records[0]['eventID']}", size=len(made))]
