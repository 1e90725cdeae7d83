"""Lines for a person: plain text, with colours only where they are seen."""

from __future__ import annotations

import os
import sys

LABEL_WIDTH = 12


def _painted(text: str, code: str) -> str:
    coloured = sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    return f"\033[{code}m{text}\033[0m" if coloured else text


def heading(text: str) -> None:
    print(f"\n{_painted(text, '1')}")


def gap() -> None:
    print()


def line(label: str, text: str) -> None:
    print(f"  {_painted(label.ljust(LABEL_WIDTH), '2')} {text}")


def alert(time: str, rule: str, who: str, why: str) -> None:
    print(f"\n  {_painted('ALERT', '1;31')} {time}  {_painted(rule, '1')}")
    print(f"        {who}\n        {why}")


def good(text: str) -> None:
    print(f"\n{_painted('OK', '1;32')}  {text}")


def bad(text: str) -> None:
    print(f"\n{_painted('FAILED', '1;31')}  {text}")
