"""The parts of an agent for tests of what is shown of it: all of them are real, and nothing moves by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from firstseen import config
from firstseen.configuredrules import configured_policy, configured_rules
from firstseen.engine import Engine
from firstseen.forward.buffers import Pool
from firstseen.geoip import GeoIp
from firstseen.metrics import Counts, Durations, Reloads
from firstseen.net.clients import Clients
from firstseen.net.downstream import Target
from firstseen.net.forwarder import Forwarder
from firstseen.net.lane import Backoff
from firstseen.net.listener import Listener
from firstseen.notation import Endpoint
from firstseen.status.latest import Latest
from firstseen.status.observer import Agency
from firstseen.store.base import Solitude
from firstseen.store.lmdb import LmdbStore
from support.rulebook import rule_text

NOW_MS = 1_790_000_000_000


def now_ms() -> int:
    return NOW_MS


@asynccontextmanager
async def agency(folder: Path, settings: str = "", rule: str | None = None) -> AsyncIterator[Agency]:
    """An agent with one rule that does not run; ``settings`` is TOML, ``rule`` another rule."""
    (folder / "rules").mkdir(exist_ok=True)
    (folder / "rules/a.toml").write_text(rule_text() if rule is None else rule)
    file = folder / "firstseen.toml"
    file.write_text(f'[rules]\npaths = ["rules"]\n{settings}')
    given = config.load(file)
    counts, clients = Counts(), Clients(asyncio.get_running_loop().time)
    store = LmdbStore.open(folder / "state", 1 << 22, durable=False)
    engine = Engine(configured_rules(given, NOW_MS, GeoIp()), store, counts, now_ms, policy=configured_policy(given))
    listener = Listener(
        pool=Pool(),
        max_frame=1 << 20,
        max_in_flight=1 << 20,
        clients=clients,
        handle=lambda ticket: None,
        refuse=lambda unreadable: None,
        paused=lambda: None,
    )
    servers = [Target(Endpoint("192.0.2.1:24224"), True, 60.0)]
    try:
        yield Agency(
            counts=counts,
            durations=Durations(),
            engine=engine,
            reloads=Reloads(loaded_ms=NOW_MS),
            store=store,
            solitude=Solitude,
            forwarder=Forwarder(servers, [], lambda: Backoff(lambda: 1.0), lambda count: None),
            listener=listener,
            latest=Latest(),
            ack_timeout_s=60.0,
            lines_lost=lambda: 3,
        )
    finally:
        store.close()
