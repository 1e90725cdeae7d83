"""The agent: joins listener, pipeline, store and forwarder, and keeps the order deliver, commit, ack.

Start: configuration, rules, state, sockets; then everything moves. Stop: accept and read no more, settle what is on its
way, then close in the reverse of opening.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import random
import resource
import ssl
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import AsyncExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any

import uvloop

from firstseen import __version__
from firstseen.agent import Agent
from firstseen.background import Background
from firstseen.config import Config, Server
from firstseen.configuredrules import tell_of
from firstseen.control import Answer, Asked, Control
from firstseen.copies import Copies
from firstseen.engine import Engine
from firstseen.errors import FirstseenError, ProtocolError, StoreError
from firstseen.forward.buffers import Pool
from firstseen.forward.conversion import converting
from firstseen.forward.handshake import ClientHandshake, ClientKeys, ServerHandshake, ServerKeys
from firstseen.forward.outgoing import Frame
from firstseen.forward.repeats import Repeats
from firstseen.forward.shapes import Shaper
from firstseen.logforward import LogForward
from firstseen.logs import complain, event, set_up, sum_up
from firstseen.metrics import Counts, Durations, Reloads
from firstseen.net.clients import Clients
from firstseen.net.downstream import Target
from firstseen.net.forwarder import Forwarder
from firstseen.net.lane import Backoff
from firstseen.net.listener import Listener
from firstseen.notation import Endpoint
from firstseen.notify import Notifier
from firstseen.pipeline import Pipeline
from firstseen.provisions import Provisions, configuration, opened_quarantine, provide
from firstseen.pruner import Pruner
from firstseen.record.view import Mode
from firstseen.reloading import Reloading
from firstseen.revision import revision
from firstseen.rulekeeper import RuleKeeper
from firstseen.rules.loader import Known
from firstseen.shelf import Shelf
from firstseen.states import open_state
from firstseen.status.latest import Latest
from firstseen.status.observer import Agency
from firstseen.status.service import StatusService
from firstseen.steps import Steps
from firstseen.stopping import Signals, Stopped, leave_in_time
from firstseen.store.base import SharedStore
from firstseen.upkeep import Upkeep

log = logging.getLogger(__name__)

EXIT_FAILED = 1

TICK_S = 1.0
"""How late it may be told what has happened again and again."""

CLOSING_S = 15.0
"""What closing may take once everything is settled: the last commit, on a disk that is slow."""


def run(file: Path, signals: Signals) -> int:
    """Run the agent by the configuration in ``file`` until ``signals``, which hear already, tell it to stop.

    Returns the exit code. Raises `FirstseenError` where it cannot start.
    """
    set_up("info", "text")  # until it is read how
    try:
        signals.at_once()
        try:
            return _run(configuration(file, _now_ms()), signals)
        except FirstseenError:
            signals.halt()  # it was not to start any more
            raise
    except Stopped:
        signals.end()
        _tell_of_the_end(Counts(), drained=True)
        return 0


def _run(config: Config, signals: Signals) -> int:
    forward = _log_forward(config)
    _set_up_logs(config, forward)
    _have_files_for_everybody()
    shelf = Shelf(config.state.path)
    known = shelf.known()
    with closing(Copies(config.state.path)) as copies:
        provisions = provide(config, _now_ms(), known, copies=copies)
        tell_of(provisions.notices)
        signals.only_at_halts()
        return uvloop.run(_serve(provisions, known, shelf, copies, forward, signals))


def _tell_of_the_end(counts: Counts, *, drained: bool) -> None:
    sum_up(all_of_it=True)
    event(log, logging.INFO if drained else logging.WARNING, "stopped", drained=drained, **counts.as_dict())


def _log_forward(config: Config) -> LogForward | None:
    settings = config.log
    if settings.forward is None:
        return None
    return LogForward(settings.forward, settings.forward_tag, settings.forward_level)


def _set_up_logs(config: Config, forward: LogForward | None) -> None:
    set_up(config.log.level, config.log.format, beside=[] if forward is None else [forward])


def _have_files_for_everybody() -> None:
    """Raise the limit of open files as far as it may be: clients beyond it are hung up on, and nobody is told."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _tell_of_trouble(problem: StoreError | None) -> None:
    """The state cannot be written at present, or can again: meanwhile chunks wait, and what was delivered stays so.

    Were they refused, their senders would send them again, and others may alert in their place before that.
    """
    if problem is None:
        event(log, logging.INFO, "state_written_again")
    else:
        event(log, logging.ERROR, "state_not_written", reason=str(problem))


async def _serve(
    provisions: Provisions, known: Known, shelf: Shelf, copies: Copies, forward: LogForward | None, signals: Signals
) -> int:
    config, rules, tls = provisions.config, provisions.rules, provisions.tls
    counts, durations, reloads = Counts(), Durations(), Reloads(loaded_ms=provisions.now_ms)
    stopping = asyncio.Event()
    faults = _watch_for_faults(stopping)
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        store, shared, pruning, on_disk, solitude = open_state(config, _tell_of_trouble)
        stack.callback(store.close)
        signals.halt()
        engine = Engine(rules, store, counts, _now_ms, provisions.geoip, provisions.policy)
        signals.halt()
        forwarder = _forwarder(config, tls.client, counts)
        clients, latest = Clients(loop.time), Latest()
        agent = Agent(
            pipeline=_pipeline(config, engine, counts, latest, shared),
            engine=engine,
            store=store,
            forwarder=forwarder,
            repeats=Repeats(config.input.repeat_window.ms),
            quarantine=opened_quarantine(config),
            counts=counts,
            durations=durations,
            now_ms=_now_ms,
            lags=clients.lags,
        )
        listener = _listener(config, agent, counts, clients)
        background = Background(loop.call_soon_threadsafe)
        stack.callback(background.close)
        keeper = RuleKeeper(engine, _now_ms, loop.call_later, background.run)
        notifier = Notifier.of(os.environ, os.getpid(), loop.call_later)
        stack.callback(notifier.close)
        agency = Agency(
            counts=counts,
            durations=durations,
            engine=engine,
            reloads=reloads,
            store=store,
            solitude=solitude,
            forwarder=forwarder,
            listener=listener,
            latest=latest,
            ack_timeout_s=config.output.ack_timeout.seconds,
            lines_lost=lambda: 0 if forward is None else forward.lost,
        )
        status = StatusService(config.http, agency, _now_ms)
        stack.push_async_callback(status.close)
        await status.open(tls.http)
        addresses = [await _listen(listener, config, endpoint, tls.server) for endpoint in config.input.listen]
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        forwarding = tasks.create_task(forwarder.run())
        stack.callback(forwarding.cancel)
        if pruning is not None:
            pruner = Pruner(pruning, counts, _now_ms, loop.time, loop.call_later, loop.call_soon_threadsafe)
            pruner.start()
            stack.callback(pruner.stop)
        upkeep = None if on_disk is None else Upkeep(config.state.map_size, on_disk)
        reloading = Reloading(
            config,
            tls,
            engine=engine,
            keeper=keeper,
            upkeep=upkeep,
            aside=background,
            reloads=reloads,
            known=known,
            keep=partial(shelf.keep, known),
            copies=copies,
            now_ms=_now_ms,
            begun=notifier.reloading,
            over=lambda: notifier.ready(_in_short(reloads, engine)),
            set_up_logs=lambda taken: _set_up_logs(taken, forward),
        )
        await _open_control(stack, _control(config, reloading, upkeep))
        signals.hand_over(stopping, (listener.give_up, forwarder.give_up), reloading.reload)
        status.enter("running")
        ticking = loop.create_task(_tick())
        stack.callback(ticking.cancel)
        _stay_put()
        told = {"version": __version__, "revision": revision() or None, "listen": addresses, "http": status.address}
        event(log, logging.INFO, "ready", **told, rules=len(rules.rules), parsed=known.parsed)
        notifier.ready(_in_short(reloads, engine))
        background.run(partial(shelf.keep, known), Future.result)
        background.run(partial(rules.get_ready, background.give_way), Future.result)
        await stopping.wait()
        if faults:
            return EXIT_FAILED
        status.enter("stopping")
        event(log, logging.INFO, "stopping", timeout=str(config.input.drain_timeout))
        notifier.stopping("settles what it has", config.input.drain_timeout.seconds + CLOSING_S)
        until_s = loop.time() + config.input.drain_timeout.seconds
        drained = await listener.drain(config.input.drain_timeout.seconds)
        if not drained:
            agent.let_go()
        await forwarder.leave(until_s if drained else 0.0)
        signals.end()
        _tell_of_the_end(counts, drained=drained)
        if shared is not None:
            leave_in_time()
    return 0


async def _tick() -> None:
    """See to it that what happens again and again is told in time."""
    while True:
        await asyncio.sleep(TICK_S)
        sum_up(all_of_it=False)


def _stay_put() -> None:
    """What is there at the start stays: looking through it for garbage, again and again, would stop everything."""
    gc.freeze()
    gc.enable()


def _control(config: Config, reloading: Reloading, upkeep: Upkeep | None) -> Control:
    commands: dict[str, Callable[[Asked], Awaitable[Answer]]] = {
        "foretell": lambda asked: reloading.foretell(Path(str(asked.get("file") or config.path)))
    }
    if upkeep is not None:
        commands["compact"] = lambda _: upkeep.compact()
    return Control(config.state.path, commands)


async def _open_control(stack: AsyncExitStack, control: Control) -> None:
    try:
        await control.open()
    except OSError as error:  # a file system without sockets: all else works
        event(log, logging.WARNING, "control_not_opened", reason=str(error))
    else:
        stack.callback(control.close)


def _in_short(reloads: Reloads, engine: Engine) -> str:
    """How the agent does, for whoever asks the service manager."""
    if reloads.problems:
        return f"something old is kept: {reloads.problems[0]}"
    return f"{len(engine.rules.rules)} rules run"


def _pipeline(config: Config, engine: Engine, counts: Counts, latest: Latest, shared: SharedStore | None) -> Pipeline:
    output = config.output
    shaper = Shaper(output.max_frame.bytes, config.alerts.tag_prefix, output.require_ack, os.urandom)
    view_of = config.sources.remembering()

    def mode_of(tag: str) -> Mode | None:
        view = view_of(tag)
        return None if view == "none" else view

    return Pipeline(
        engine,
        shaper,
        counts,
        key=config.alerts.key,
        max_decompressed=config.input.max_decompressed.bytes,
        mode_of=mode_of,
        shared=shared,
        on_labels=latest.add if config.http.listen is not None else None,
    )


def _listener(config: Config, agent: Agent, counts: Counts, clients: Clients) -> Listener:
    settings = config.input
    handshake = None
    if settings.key is not None:
        keys = ServerKeys(settings.key, settings.own_name, settings.passwords)
        handshake = partial(ServerHandshake, keys, os.urandom)
    return Listener(
        pool=Pool(limit=settings.max_in_flight.bytes),
        max_frame=settings.max_frame.bytes,
        max_in_flight=settings.max_in_flight.bytes,
        clients=clients,
        handle=agent.handle,
        refuse=counts.refused,
        paused=partial(counts.add, "reading_pauses"),
        frame_timeout_s=settings.frame_timeout.seconds,
        idle_timeout_s=settings.idle_timeout.seconds,
        handshake=handshake,
    )


def _watch_for_faults(stopping: asyncio.Event) -> list[BaseException]:
    """A mistake of ours in a callback ends the process instead of one connection: senders still have their chunks."""
    faults: list[BaseException] = []

    def handle(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if error is None or (isinstance(error, OSError) and "handle" not in context):  # no callback of ours
            event(log, logging.WARNING, "loop_trouble", what=context.get("message"), error=repr(error))
            return
        faults.append(error)
        log.critical("a mistake of the program ends it: %r", error, exc_info=error)
        stopping.set()

    asyncio.get_running_loop().set_exception_handler(handle)
    return faults


def _forwarder(config: Config, tls: ssl.SSLContext | None, counts: Counts) -> Forwarder:
    output = config.output
    handshake = None
    if output.key is not None:
        keys = ClientKeys(output.key, config.input.own_name, output.username, output.secret)
        handshake = partial(ClientHandshake, keys, os.urandom)

    def as_fluentd_reads_it(frame: Frame) -> Steps[Frame]:
        try:
            return (yield from converting(frame, config.input.max_decompressed.bytes))
        except ProtocolError as error:  # only what passes uninspected is not known to be readable
            same = (frame.tag, error.reason)
            complain(log, logging.WARNING, "frame_not_converted", same, tag=frame.tag, reason=error.reason)
            return frame

    def target(server: Server) -> Target:
        return Target(
            server.address,
            output.require_ack,
            output.ack_timeout.seconds,
            max_age_s=output.connection_max_age.seconds,
            handshake=handshake,
            tls=tls if server.address.tls else None,
            server_name=output.tls.server_name,
            form=as_fluentd_reads_it if server.entries == "v1" else None,
        )

    return Forwarder(
        [target(server) for _ in range(output.connections) for server in output.servers],
        [target(server) for _ in range(output.connections) for server in output.standby],
        lambda: Backoff(random.random),
        partial(counts.add, "delivery_retries"),
    )


async def _listen(listener: Listener, config: Config, endpoint: Endpoint, tls: ssl.SSLContext | None) -> str:
    try:
        if endpoint.path is not None:
            return await listener.listen_unix(endpoint.path, config.input.unix_mode.bits)
        context = tls if endpoint.tls else None
        return await listener.listen(endpoint.host, endpoint.port, context, heartbeat=config.input.udp_heartbeat)
    except OSError as error:
        raise FirstseenError(f"cannot listen on {endpoint} (input.listen): {error}") from error


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
