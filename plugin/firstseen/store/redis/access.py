"""What servers ask for beside their address."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Access:
    """Overrides the user and the password in the address; the files are in PEM, ``ca`` None for the system's roots."""

    username: str = ""
    password: bytes | None = field(default=None, repr=False)
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    verify: bool = True
