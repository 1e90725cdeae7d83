"""What was asked and what was answered: the free-form parts of a record.

Elastic keeps each of them twice, as the text of a Java map and as a flattened object.
"""

from __future__ import annotations

from typing import Final

from firstseen.record.fields import FLATTENED_LIMIT, utf16_length
from firstseen.record.identity import takes_name_from_additional_data
from firstseen.record.javamap import hash_order, java_text
from firstseen.record.source import Source, pruned
from firstseen.record.tree import members

_RESOURCE_KEYS: Final = {"ARN": "arn", "accountId": "account_id"}
_RESOURCE_IDENTITY: Final = ("arn", "account_id", "type")


def text(source: Source, key: str) -> str | None:
    """The value of the record's ``key`` as the text of a Java map."""
    return java_text(_raw(source, key))


def flattened(source: Source, key: str) -> object:
    """The object behind that text; left out where its text is longer than a term may be."""
    raw = _raw(source, key)
    printed = java_text(raw) if isinstance(raw, dict) else None
    return pruned(raw) if printed is not None and utf16_length(printed) < FLATTENED_LIMIT else None


def insight(source: Source) -> object:
    """``aws.cloudtrail.flattened.insight_details``: what CloudTrail Insights found unusual, whole."""
    details = source.at("insightDetails")
    return details if isinstance(details, dict) else None


def resources(source: Source) -> list[dict[str, object]] | None:
    """``aws.cloudtrail.resources``: each resource once, by ARN, account and type, in the order of a ``HashMap``.

    Of those that are alike in all three, the last one stands.
    """
    distinct: dict[str, dict[str, object]] = {}
    for resource in source.maps("resources"):
        renamed = {_RESOURCE_KEYS.get(key, key): value for key, value in resource.items()}
        distinct["_".join(java_text(renamed.get(key)) or "" for key in _RESOURCE_IDENTITY)] = renamed
    return [distinct[key] for key in hash_order(distinct)] or None


def _raw(source: Source, key: str) -> object:
    raw = source.raw(key)
    if key == "additionalEventData" and isinstance(raw, dict) and takes_name_from_additional_data(source):
        return dict(members(raw)) | {"UserName": None}  # pruned, but it has made the hash table grow
    return raw
