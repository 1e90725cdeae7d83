"""Through which view the records of a tag are read: the first pattern that fits the tag says it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Annotated, Literal

from msgspec import Meta, Struct

from firstseen.notation import fits

View = Literal["auto", "cloudtrail", "ecs", "none"]

MOST_TAGS = 4096
"""Tags for which it is remembered how their records are read."""

LONGEST_TAG = 512
"""Characters of such a tag, as collectors make them of names of files; what clients spell out does not stay here."""


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

    @property
    def view_of_files(self) -> Literal["auto", "cloudtrail", "ecs"]:
        """How events out of files are read, which have no tag: as "*" says; who names files wants them to be read."""
        for pattern, view in self.views:
            if pattern == "*":
                return "auto" if view == "none" else view
        return "auto"

    def remembering(self) -> Callable[[str], View]:
        """What `view` says, which recalls it of the tags that came last."""
        recalled = functools.lru_cache(MOST_TAGS)(self.view)
        return lambda tag: recalled(tag) if len(tag) <= LONGEST_TAG else self.view(tag)
