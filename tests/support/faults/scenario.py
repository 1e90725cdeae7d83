"""The settings under which faults are played: what stands around the agent, and how the agent is configured."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from support.agent import FIRST_RULE
from support.authority import Authority

KEY = "a key that both ends know"


@dataclass(frozen=True, slots=True)
class Scenario:
    """``window`` is how many unacked chunks a channel has on its way, ``servers`` counts those that stand by, too."""

    name: str
    channels: int
    window: int
    servers: int = 1
    standby: int = 0
    connections: int = 1
    secure: bool = False
    quarantine: bool = False
    repeat_window: str = "2m"
    max_age: str = "1h"
    in_flight: str = "64MiB"


SCENARIOS = (
    Scenario("plain", channels=5, window=6),
    Scenario("several servers", channels=6, window=3, servers=3, standby=1, connections=2, max_age="2s"),
    Scenario("TLS and shared keys", channels=4, window=4, servers=2, secure=True, in_flight="1MiB"),
    Scenario("quarantine, no memory of repeats", channels=3, window=8, servers=2, quarantine=True, repeat_window="0s"),
)


@dataclass(frozen=True, slots=True)
class Identity:
    """Certificates for both ends of both connections, all of one root."""

    ca: Path
    cert: Path
    key: Path

    @classmethod
    def made(cls, folder: Path) -> Identity:
        authority = Authority(folder, "root")
        pem = authority.issue("127.0.0.1")
        return cls(authority.file, pem.cert, pem.key)


def configuration(
    scenario: Scenario, ports: Sequence[int], state: Path, quarantine: Path, identity: Identity | None
) -> str:
    """The agent's configuration file; patience is short in it, so that faults do not take long."""
    scheme = "tls://" if identity else ""
    servers = [f"{scheme}127.0.0.1:{port}" for port in ports]
    first = len(servers) - scenario.standby
    lines = [
        "[input]",
        f"listen = [{json.dumps(scheme + '127.0.0.1:0')}]",
        'frame_timeout = "1s"',
        'max_frame = "1MiB"',
        f'max_in_flight = "{scenario.in_flight}"',
        f'repeat_window = "{scenario.repeat_window}"',
        f"quarantine = {json.dumps(str(quarantine) if scenario.quarantine else '')}",
        "[output]",
        f"servers = {json.dumps(servers[:first])}",
        f"standby = {json.dumps(servers[first:])}",
        f"connections = {scenario.connections}",
        'ack_timeout = "1s"',
        f'connection_max_age = "{scenario.max_age}"',
        "[rules]",
        f"paths = [{json.dumps(str(FIRST_RULE))}]",
        "[state]",
        f"path = {json.dumps(str(state))}",
        'map_size = "64MiB"',
        "[http]",
        'listen = ""',
        "[log]",
        'format = "json"',
    ]
    if identity is not None:
        lines += [
            "[input.tls]",
            f"cert = {json.dumps(str(identity.cert))}",
            f"key = {json.dumps(str(identity.key))}",
            "[output.tls]",
            f"ca = {json.dumps(str(identity.ca))}",
        ]
        for section in ("[input]", "[output]"):
            lines.insert(lines.index(section) + 1, f"shared_key = {json.dumps(KEY)}")
    return "\n".join(lines) + "\n"
