from pathlib import Path

import pytest

from firstseen.config import ClientTls, Config, Input, Output, Server, ServerTls, User
from firstseen.config.secret import Secret
from firstseen.config.sections import SECTIONS
from firstseen.notation import Endpoint


def test_nothing_is_secret_by_default():
    config = Config(path=Path("firstseen.toml"))
    assert (config.input.key, dict(config.input.passwords)) == (None, {})
    assert (config.output.key, config.output.secret) == (None, b"")


def test_secrets_wherever_they_are():
    alice = User(name="alice", password=Secret("pw"))
    assert alice.secret == b"pw"
    assert Input(shared_key=Secret("k"), users=(alice,)).passwords == {"alice": b"pw"}
    assert Input(shared_key=Secret("k")).key == b"k"
    assert (Output(shared_key=Secret("k")).key, Output(password=Secret("p")).secret) == (b"k", b"p")


def test_a_user_has_one_password():
    with pytest.raises(ValueError, match="needs a password or a password_file, and not both"):
        User(name="alice")


@pytest.mark.parametrize("table", [ServerTls, ClientTls])
@pytest.mark.parametrize("half", ["cert", "key"])
def test_a_certificate_has_its_key(table, half):
    with pytest.raises(ValueError, match="cert and key come together"):
        table(**{half: Path("a.pem")})


def test_clients_cannot_be_asked_for_certificates_without_tls():
    with pytest.raises(ValueError, match="client_ca needs a cert and a key"):
        ServerTls(client_ca=Path("ca.pem"))


def test_a_server_prints_as_its_address():
    server = Server(address=Endpoint("tls://a:1"))
    assert (str(server), server.entries) == ("tls://a:1", "as_received")


def test_every_section_says_what_it_is():
    assert all(section.__doc__ and section.__doc__.endswith(".") for section in SECTIONS.values())
