"""What was logged in a test, as names and fields."""

from __future__ import annotations

from typing import Any

import pytest


def events(caplog: pytest.LogCaptureFixture, name: str | None = None) -> list[dict[str, Any]]:
    """Every event of firstseen that was logged, or those of one name, with their fields; None for one left out."""
    return [
        {"event": record.getMessage(), "level": record.levelname.lower(), **vars(record).get("firstseen_fields", {})}
        for record in caplog.records
        if record.name.startswith("firstseen") and name in (None, record.getMessage())
    ]
