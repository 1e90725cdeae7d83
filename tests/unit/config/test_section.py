from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from firstseen.config.section import Section, come_together


class Sample(Section, frozen=True, kw_only=True):
    """A sample."""

    name: str = "n"


def test_a_section_cannot_be_changed_and_its_settings_are_named() -> None:
    with pytest.raises(AttributeError):
        Sample().name = "m"
    with pytest.raises(TypeError):
        Sample("m")
    assert msgspec.structs.asdict(Sample(name="m")) == {"name": "m"}
    assert Sample.SHORTHAND == ""


def test_a_certificate_and_its_key_come_together() -> None:
    come_together(None, None)
    come_together(Path("cert"), Path("key"))
    for pair in ((Path("cert"), None), (None, Path("key"))):
        with pytest.raises(ValueError, match="cert and key come together"):
            come_together(*pair)
