"""Certificates made on the spot: a root, and what it issues, as PEM files."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import trustme


class Pem(NamedTuple):
    """The files of one certificate."""

    cert: Path
    key: Path


class Certificates(NamedTuple):
    """One root, and what it issued: for a server at 127.0.0.1 and localhost, and for a client."""

    root: Path
    server: Pem
    client: Pem


class Authority:
    """A root and what it issues, written to a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._root = trustme.CA()
        self.file = folder / f"{name}.ca.pem"
        self._root.cert_pem.write_to_path(str(self.file))

    def issue(
        self,
        name: str,
        *others: str,
        key_type: trustme.KeyType = trustme.KeyType.ECDSA,
        not_before: datetime | None = None,
        not_after: datetime | None = None,
    ) -> Pem:
        issued = self._root.issue_cert(name, *others, key_type=key_type, not_before=not_before, not_after=not_after)
        pem = Pem(self._folder / f"{name}.crt", self._folder / f"{name}.key")
        for part in issued.cert_chain_pems:
            part.write_to_path(str(pem.cert), append=True)
        issued.private_key_pem.write_to_path(str(pem.key))
        return pem
