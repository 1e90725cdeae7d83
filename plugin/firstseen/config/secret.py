"""Keys and passwords: they print as stars, wherever they are printed, and are told apart from ordinary text by type."""

from __future__ import annotations

import errno
from pathlib import Path

from firstseen import plainfile

_STARS = "********"


class Secret:
    """A key or a password as it stands in the configuration.

    Raises `ValueError` for one with a NUL: Fluent Bit keeps its secrets as C strings, and would end it there.
    """

    __slots__ = ("_bytes",)

    def __init__(self, text: str) -> None:
        # Variables of the environment that are not UTF-8 come in as surrogates, and leave as the bytes they were.
        self._bytes = _checked(text.encode("utf-8", "surrogateescape"))

    @property
    def bytes(self) -> bytes:
        """The secret itself."""
        return self._bytes

    def __str__(self) -> str:
        return _STARS

    def __repr__(self) -> str:
        return f"{type(self).__name__}({_STARS})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._bytes == self._bytes

    def __hash__(self) -> int:
        return hash(self._bytes)


class SecretFile:
    """A key or a password in a file of its own, which is read at once; prints as the path of the file.

    One newline at the end is not part of the secret. Raises `ValueError` for a file that cannot be read, is empty, is
    larger than 64 KiB, or holds a NUL.
    """

    __slots__ = ("_bytes", "path")

    MAX_BYTES = 64 << 10

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            content = plainfile.read(path, self.MAX_BYTES)
        except OSError as error:
            if error.errno == errno.EFBIG:
                raise ValueError(f"{path} is larger than {self.MAX_BYTES} bytes, and no secret") from None
            raise ValueError(f"{path} cannot be read: {error.strerror}") from error
        if content.endswith(b"\n"):
            content = content[:-1].removesuffix(b"\r")
        if not content:
            raise ValueError(f"{path} is empty")
        self._bytes = _checked(content)

    @property
    def bytes(self) -> bytes:
        """The secret itself."""
        return self._bytes

    def __str__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        return f"SecretFile({str(self.path)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretFile) and (other.path, other._bytes) == (self.path, self._bytes)

    def __hash__(self) -> int:
        return hash((self.path, self._bytes))


def either(written: Secret | None, file: SecretFile | None) -> bytes | None:
    """The secret, wherever it is; None where there is none."""
    given = written or file
    return None if given is None else given.bytes


def _checked(secret: bytes) -> bytes:
    if b"\0" in secret:
        raise ValueError("a NUL cannot be part of a secret: Fluent Bit takes it for the end")
    return secret
