from __future__ import annotations

from firstseen.record.digest import digest, is_digest, previous_hash, printed_date, timestamp, timestamp_ms
from firstseen.record.source import Source

DIGEST = {
    "digestEndTime": "2026-05-24T12:00:00Z",
    "digestStartTime": "soon",
    "digestS3Bucket": "b",
    "logFiles": [{"x": 1}],
}


def test_a_digest_happened_when_its_hour_ended():
    source = Source(DIGEST)
    assert is_digest(source)
    assert timestamp_ms(source) == 1_779_624_000_000
    assert timestamp(source) == "2026-05-24T12:00:00.000Z"


def test_an_event_when_it_says():
    source = Source(DIGEST | {"eventTime": "2026-05-24T12:00:01Z"})
    assert not is_digest(source)
    assert timestamp_ms(source) == 1_779_624_001_000
    assert digest(source) is None
    assert not is_digest(Source(DIGEST | {"eventName": "A"}))
    assert timestamp(Source({})) is None


def test_its_parts():
    assert digest(Source(DIGEST)) == {"end_time": "2026-05-24T12:00:00.000Z", "s3_bucket": "b", "log_files": [{"x": 1}]}


def test_dates():
    source = Source({"a": {"b": "20260524T120000Z", "c": "x"}})
    assert printed_date(source, "a", "b") == "2026-05-24T12:00:00.000Z"
    assert printed_date(source, "a", "c") is None


def test_the_hash_before():
    assert previous_hash(Source({"previousDigestHashValue": "ab"})) == ["ab"]
    assert previous_hash(Source({})) is None
