"""Everything that a run needs, set up, broken and mended: upstream, proxy, agent, proxies, downstreams, and a disk."""

from __future__ import annotations

import asyncio
import random
import signal
from collections import Counter
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any, Self

from firstseen.store.lmdb import LmdbReader
from support.agent import AgentProcess
from support.faults import journal
from support.faults.disk import Disk
from support.faults.ledger import Ledger
from support.faults.lines import Child
from support.faults.load import Load, digest, taken
from support.faults.proxy import Proxy
from support.faults.scenario import KEY, Identity, Scenario, configuration

DISK_SIZE = 8 << 20
MOST_UNACKED = 12
"""Chunks of a channel that wait in the spool; no more are added then."""

SPEAKS_OF_A_MISTAKE = ("text", "loop_trouble")
"""Events of the agent's log that no fault around it explains."""


class Server:
    """One downstream: its proxy stays, its process comes and goes, each with a journal of its own."""

    def __init__(self, folder: Path, arguments: list[str]) -> None:
        self.proxy = Proxy()
        self.spoiled = asyncio.Event()
        self.acks_spoiled: Counter[str] = Counter()
        self.problems: list[str] = []
        self.lock = asyncio.Lock()
        self._folder = folder
        self._arguments = arguments
        self._lives = 0
        self._up: asyncio.Future[int] | None = None
        self.child: Child | None = None

    @property
    def journals(self) -> list[Path]:
        return sorted(self._folder.glob("*.journal"))

    async def start(self) -> None:
        self._lives += 1
        self._up = asyncio.get_running_loop().create_future()
        arguments = [str(self._folder / f"{self._lives:04}.journal"), *self._arguments]
        self.child = await Child.start("support.faults.downstream", arguments, self._heard)
        ended = asyncio.create_task(self.child.ended())
        await asyncio.wait((self._up, ended), return_when=asyncio.FIRST_COMPLETED)
        if not self._up.done():
            raise RuntimeError(f"a downstream did not start, and ended with {await ended}")
        ended.cancel()
        self.proxy.target = self._up.result()

    async def kill(self) -> None:
        self.proxy.target = None
        if self.child is not None:
            code = await self.child.kill()
            if code != -signal.SIGKILL:
                self.problems.append(f"a downstream ended by itself, with {code}")
            self.child = None

    def _heard(self, told: dict[str, Any]) -> None:
        if "port" in told and self._up is not None:
            self._up.set_result(told["port"])
        if "problem" in told:
            self.problems.append(told["problem"])
        if "spoiled" in told:
            self.acks_spoiled[told["spoiled"]] += 1
            self.spoiled.set()


class Stage:
    """A context: in it, everything runs; behind it, nothing does. Methods break one thing and mend it again."""

    def __init__(self, scenario: Scenario, folder: Path, rng: random.Random, ledger: Ledger) -> None:
        self.scenario = scenario
        self.ledger = ledger
        self.proxy = Proxy()
        self.servers: list[Server] = []
        self.disk: Disk | None = None
        self.no_disk = ""
        self.problems: list[str] = []
        self.events: Counter[str] = Counter()
        self.agent_lock = asyncio.Lock()
        self.upstream_lock = asyncio.Lock()
        self._folder = folder
        self._rng = rng
        self._load = Load(rng, poison=scenario.quarantine)
        self._identity: Identity | None = None
        self._agent: AgentProcess | None = None
        self._upstream: Child | None = None
        self._acked = asyncio.Event()
        self._waiting: dict[int, int] = dict.fromkeys(range(scenario.channels), 0)
        self._channel_of: dict[str, int] = {}
        self._number = 0
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await self._open(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _open(self, stack: AsyncExitStack) -> None:
        folder, scenario = self._folder, self.scenario
        store = folder / "disk"
        try:
            self.disk = Disk(store, DISK_SIZE)
            stack.callback(self.disk.close)
        except OSError as error:
            self.no_disk = str(error)
        if scenario.secure:
            self._identity = Identity.made(folder)
        for channel in self._waiting:
            (folder / "spool" / str(channel)).mkdir(parents=True)
        for number in range(scenario.servers):
            place = folder / f"server-{number}"
            place.mkdir()
            server = Server(place, self._server_arguments())
            self.servers.append(server)
            await server.proxy.open()
            stack.push_async_callback(server.proxy.close)
            stack.push_async_callback(server.kill)
            await server.start()
        await self.proxy.open()
        stack.push_async_callback(self.proxy.close)
        ports = [server.proxy.port for server in self.servers]
        text = configuration(scenario, ports, store / "state", store / "quarantine", self._identity)
        (folder / "firstseen.toml").write_text(text)
        stack.push_async_callback(self._end_agent)
        await self.start_agent()
        stack.push_async_callback(self.kill_upstream)
        await self.start_upstream()

    def _server_arguments(self) -> list[str]:
        if self._identity is None:
            return []
        return ["--key", KEY, "--cert", str(self._identity.cert), "--cert-key", str(self._identity.key)]

    # --- upstream

    async def start_upstream(self) -> None:
        arguments = [str(self._folder / "spool"), str(self.proxy.port), "--window", str(self.scenario.window)]
        if self._identity is not None:
            arguments += ["--key", KEY, "--ca", str(self._identity.ca)]
        self._upstream = await Child.start("support.faults.upstream", arguments, self._heard)

    async def kill_upstream(self) -> None:
        if self._upstream is not None:
            code = await self._upstream.kill()
            if code != -signal.SIGKILL:
                self.problems.append(f"upstream ended by itself, with {code}")
            self._upstream = None

    @property
    def upstream(self) -> Child | None:
        return self._upstream

    def _heard(self, told: dict[str, Any]) -> None:
        if "handed" in told:
            self.ledger.handed_over(told["handed"], told["time"])
        elif "acked" in told:
            if told["acked"] in self._channel_of:
                self._waiting[self._channel_of.pop(told["acked"])] -= 1
            self.ledger.acked(told["acked"], told["time"])
            self._acked.set()
        else:
            self.problems.append(f"upstream got an ack that it did not wait for: {told}")

    def feed(self, chunks: int) -> None:
        """Put so many more chunks into the spool, on any channels that are not full."""
        for _ in range(chunks):
            channel = self._rng.choice(list(self._waiting))
            if self._waiting[channel] < MOST_UNACKED:
                self._spool(channel, newcomers=0)

    def feed_newcomers(self, count: int) -> None:
        self._spool(self._rng.choice(list(self._waiting)), count)

    def _spool(self, channel: int, newcomers: int) -> None:
        chunk, frame = self._load.newcomers(channel, newcomers) if newcomers else self._load.chunk(channel)
        self.ledger.sent(chunk)
        self._number += 1
        self._waiting[channel] += 1
        self._channel_of[chunk.id] = channel
        path = self._folder / "spool" / str(channel) / f"{self._number:06}.chunk"
        path.with_suffix(".half").write_bytes(frame)
        path.with_suffix(".half").rename(path)
        if self._upstream is not None:
            self._upstream.tell(look=channel)

    async def one_acked(self, patience_s: float) -> bool:
        """Wait until a chunk is, for so long at the most; False where none is."""
        self._acked.clear()
        try:
            await asyncio.wait_for(self._acked.wait(), patience_s)
        except TimeoutError:
            return False
        return True

    async def all_acked(self, patience_s: float) -> bool:
        """Wait until every chunk is, as long as the agent runs and at least one is within every ``patience_s``."""
        while self.ledger.unacked():
            if self._agent is None or not self._agent.runs or not await self.one_acked(patience_s):
                return False
        return True

    # --- the agent

    async def start_agent(self, *, wait: bool = True) -> None:
        """Start it, and again where a full disk lets it not."""
        while True:
            self._agent = AgentProcess(self._folder / "firstseen.toml")
            if not wait:
                return
            try:
                self.proxy.target = await asyncio.to_thread(lambda agent: agent.port, self._agent)
            except AssertionError:
                if self.disk is None or not self.disk.was_full:
                    raise
                await self._end_agent()
                await self.disk.has_room.wait()
                self.disk.was_full = False
            else:
                return

    async def kill_agent(self, *, may_have_ended: bool = False) -> None:
        """With ``may_have_ended`` it may have found the disk full when it started."""
        self.proxy.target = None
        assert self._agent is not None
        if not self._agent.runs and not may_have_ended:
            self.problems.append(f"the agent ended by itself: {self._agent.events[-3:]}")
        await self._end_agent()

    async def _end_agent(self) -> None:
        agent, self._agent = self._agent, None
        if agent is not None:
            await asyncio.to_thread(agent.__exit__, None, None, None)
            self._read_log(agent)

    async def stop_agent(self) -> None:
        """In good order; its sums must add up."""
        agent = self._agent
        assert agent is not None
        totals = await asyncio.to_thread(agent.stop)
        if totals["records_in"] != totals["records_out"] + totals["records_rejected"]:
            self.problems.append(f"the sums do not add up: {totals}")
        if totals["matches"] != totals["alerts"] + totals["suppressed"] + totals["learning"]:
            self.problems.append(f"the matches do not add up: {totals}")
        await self._end_agent()

    def _read_log(self, agent: AgentProcess) -> None:
        for event in agent.events:
            self.events[event["event"]] += 1
            if event["event"] in SPEAKS_OF_A_MISTAKE:
                self.problems.append(f"the agent says: {event}")

    # --- the end

    def close_books(self) -> None:
        """Tell the ledger what the servers took, and what quarantine and state hold. The agent has ended."""
        for server in self.servers:
            self.problems += server.problems
            for path in server.journals:
                for time_ns, frame in journal.read(path):
                    self.ledger.took(taken(time_ns, frame))
        for path in (self._folder / "disk" / "quarantine").glob("*.msgpack"):
            self.ledger.kept(digest(path.read_bytes()))
        with closing(LmdbReader.open(self._folder / "disk" / "state")) as state:
            for entry in state.entries():
                self.ledger.remembered(str(entry.terms[0]))
