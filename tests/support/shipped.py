"""The configurations for other programs in ``conf/``: where they are, and what is in them for keys and TLS."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from support.authority import Certificates

CONF = Path(__file__).parents[2] / "conf"

SECRETS = {"SHARED_KEY": "a key", "PASSWORD": "secret"}

_SETTING = re.compile(
    r"""^ (\ *) \#\  (\ * (?:
        (?: self_hostname | shared_key | username | password | security\.users | user_auth | name
          | tls | tls[._]\w+ | transport | cert_path | private_key_path | client_cert_auth | ca_path ) :? \  .*
        | </? (?: security | user | transport ) (?:\ tls)? >
    )) $""",
    re.VERBOSE | re.MULTILINE | re.IGNORECASE,
)


def secured(file: Path, folder: Path) -> Path:
    """The same file in ``folder``, with everything that its comments say about keys, users and TLS turned on."""
    made = folder / file.name
    text, count = _SETTING.subn(r"\1\2", file.read_text())
    assert count > 5, f"{file} says little about keys and TLS"
    made.write_text(text)
    return made


def lay_out(certificates: Certificates, folder: Path) -> dict[str, str]:
    """Puts the certificates where the files look for them; returns the variables to set."""
    shutil.copy(certificates.root, folder / "ca.pem")
    for name, pem in (("server", certificates.server), ("client", certificates.client)):
        shutil.copy(pem.cert, folder / f"{name}.crt")
        shutil.copy(pem.key, folder / f"{name}.key")
    return SECRETS | {"CERTS": str(folder)}


def our_side(certificates: Certificates) -> str:
    """The settings of the agent that fit, as `support.agent.write_config` takes them."""
    server, client = certificates.server, certificates.client
    return "\n".join(
        [
            'input: shared_key = "a key"',
            'input: users = [{name = "alice", password = "secret"}]',
            f'input: tls.cert = "{server.cert}"',
            f'input: tls.key = "{server.key}"',
            f'input: tls.client_ca = "{certificates.root}"',
            'output: shared_key = "a key"',
            'output: username = "alice"',
            'output: password = "secret"',
            f'output: tls.ca = "{certificates.root}"',
            f'output: tls.cert = "{client.cert}"',
            f'output: tls.key = "{client.key}"',
        ]
    )
