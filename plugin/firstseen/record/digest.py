"""Digest records: the hourly list of delivered log files that CloudTrail signs. No event, and no ``eventTime``."""

from __future__ import annotations

from typing import Final

from firstseen.record.identity import distinct
from firstseen.record.instant import iso, parse_ms
from firstseen.record.source import Source, pruned

_DATES: Final = {
    "start_time": "digestStartTime",
    "end_time": "digestEndTime",
    "newest_event_time": "newestEventTime",
    "oldest_event_time": "oldestEventTime",
}
_MOVED: Final = {
    "s3_bucket": "digestS3Bucket",
    "log_files": "logFiles",
    "previous_s3_bucket": "previousDigestS3Bucket",
    "previous_s3_object": "previousDigestS3Object",
    "previous_hash_value": "previousDigestHashValue",
    "previous_hash_algorithm": "previousDigestHashAlgorithm",
    "previous_signature": "previousDigestSignature",
    "public_key_fingerprint": "digestPublicKeyFingerprint",
    "signature_algorithm": "digestSignatureAlgorithm",
}


def timestamp_ms(source: Source) -> int | None:
    """When the event happened, in milliseconds since 1970; for a digest, when its hour ended."""
    return parse_ms(source.at("digestEndTime") if is_digest(source) else source.at("eventTime"))


def timestamp(source: Source) -> str | None:
    """The same as Elasticsearch prints it."""
    return _printed(timestamp_ms(source))


def printed_date(source: Source, *path: str) -> str | None:
    """The date the path of keys leads to, as Elasticsearch prints it; None where there is none to be read."""
    return _printed(parse_ms(source.at(*path)))


def is_digest(source: Source) -> bool:
    """Whether the record is a digest."""
    return source.at("eventName") is None and source.at("eventTime") is None and source.at("digestEndTime") is not None


def digest(source: Source) -> object:
    """``aws.cloudtrail.flattened.digest``."""
    if not is_digest(source):
        return None
    dates = {name: printed_date(source, key) for name, key in _DATES.items()}
    return pruned(dates | {name: source.at(key) for name, key in _MOVED.items()})


def previous_hash(source: Source) -> list[object] | None:
    """``related.hash``: the hash of the digest before this one."""
    return distinct([source.at("previousDigestHashValue")])


def _printed(ms: int | None) -> str | None:
    return None if ms is None else iso(ms)
