"""TLS for both ends, from certificates and keys in PEM files: 1.2 and later, verified unless that was turned off.

Whatever is wrong with a file is a `TlsError` that names the setting it stands under; nothing asks for a passphrase.
"""

from __future__ import annotations

import functools
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from firstseen import config, plainfile
from firstseen.errors import ConfigError, FirstseenError, Problem


class TlsError(FirstseenError):
    """A certificate or key cannot be used: the name of its ``setting``, and ``what`` is wrong with which file."""

    def __init__(self, setting: str, what: str) -> None:
        super().__init__(f"{setting}: {what}")
        self.setting = setting
        self.what = what


class Context(ssl.SSLContext):
    """A context that may be renewed while it is in use: connections from then on are made of the ``fresh`` one."""

    fresh: ssl.SSLContext | None = None

    def wrap_bio(self, *given: Any, **more: Any) -> ssl.SSLObject:
        """Called by the event loop for each connection."""
        return super().wrap_bio(*given, **more) if self.fresh is None else self.fresh.wrap_bio(*given, **more)


class Contexts(NamedTuple):
    """For the side of clients, the side of servers, and HTTP; None where nothing speaks TLS."""

    server: Context | None
    client: Context | None
    http: Context | None

    def renew(self, fresh: Contexts) -> None:
        """Make connections as these say from now on, where TLS is spoken already; those that stand go on as before."""
        for old, new in zip(self, fresh, strict=True):
            if old is not None and new is not None:
                old.fresh = new


def contexts(settings: config.Config) -> Contexts:
    """What ``tls://`` endpoints need; raises `ConfigError` with what is wrong on any side, and on which line.

    What a shared state needs is looked at likewise.
    """
    taken = settings.output.tls
    problems: list[Problem] = []
    servers: dict[str, Context] = {}
    client = None
    for section, given in (("input.tls", settings.input.tls), ("http.tls", settings.http.tls)):
        try:
            if given.cert and given.key:
                servers[section] = server_context(given.cert, given.key, given.client_ca, section)
        except TlsError as error:
            problems.append(config.located(settings, error.setting, error.what))
    try:
        if any(each.address.tls for each in (*settings.output.servers, *settings.output.standby)):
            client = client_context(taken.ca, taken.cert, taken.key, verify=taken.verify)
    except TlsError as error:
        problems.append(config.located(settings, error.setting, error.what))
    try:
        if settings.state.url is not None and settings.state.url.tls:
            asked = settings.state.tls  # its client makes a context of its own of these for each connection
            client_context(asked.ca, asked.cert, asked.key, verify=asked.verify, section="state.tls")
    except TlsError as error:
        problems.append(config.located(settings, error.setting, error.what))
    if problems:
        raise ConfigError(problems)
    return Contexts(servers.get("input.tls"), client, servers.get("http.tls"))


def server_context(cert: Path, key: Path, client_ca: Path | None = None, section: str = "input.tls") -> Context:
    """For accepting connections as the owner of ``cert`` and ``key``; raises `TlsError`.

    With ``client_ca`` a client without a certificate that leads to it is refused. ``section`` is where all three are
    set.
    """
    context = Context(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION  # a client could have us negotiate for ever
    _identify(context, section, cert, key)
    if client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        _trust(context, f"{section}.client_ca", client_ca)
    return context


def client_context(
    ca: Path | None = None,
    cert: Path | None = None,
    key: Path | None = None,
    *,
    verify: bool = True,
    section: str = "output.tls",
) -> Context:
    """For connecting, with a certificate if ``cert`` and ``key`` are given; raises `TlsError`, of this ``section``.

    The server must show a certificate that leads to ``ca`` (to one of the system's roots, without it) and was issued
    to the ``server_hostname`` that the connection is opened with. With ``verify`` off, neither is looked at: the
    connection is encrypted, and nobody knows to whom. The settings stand in ``section``.
    """
    context = Context(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if ca is not None:
        _trust(context, f"{section}.ca", ca)
    elif verify:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    if cert is not None and key is not None:
        _identify(context, section, cert, key)
    return context


def _trust(context: ssl.SSLContext, setting: str, file: Path) -> None:
    _using(setting, file, lambda: context.load_verify_locations(file), "holds no certificates in PEM")


def _identify(context: ssl.SSLContext, section: str, cert: Path, key: Path) -> None:
    """Have ``context`` show ``cert``. OpenSSL does not say which of two files it means: they are looked at in turn."""
    parsed = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _using(f"{section}.cert", cert, lambda: parsed.load_verify_locations(cert), "holds no certificate in PEM")

    def passphrase() -> NoReturn:
        raise TlsError(f"{section}.key", f"{key} is encrypted: write it without a passphrase, for this user to read")

    load = functools.partial(context.load_cert_chain, cert, key, passphrase)
    _using(f"{section}.key", key, load, "holds no private key in PEM")


_NOTHING_THERE = "NO_CERTIFICATE_OR_CRL_FOUND"
_NOT_THE_KEY = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED")
"""OpenSSL's words for a key that belongs to another certificate; the last, where it is of another algorithm."""


def _using(setting: str, file: Path, load: Callable[[], None], otherwise: str) -> None:
    """``load`` from a file of this setting; ``otherwise`` is what an error means for which OpenSSL gives no reason."""
    try:
        plainfile.read(file)
        load()
    except ssl.SSLError as error:
        raise TlsError(setting, f"{file} {_in_words(error.reason, otherwise)}") from error
    except OSError as error:
        raise TlsError(setting, f"{file} cannot be read: {error.strerror}") from error


def _in_words(reason: str | None, otherwise: str) -> str:
    if not reason or reason == _NOTHING_THERE:
        return otherwise
    if reason in _NOT_THE_KEY:
        return "is not the key of the certificate"
    return f"cannot be used: {reason.lower().replace('_', ' ')}"
