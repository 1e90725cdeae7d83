"""The agent: joins listener, pipeline, store and forwarder, and keeps the order deliver, commit, ack.

Start: configuration, rules, state, sockets; then everything moves. Stop: accept and read no more, settle what is on its
way, then close in the reverse of opening.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import random
import signal
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AsyncExitStack
from typing import Any

import uvloop

from firstseen import __version__
from firstseen.config import Config
from firstseen.engine import Engine
from firstseen.errors import FirstseenError, ProtocolError, RuleError, StoreError
from firstseen.forward.buffers import Pool
from firstseen.logs import event, set_up
from firstseen.metrics import Counts
from firstseen.net.forwarder import Backoff, Delivery, Forwarder, Target
from firstseen.net.listener import Listener, Ticket
from firstseen.pipeline import Outcome, Pipeline, Shape
from firstseen.rules.loader import load_rules
from firstseen.rules.rule import Status
from firstseen.rules.ruleset import RuleSet
from firstseen.store.base import Store
from firstseen.store.lmdb import LmdbStore

log = logging.getLogger(__name__)

EXIT_FAILED = 1


def run(config: Config) -> int:
    """Run the agent until it is told to stop; the exit code. Raises `FirstseenError` where it cannot start."""
    set_up(config.log.level, config.log.format)
    rules = load_rules(config.rules.paths)
    _tell_of(rules)
    return uvloop.run(_serve(config, rules))


def _tell_of(rules: RuleSet) -> None:
    """One line for each rule that does not run, or runs at a cost: none silently never fires."""
    for report in rules.reports:
        if report.status is not Status.LOADED:
            level = logging.INFO if report.status is Status.SKIPPED else logging.WARNING
            event(log, level, f"rule_{report.status}", rule=report.id, file=report.file, reason=report.reason)


class Agent:
    """Moves chunks through the pipeline and settles them: deliver, commit, ack."""

    def __init__(self, pipeline: Pipeline, store: Store, forwarder: Forwarder, counts: Counts) -> None:
        self._pipeline = pipeline
        self._store = store
        self._forwarder = forwarder
        self._counts = counts
        self._loop = asyncio.get_running_loop()

    def handle(self, ticket: Ticket) -> None:
        """A chunk came."""
        chunk = ticket.chunk
        self._counts.chunks_in += 1
        try:
            outcome = self._pipeline.process(chunk, _now_ms())
        except (ProtocolError, StoreError) as error:
            self._reject(ticket, str(error))
            return
        self._counts.records_in += outcome.records
        self._forwarder.submit(Delivery(outcome.frames, functools.partial(self._delivered, ticket, outcome)))

    def _reject(self, ticket: Ticket, reason: str) -> None:
        """A chunk that cannot be read, or not now, is not acked: its sender keeps it."""
        chunk = ticket.chunk
        records = max(chunk.count, 0)
        self._counts.chunks_rejected += 1
        self._counts.records_in += records
        self._counts.records_rejected += records
        event(log, logging.ERROR, "chunk_rejected", peer=ticket.peer, tag=chunk.tag, size=chunk.size, reason=reason)
        ticket.settle(safe=False)

    def _delivered(self, ticket: Ticket, outcome: Outcome) -> None:
        if not outcome.claims:
            self._finish(ticket, outcome)
            return
        committed = self._store.confirm(outcome.claims)
        committed.add_done_callback(
            lambda future: self._loop.call_soon_threadsafe(self._committed, ticket, outcome, future)
        )

    def _committed(self, ticket: Ticket, outcome: Outcome, future: Future[None]) -> None:
        error = future.exception()
        if error is None:
            self._finish(ticket, outcome)
            return
        if not isinstance(error, StoreError):
            raise error
        # Delivered but not remembered: without an ack the sender sends it again, and at worst the alert is repeated.
        self._counts.chunks_rejected += 1
        self._counts.records_rejected += outcome.records
        event(log, logging.ERROR, "commit_failed", peer=ticket.peer, tag=ticket.chunk.tag, reason=str(error))
        ticket.settle(safe=False)

    def _finish(self, ticket: Ticket, outcome: Outcome) -> None:
        self._counts.chunks_out += 1
        self._counts.records_out += outcome.records
        ticket.settle(safe=True)


async def _serve(config: Config, rules: RuleSet) -> int:
    counts = Counts()
    stopping = asyncio.Event()
    faults = _watch_for_faults(stopping)
    async with AsyncExitStack() as stack:
        store = LmdbStore.open(config.state.path, config.state.map_size.bytes)
        stack.callback(store.close)
        engine = Engine(rules, store, counts, _now_ms)
        forwarder = _forwarder(config, counts)
        shape = Shape(
            key=config.alerts.key,
            tag_prefix=config.alerts.tag_prefix,
            require_ack=config.output.require_ack,
            max_decompressed=config.input.max_decompressed.bytes,
        )
        agent = Agent(Pipeline(engine, shape, counts, os.urandom), store, forwarder, counts)
        listener = Listener(
            pool=Pool(),
            max_frame=config.input.max_frame.bytes,
            max_in_flight=config.input.max_in_flight.bytes,
            handle=agent.handle,
            refuse=functools.partial(counts.add, "connections_refused"),
            paused=functools.partial(counts.add, "reading_pauses"),
        )
        addresses = [await _listen(listener, address.host, address.port) for address in config.input.listen]
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        forwarding = tasks.create_task(forwarder.run())
        stack.callback(forwarding.cancel)
        _on_signals(stopping, lambda: _reload(config, engine))
        event(log, logging.INFO, "ready", version=__version__, listen=addresses, rules=len(rules.rules))
        await stopping.wait()
        if faults:
            return EXIT_FAILED
        event(log, logging.INFO, "stopping", timeout=str(config.input.drain_timeout))
        drained = await listener.drain(config.input.drain_timeout.ms / 1000)
        event(log, logging.INFO if drained else logging.WARNING, "stopped", drained=drained, **counts.as_dict())
    return 0


def _watch_for_faults(stopping: asyncio.Event) -> list[BaseException]:
    """A mistake of ours in a callback ends the process instead of one connection: senders still have their chunks."""
    faults: list[BaseException] = []

    def handle(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if error is None or isinstance(error, OSError):
            event(log, logging.WARNING, "loop_trouble", what=context.get("message"), error=repr(error))
            return
        faults.append(error)
        log.critical("a mistake of the program ends it: %r", error, exc_info=error)
        stopping.set()

    asyncio.get_running_loop().set_exception_handler(handle)
    return faults


def _forwarder(config: Config, counts: Counts) -> Forwarder:
    server = config.output.servers[0].address
    target = Target(server.host, server.port, config.output.require_ack, config.output.ack_timeout.ms / 1000)
    return Forwarder(target, Backoff(random.random), functools.partial(counts.add, "delivery_retries"))


async def _listen(listener: Listener, host: str, port: int) -> str:
    try:
        return await listener.listen(host, port)
    except OSError as error:
        raise FirstseenError(f"cannot listen on {host}:{port} (input.listen): {error}") from error


def _on_signals(stopping: asyncio.Event, reload: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    loop.add_signal_handler(signal.SIGHUP, reload)


def _reload(config: Config, engine: Engine) -> None:
    """Load the rules anew; if one of them is broken, all of the old ones stay."""
    try:
        rules = load_rules(config.rules.paths)
        engine.use(rules)
    except FirstseenError as error:
        for problem in error.problems if isinstance(error, RuleError) else (error,):
            event(log, logging.ERROR, "reload_problem", problem=str(problem))
        event(log, logging.ERROR, "reload_failed", kept=len(engine.rules.rules))
        return
    _tell_of(rules)
    event(log, logging.INFO, "reloaded", rules=len(rules.rules))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
