"""Numbers and times as a page says them: short, with their unit, and never more exact than anybody wants to know."""

from __future__ import annotations

from firstseen.notation import in_units

NOTHING = "–"
"""In place of what is not there."""


def number(value: int) -> str:
    """``1,234,567``."""
    return f"{value:,}"


def several(count: int, one: str, many: str | None = None) -> str:
    """``1 rule``, ``2 rules``."""
    return f"{number(count)} {one if count == 1 else many or f'{one}s'}"


def rate(per_second: float) -> str:
    """``0``, ``< 0.1``, ``0.4``, ``12``, ``48,300``."""
    if 0 < per_second < 0.05:
        return "< 0.1"
    if 0 < per_second < 10:
        return f"{per_second:.1f}"
    return number(round(per_second))


def size(count: int) -> str:
    """``512 B``, ``20.5 KiB``, ``1.0 GiB``."""
    value, units = float(count), ["B", "KiB", "MiB", "GiB", "TiB"]
    while value >= 1_024 and len(units) > 1:
        value /= 1_024
        units.pop(0)
    return f"{value:.0f} {units[0]}" if units[0] == "B" else f"{value:.1f} {units[0]}"


def percent(share: float) -> str:
    """``0 %``, ``0.03 %``, ``12 %``."""
    hundredths = share * 100
    if 0 < hundredths < 0.01:
        return "< 0.01 %"
    return f"{hundredths:.2f} %" if 0 < hundredths < 1 else f"{hundredths:.0f} %"


def length(seconds: float | None) -> str:
    """``3d 4h``, ``12s``, ``40ms``; nothing where there is none."""
    if seconds is None:
        return NOTHING
    if seconds < 0:
        return f"-{length(-seconds)}"
    return in_units(round(seconds * 1_000))


def ago(seconds: float | None) -> str:
    """``12s ago``, ``just now``."""
    if seconds is None:
        return NOTHING
    return "just now" if seconds < 1 else f"{length(seconds)} ago"


def moment(iso: str | None) -> str:
    """``2026-05-24 09:12:33``, which is UTC as all times on the page."""
    return NOTHING if iso is None else iso[:19].replace("T", " ")


def clock(iso: str | None) -> str:
    """``09:12:33``."""
    return NOTHING if iso is None else iso[11:19]
