"""Through which view the records of a tag are read: the first pattern that fits the tag says it."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from firstseen.notation import fits

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
        """How records under ``tag`` are read; patterns are read as in Fluent Bit's Match."""
        return next((view for pattern, view in self.views if fits(pattern, tag)), "auto")
