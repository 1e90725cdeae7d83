"""What servers ask for beside their address."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Access:
    """Overrides the user and the password in the address; the files are in PEM.

    ``ca`` holds roots beside those of the system. Sentinels have a user and a password of their own, or none.
    """

    username: str = ""
    password: bytes | None = field(default=None, repr=False)
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    verify: bool = True
    sentinel_username: str = ""
    sentinel_password: bytes | None = field(default=None, repr=False)
