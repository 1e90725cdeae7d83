"""Why an event raises an alert or none, in words: what a law says of it after what is remembered."""

from __future__ import annotations

from typing import Any

from firstseen.detect.law import Law, Occurrence
from firstseen.detect.new_terms import NewTermsLaw, Sighting
from firstseen.detect.suppression import SuppressionLaw, Window
from firstseen.detect.threshold import Bucket, ThresholdLaw
from firstseen.notation import in_units
from firstseen.record.instant import iso


def reason(law: Law[Any], before: Any, occurrence: Occurrence) -> str:
    """The reason for the verdict of ``law`` on this event; ``before`` is what it remembers, None for nothing."""
    match law:
        case NewTermsLaw():
            return _of_terms(law, before, occurrence)
        case ThresholdLaw():
            return _of_count(law, before, occurrence)
        case SuppressionLaw():
            return _of_group(law, before, occurrence)
        case _:
            raise TypeError(f"{law!r} is no law that is known here")


def _of_terms(law: NewTermsLaw, before: Sighting | None, occurrence: Occurrence) -> str:
    if before is None:
        return "never seen"
    seen, ago = f"last seen {iso(before.last_seen)}", occurrence.time_ms - before.last_seen
    if occurrence.event == before.last_event and not ago:
        return f"{seen}, which is this very event"
    if ago < 0:
        return f"{seen}, after this event: what comes late is no news"
    silence = in_units(law.silence_ms)
    if ago > law.silence_ms:
        return f"{seen}, {in_units(ago)} before: longer ago than {silence}"
    return f"{seen}, {in_units(ago)} before: no longer ago than {silence}"


def _of_count(law: ThresholdLaw, before: Bucket | None, occurrence: Occurrence) -> str:
    count, distinct, since_ms = law.tally(before, occurrence)
    what = f"with this event {count} of {law.events} needed"
    if law.distinct:
        what += f", with {distinct} of {law.distinct} different values"
    what += f", since {iso(since_ms)}"
    match law.hindrance(before, occurrence):
        case "again":
            return "this very event is counted already"
        case "alerted":
            return f"an alert counts it already{_up_to(before)}"
        case "late":
            return "older than all that still counts"
        case "few":
            return f"{what}: not enough yet"
        case "quiet":
            return f"{what}, but an alert within {in_units(law.quiet_ms)} is enough, and there was one{_last(before)}"
        case None:
            return f"{what}: enough"


def _up_to(before: Bucket | None) -> str:
    if before is None or before.alert_run_ms is None:
        return ""
    return f", with all that comes up to {iso(before.alert_run_ms)}"


def _last(before: Bucket | None) -> str:
    return "" if before is None or before.alerted_ms is None else f" at {iso(before.alerted_ms)}"


def _of_group(law: SuppressionLaw, before: Window | None, occurrence: Occurrence) -> str:
    if before is None:
        return "no alert of this group before"
    since, until = iso(before.first_seen), iso(before.first_seen + law.duration_ms)
    if occurrence.event == before.event:
        return f"this very event opened the window at {since}"
    if occurrence.time_ms - before.first_seen > law.duration_ms:
        return f"the window of the last alert, at {since}, ended at {until}"
    return f"an alert at {since} opened a window to {until}, which holds this one back"
