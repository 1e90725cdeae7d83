"""The smaller tables of the configuration, which stand under settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from firstseen.config.secret import Secret, SecretFile, either
from firstseen.config.section import Section, come_together
from firstseen.notation import Endpoint, HostName


class User(Section, frozen=True, kw_only=True):
    """A client that may connect."""

    name: Annotated[str, Meta(min_length=1, description="Its user name.")]
    password: Annotated[Secret | None, Meta(description="Its password.")] = None
    password_file: Annotated[SecretFile | None, Meta(description="A file with its password.")] = None

    def __post_init__(self) -> None:
        if (self.password is None) == (self.password_file is None):
            raise ValueError("needs a password or a password_file, and not both")

    @property
    def secret(self) -> bytes:
        """The password, wherever it is."""
        return either(self.password, self.password_file) or b""


class ServerTls(Section, frozen=True, kw_only=True):
    """What the agent shows to clients on ``tls://`` endpoints, and asks of them."""

    cert: Annotated[
        Path | None,
        Meta(
            description="Certificate of the agent for tls:// endpoints, in PEM, those that lead to its root behind it."
        ),
    ] = None
    key: Annotated[Path | None, Meta(description="Private key of this certificate, in PEM, not encrypted.")] = None
    client_ca: Annotated[
        Path | None,
        Meta(
            description="Roots, in PEM, of the certificates that clients must show then. Without it they need to show"
            " none."
        ),
    ] = None

    def __post_init__(self) -> None:
        come_together(self.cert, self.key)
        if self.client_ca and not self.cert:
            raise ValueError("client_ca needs a cert and a key")


class ClientTls(Section, frozen=True, kw_only=True):
    """What the agent asks of ``tls://`` servers, and shows to them."""

    ca: Annotated[
        Path | None, Meta(description="Roots, in PEM, that tls:// servers are verified with; else those of the system.")
    ] = None
    cert: Annotated[Path | None, Meta(description="Certificate to show to servers that ask for one, in PEM.")] = None
    key: Annotated[Path | None, Meta(description="Private key of this certificate, in PEM, not encrypted.")] = None
    verify: Annotated[
        bool,
        Meta(
            description="Verify the certificates of servers, and that they were issued to the server's host name."
            " Without this anybody on the way can read and change everything."
        ),
    ] = True
    server_name: Annotated[
        HostName | None,
        Meta(description="Host name to ask for and to verify, where it is not the one in the server's address."),
    ] = None

    def __post_init__(self) -> None:
        come_together(self.cert, self.key)


class Server(Section, frozen=True, kw_only=True):
    """A server to deliver to."""

    SHORTHAND: ClassVar[str] = "address"

    address: Annotated[Endpoint, Meta(description="Where it is.")]
    entries: Annotated[Literal["as_received", "v1"], Meta(description="The form of entries it is sent.")] = (
        "as_received"
    )

    def __str__(self) -> str:
        return str(self.address)
