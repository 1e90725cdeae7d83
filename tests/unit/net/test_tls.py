"""Handshakes in memory, with certificates made on the spot."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from firstseen import config
from firstseen.errors import ConfigError
from firstseen.net.tls import Contexts, TlsError, client_context, contexts, server_context
from support.authority import Authority

HOST = "collector.example.com"


@pytest.fixture
def root(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "one")


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str | None = HOST) -> tuple[str | None, bool]:
    """The version of TLS both agree on, and whether the client showed a certificate; raises `ssl.SSLError`."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    accepted = server.wrap_bio(to_server, to_client, server_side=True)
    opened = client.wrap_bio(to_client, to_server, server_hostname=name)
    waiting = [opened, accepted]
    while waiting:
        end = waiting.pop(0)
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            waiting.append(end)
    return accepted.version(), accepted.getpeercert(binary_form=True) is not None


def test_a_server_that_is_known(root: Authority) -> None:
    agreed = handshake(server_context(*root.issue(HOST)), client_context(root.file))

    assert agreed == ("TLSv1.3", False)


@pytest.mark.parametrize("side", ["server", "client"])
def test_older_versions(root: Authority, side: str) -> None:
    both = {"server": server_context(*root.issue(HOST)), "client": client_context(root.file)}
    peer = both["client" if side == "server" else "server"]

    peer.maximum_version = ssl.TLSVersion.TLSv1_2

    assert both[side].minimum_version == ssl.TLSVersion.TLSv1_2
    assert handshake(**both) == ("TLSv1.2", False)


def test_a_server_of_another_root_or_name_is_refused(tmp_path: Path, root: Authority) -> None:
    server = server_context(*root.issue(HOST))

    with pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer"):
        handshake(server, client_context(Authority(tmp_path, "two").file))
    with pytest.raises(ssl.SSLCertVerificationError, match="certificate verify failed"):
        handshake(server, client_context())
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        handshake(server, client_context(root.file), "other.example.com")


def test_a_server_is_not_looked_at_where_that_is_turned_off(root: Authority) -> None:
    server = server_context(*root.issue(HOST))

    assert handshake(server, client_context(verify=False), "other.example.com") == ("TLSv1.3", False)
    assert handshake(server, client_context(verify=False), None) == ("TLSv1.3", False)


def test_clients_show_a_certificate_of_the_right_root(tmp_path: Path, root: Authority) -> None:
    clients = Authority(tmp_path, "two")
    server = server_context(*root.issue(HOST), clients.file)

    assert handshake(server, client_context(root.file, *clients.issue("agent.example.com"))) == ("TLSv1.3", True)
    with pytest.raises(ssl.SSLError, match="peer did not return a certificate"):
        handshake(server, client_context(root.file))
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(server, client_context(root.file, *root.issue("agent2.example.com")))


@pytest.mark.parametrize("key_type", list(trustme.KeyType))
def test_the_key_of_another_certificate(root: Authority, key_type: trustme.KeyType) -> None:
    cert, _ = root.issue(HOST)
    _, key = root.issue("other.example.com", key_type=key_type)

    with pytest.raises(TlsError) as caught:
        server_context(cert, key)

    assert str(caught.value) == f"input.tls.key: {key} is not the key of the certificate"


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_an_encrypted_key(root: Authority, form: PrivateFormat) -> None:
    cert, key = root.issue(HOST)
    private = load_pem_private_key(key.read_bytes(), None)
    key.write_bytes(private.private_bytes(Encoding.PEM, form, BestAvailableEncryption(b"passphrase")))

    with pytest.raises(TlsError) as caught:
        client_context(None, cert, key)

    assert (caught.value.setting, str(key) in caught.value.what) == ("output.tls.key", True)
    assert "is encrypted" in caught.value.what


CERTIFICATE = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
KEY = b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"


@pytest.mark.parametrize("content", [b"", b"no PEM", CERTIFICATE, KEY])
def test_files_that_hold_something_else(tmp_path: Path, root: Authority, content: bytes) -> None:
    cert, key = root.issue(HOST)
    odd = tmp_path / "odd.pem"
    odd.write_bytes(content)

    with pytest.raises(TlsError, match=r"^input.tls.cert: .*odd.pem holds no certificate in PEM$"):
        server_context(odd, key)
    with pytest.raises(TlsError, match=r"^input.tls.key: .*odd.pem holds no private key in PEM$"):
        server_context(cert, odd)
    with pytest.raises(TlsError, match=r"^input.tls.client_ca: .*odd.pem holds no certificates in PEM$"):
        server_context(cert, key, odd)
    with pytest.raises(TlsError, match=r"^output.tls.ca: .*odd.pem holds no certificates in PEM$"):
        client_context(odd)


def test_files_that_cannot_be_read(tmp_path: Path, root: Authority) -> None:
    cert, key = root.issue(HOST)

    with pytest.raises(TlsError, match=r"input.tls.key: .*/none cannot be read: No such file or directory"):
        server_context(cert, tmp_path / "none")
    with pytest.raises(TlsError, match=r"output.tls.cert: .* cannot be read: Is a directory"):
        client_context(None, tmp_path, key)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(TlsError, match=r"output.tls.ca: .*pipe cannot be read: it is a named pipe and no file: put"):
        client_context(tmp_path / "pipe")


def loaded(folder: Path, text: str) -> config.Config:
    path = folder / "firstseen.toml"
    path.write_text(text)
    return config.load(path)


def test_from_a_configuration(tmp_path: Path, root: Authority) -> None:
    root.issue(HOST)
    given = f'[input]\nlisten = ["tls://[::1]:0"]\ntls = {{cert = "{HOST}.crt", key = "{HOST}.key"}}\n'
    taken = f'[output]\nservers = ["tls://{HOST}:24224"]\ntls.ca = "one.ca.pem"\n'

    shown = f'[http]\nlisten = "tls://127.0.0.1:0"\ntls = {{cert = "{HOST}.crt", key = "{HOST}.key"}}\n'

    server, client, http = contexts(loaded(tmp_path, given + taken + shown))

    assert server is not None
    assert client is not None
    assert http is not None
    assert handshake(http, client) == ("TLSv1.3", False)
    assert handshake(server, client) == ("TLSv1.3", False)


def test_what_a_shared_state_needs_is_looked_at_as_well(tmp_path: Path, root: Authority) -> None:
    (tmp_path / "odd.pem").write_text("odd")
    shared = '[state]\nurl = "rediss://h"\ntls.ca = "odd.pem"\n'
    with pytest.raises(ConfigError) as caught:
        contexts(loaded(tmp_path, shared))
    (problem,) = caught.value.problems
    assert (problem.line, problem.what) == (3, f"state.tls.ca: {tmp_path / 'odd.pem'} holds no certificates in PEM")
    assert contexts(loaded(tmp_path, shared.replace("odd.pem", str(root.file)))) == (None, None, None)


def test_none_where_nothing_speaks_tls(tmp_path: Path) -> None:
    assert contexts(loaded(tmp_path, "")) == (None, None, None)


@pytest.mark.parametrize(("scheme", "faults"), [("rediss+cluster", ["state.tls.ca"]), ("redis", [])])
def test_the_files_for_the_servers_of_a_state_are_looked_at(tmp_path: Path, scheme: str, faults: list[str]) -> None:
    text = f'[state]\nurl = "{scheme}://{HOST}"\n' + ('tls.ca = "ca.pem"\n' if faults else "")

    found = []
    try:
        contexts(loaded(tmp_path, text))
    except ConfigError as error:
        found = [problem.what.partition(":")[0] for problem in error.problems]

    assert found == faults


def test_a_certificate_for_the_servers_of_a_state(tmp_path: Path, root: Authority) -> None:
    root.issue(HOST)
    shown = f'tls = {{ca = "one.ca.pem", cert = "{HOST}.crt", key = "{HOST}.key"}}\n'
    text = f'[state]\nurl = "rediss://{HOST}"\n{shown}'

    assert contexts(loaded(tmp_path, text)) == (None, None, None)
    (tmp_path / f"{HOST}.key").write_text("no key")
    with pytest.raises(ConfigError, match=r"state.tls.key: .* holds no private key in PEM"):
        contexts(loaded(tmp_path, text))


def test_the_faults_of_both_sides_with_their_lines(tmp_path: Path) -> None:
    given = '[input]\nlisten = ["tls://[::1]:0"]\n[input.tls]\ncert = "a.crt"\nkey = "a.key"\n'
    taken = f'[output]\nstandby = ["tls://{HOST}:24224"]\ntls.ca = "ca.pem"\n'

    shown = '[http]\nlisten = "tls://[::1]:0"\n[http.tls]\ncert = "a.crt"\nkey = "a.key"\n'

    with pytest.raises(ConfigError) as caught:
        contexts(loaded(tmp_path, given + taken + shown))

    assert [(problem.line, problem.what.partition(":")[0]) for problem in caught.value.problems] == [
        (4, "input.tls.cert"),
        (12, "http.tls.cert"),
        (8, "output.tls.ca"),
    ]


def test_a_context_that_is_renewed_while_it_is_in_use(tmp_path: Path, root: Authority) -> None:
    other = Authority(tmp_path, "other")
    (tmp_path / "fresh").mkdir()
    server, client = server_context(*root.issue(HOST)), client_context(root.file)
    before = Contexts(server, client, None)
    assert handshake(server, client) == ("TLSv1.3", False)
    fresh = Authority(tmp_path / "fresh", "fresh")
    before.renew(Contexts(server_context(*fresh.issue(HOST)), None, server_context(*other.issue("x"))))
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(server, client)
    before.renew(Contexts(None, client_context(fresh.file), None))
    assert handshake(server, client) == ("TLSv1.3", False)
    again = Authority(tmp_path / "fresh", "again")
    (tmp_path / "fresh" / f"{HOST}.crt").unlink()
    (tmp_path / "fresh" / f"{HOST}.key").unlink()
    before.renew(Contexts(server_context(*again.issue(HOST)), client_context(again.file), None))
    assert handshake(server, client) == ("TLSv1.3", False)
