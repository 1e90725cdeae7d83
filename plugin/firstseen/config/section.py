"""What every section of the configuration is: a table of settings, each with its type, its default and its description.

Under a setting that may be left empty, None stands for "". A ``title`` says in words what its type alone does not.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from msgspec import Struct


class Section(Struct, frozen=True, kw_only=True):
    """A table of the file. The docstring of each section is its description.

    ``SHORTHAND`` is the setting that a string in place of the table stands for, where there is one. What is wrong
    between the settings of a smaller table is a `ValueError` when it is built.
    """

    SHORTHAND: ClassVar[str] = ""


def come_together(cert: Path | None, key: Path | None) -> None:
    """Raises `ValueError` where a certificate has no key, or a key no certificate."""
    if (cert is None) != (key is None):
        raise ValueError("cert and key come together")
