"""Through which view the records of a tag are read: the first pattern that fits the tag says it."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

View = Literal["auto", "cloudtrail", "ecs", "none"]


class Sources(Struct, frozen=True, kw_only=True):
    """How records are read, by the pattern that fits their tag."""

    views: Annotated[
        tuple[tuple[str, View], ...],
        Meta(
            description='A pattern of tags in quotation marks, "*" in it standing for any run of characters, and how'
            ' records under such tags are read: as "cloudtrail", as "ecs", as what each of them looks like ("auto"),'
            ' or not at all ("none": they pass uninspected). The first pattern that fits counts; where none does, it'
            ' is "auto".'
        ),
    ] = (("*", "auto"),)

    def view(self, tag: str) -> View:
        """How records under ``tag`` are read."""
        return next((view for pattern, view in self.views if fits(pattern, tag)), "auto")


def fits(pattern: str, tag: str) -> bool:
    """Whether ``pattern`` is the whole of ``tag``, as Fluent Bit's Match reads it: only ``*`` is special.

    It takes no longer than a search for each of the pattern's parts, whatever tag a client comes up with.
    """
    start, *parts = pattern.split("*")
    if not parts:
        return tag == pattern
    if not tag.startswith(start):
        return False
    at = len(start)
    *between, end = parts
    for part in between:
        found = tag.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return tag.endswith(end) and len(tag) - len(end) >= at
