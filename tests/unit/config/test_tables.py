from pathlib import Path

import pytest

from firstseen.config import ClientTls, Server, ServerTls, User
from firstseen.notation import Endpoint


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
