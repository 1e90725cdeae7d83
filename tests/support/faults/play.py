"""Draws faults from a seed and lets them happen, several at a time, while records flow; then lets all come to rest."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

from support.faults.downstream import Ack
from support.faults.ledger import Counts, Ledger
from support.faults.proxy import How, Proxy
from support.faults.scenario import SCENARIOS, Scenario
from support.faults.stage import Server, Stage

AT_ONCE = 4
"""Faults that may overlap."""

FAULTS_PER_SCENE = 60
MOST_STALLED_S = 1.5
"""Longer than the agent waits for an ack, or for the rest of a frame."""

MOST_DOWN_S = 0.4
CUT_PATIENCE_S = 0.5
LINK_PATIENCE_S = 1.0
MOST_WORK_S = 0.15
"""How long records flow through an agent, at the most, before it is killed."""

FLOW_PATIENCE_S = 0.3
"""How long the next fault waits for a chunk to get through; where none ever does, the agent tries ever more rarely."""

SETTLE_S = 40.0
"""Longer than the agent ever waits before it tries again."""

BURST = 150
"""First sightings in one chunk, for a disk that is full: the state has to grow for them."""

Fault = Callable[[Stage, random.Random], Awaitable[bool]]
"""Lets it happen and mends it; False if there was nothing to break."""


def pause(rng: random.Random, most_s: float) -> float:
    """Mostly short."""
    return most_s * rng.random() ** 2


async def kill_agent(stage: Stage, rng: random.Random) -> bool:
    async with stage.agent_lock:
        # In the middle of its work, and not always at its start: one kill may wait for the end of another.
        await stage.one_acked(FLOW_PATIENCE_S)
        await asyncio.sleep(rng.uniform(0, MOST_WORK_S))
        await stage.kill_agent()
        if rng.random() < 0.2:  # and again before it is up
            await stage.start_agent(wait=False)
            await asyncio.sleep(rng.uniform(0, 0.4))
            await stage.kill_agent(may_have_ended=True)
        await stage.start_agent()
    return True


async def kill_upstream(stage: Stage, rng: random.Random) -> bool:
    async with stage.upstream_lock:
        await stage.kill_upstream()
        await asyncio.sleep(pause(rng, MOST_DOWN_S))
        await stage.start_upstream()
    return True


async def kill_downstream(stage: Stage, rng: random.Random) -> bool:
    server = rng.choice(stage.servers)
    async with server.lock:
        await server.kill()
        await asyncio.sleep(pause(rng, MOST_DOWN_S))
        await server.start()
    return True


async def freeze_upstream(stage: Stage, rng: random.Random) -> bool:
    async with stage.upstream_lock:
        assert stage.upstream is not None
        stage.upstream.freeze()
        await asyncio.sleep(pause(rng, MOST_STALLED_S))
        stage.upstream.thaw()
    return True


async def freeze_downstream(stage: Stage, rng: random.Random) -> bool:
    server = rng.choice(stage.servers)
    async with server.lock:
        assert server.child is not None
        server.child.freeze()
        await asyncio.sleep(pause(rng, MOST_STALLED_S))
        server.child.thaw()
    return True


def some_proxy(stage: Stage, rng: random.Random, *, upstream: bool) -> Proxy:
    if upstream:
        return stage.proxy
    proxies = [server.proxy for server in stage.servers]
    return rng.choice([proxy for proxy in proxies if proxy.is_used] or proxies)


def cut(how: How, *, upstream: bool) -> Fault:
    async def fault(stage: Stage, rng: random.Random) -> bool:
        size = int(10 ** rng.uniform(0, 5)) - 1
        proxy, way = some_proxy(stage, rng, upstream=upstream), rng.randrange(2)
        try:
            link = await asyncio.wait_for(proxy.any_link(rng), LINK_PATIENCE_S)
        except TimeoutError:
            return False
        # Acks are few bytes, and what carries them is cut among them.
        towards_server = way == 0
        await link.cut(link.ways[way], size if towards_server else size % 200, how, CUT_PATIENCE_S)
        return True

    return fault


def stall(*, upstream: bool) -> Fault:
    async def fault(stage: Stage, rng: random.Random) -> bool:
        proxy, way = some_proxy(stage, rng, upstream=upstream), rng.randrange(2)
        try:
            link = await asyncio.wait_for(proxy.any_link(rng), LINK_PATIENCE_S)
        except TimeoutError:
            return False
        await link.stall(link.ways[way], pause(rng, MOST_STALLED_S))
        return True

    return fault


def spoil(ack: Ack) -> Fault:
    async def fault(stage: Stage, rng: random.Random) -> bool:
        server = rng.choice([server for server in stage.servers if server.proxy.is_used] or stage.servers)
        return await spoiled(server, ack, pause(rng, MOST_STALLED_S))

    return fault


async def spoiled(server: Server, ack: Ack, seconds: float) -> bool:
    before = server.acks_spoiled[ack]
    async with server.lock:
        if server.child is None:
            return False
        server.child.tell(ack=ack, seconds=seconds)
    try:
        async with asyncio.timeout(LINK_PATIENCE_S):
            while server.acks_spoiled[ack] == before:
                server.spoiled.clear()
                await server.spoiled.wait()
    except TimeoutError:
        return False
    return True


async def fill_disk(stage: Stage, rng: random.Random) -> bool:
    disk = stage.disk
    if disk is None or not disk.has_room.is_set():
        return False
    disk.fill()
    for _ in range(rng.randint(1, 3)):
        stage.feed_newcomers(BURST)
    await asyncio.sleep(pause(rng, MOST_STALLED_S))
    disk.empty()
    return True


FAULTS: dict[str, tuple[int, Fault]] = {
    "agent killed": (5, kill_agent),
    "upstream killed": (5, kill_upstream),
    "downstream killed": (8, kill_downstream),
    "upstream frozen": (3, freeze_upstream),
    "downstream frozen": (4, freeze_downstream),
    "disk full": (4, fill_disk),
    **{f"upstream connection {how.value}": (6, cut(how, upstream=True)) for how in How},
    **{f"downstream connection {how.value}": (6, cut(how, upstream=False)) for how in How},
    "upstream connection stalled": (4, stall(upstream=True)),
    "downstream connection stalled": (4, stall(upstream=False)),
    **{f"ack {ack.value}": (2, spoil(ack)) for ack in Ack},
}
"""Each kind with its weight."""


@dataclass(slots=True)
class Report:
    """What one scene came to, or all of them."""

    faults: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    counts: Counts = field(default_factory=Counts)
    problems: list[str] = field(default_factory=list)
    no_disk: str = ""
    played_s: float = 0.0
    settled_s: float = 0.0

    def add(self, other: Report) -> None:
        self.faults += other.faults
        self.events += other.events
        self.counts += other.counts
        self.problems += other.problems
        self.no_disk = self.no_disk or other.no_disk


async def play(scenario: Scenario, faults: int, seed: str, folder: Path, only: Collection[str] = FAULTS) -> Report:
    """One scene of at least so many faults, of the kinds in ``only``, in a folder of its own."""
    rng = random.Random(seed)
    ledger = Ledger()
    report = Report()
    async with Stage(scenario, folder, rng, ledger) as stage:
        possible = set(only) if stage.disk is not None else set(only) - {"disk full"}
        kinds = {kind: weight for kind, (weight, _) in FAULTS.items() if kind in possible}
        if not kinds:
            raise ValueError(f"there is nothing to play: {stage.no_disk}")
        places = asyncio.Semaphore(AT_ONCE)

        async def happen(kind: str, own: random.Random) -> None:
            try:
                report.faults[kind] += await FAULTS[kind][1](stage, own)
            finally:
                places.release()

        start = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            while report.faults.total() < faults:
                stage.feed(rng.randint(1, 6))
                kind = rng.choices(list(kinds), list(kinds.values()))[0]
                await places.acquire()
                tasks.create_task(happen(kind, random.Random(rng.random())))
                await asyncio.sleep(rng.uniform(0, 0.05))
                await stage.one_acked(FLOW_PATIENCE_S)
        rest = time.monotonic()
        report.played_s = rest - start
        if not await stage.all_acked(SETTLE_S):
            report.problems.append(f"nothing is acked any more; {len(ledger.unacked())} chunks are not")
        report.settled_s = time.monotonic() - rest
        await stage.stop_agent()
        stage.close_books()
        report.events, report.no_disk = stage.events, stage.no_disk
        report.problems += stage.problems
    verdict = ledger.verdict()
    report.counts = verdict.counts
    report.problems += verdict.problems
    return report


def scenes(faults: int, seed: int) -> list[tuple[Scenario, int, str]]:
    """(scenario, faults, seed) of each scene, so that all scenarios get their share of ``faults``."""
    number = max(len(SCENARIOS), -(-faults // FAULTS_PER_SCENE))
    share = -(-faults // number)
    return [(SCENARIOS[n % len(SCENARIOS)], share, f"{seed}/{n}") for n in range(number)]
