from __future__ import annotations

import asyncio
import errno
import gc
import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop

from firstseen import daemon
from firstseen.errors import FirstseenError, StoreError
from firstseen.stopping import STOPS, Signals
from firstseen.store.lmdb import LmdbStore
from support.agent import FIRST_RULE
from support.signals import heard_as_before


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A configuration for an agent in this process, of which nothing is left afterwards."""
    monkeypatch.setattr(daemon, "set_up", lambda *_, **__: None)
    path = tmp_path / "firstseen.toml"
    path.write_text(f'[state]\npath = "{tmp_path / "state"}"\n[rules]\npaths = ["{FIRST_RULE}"]\n')
    with heard_as_before():
        yield path
    gc.unfreeze()


def test_what_is_there_at_the_start_is_not_searched_for_garbage_and_what_comes_is() -> None:
    gc.disable()
    try:
        daemon._stay_put()
        assert gc.isenabled()
        assert gc.get_freeze_count() > 0
    finally:
        gc.enable()
        gc.unfreeze()


def heard() -> Signals:
    signals = Signals()
    signals.hear()
    return signals


def test_a_reload_that_is_asked_for_before_it_is_ready_does_not_end_it(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    came = []

    def provide(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGHUP)
        came.append("and goes on")
        raise FirstseenError("far enough")

    monkeypatch.setattr(daemon, "provide", provide)
    with pytest.raises(FirstseenError, match="far enough"):
        daemon.run(file, heard())
    assert came == ["and goes on"]


@pytest.mark.parametrize("moment", ["configuration", "provide", "open_state", "Engine"])
@pytest.mark.parametrize("number", STOPS)
def test_told_to_stop_before_it_is_ready_it_closes_what_is_open_and_says_that_it_has_stopped(
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    moment: str,
    number: signal.Signals,
) -> None:
    caplog.set_level(logging.INFO)
    as_ever = getattr(daemon, moment)

    def told_meanwhile(*arguments: Any, **named: Any) -> Any:
        os.kill(os.getpid(), number)
        return as_ever(*arguments, **named)

    monkeypatch.setattr(daemon, moment, told_meanwhile)
    assert daemon.run(file, heard()) == 0
    assert [record.message for record in caplog.records][-1:] == ["stopped"]
    assert "ready" not in caplog.messages
    if (file.parent / "state").exists():
        LmdbStore.open(file.parent / "state", 1 << 20).close()


def test_a_start_that_fails_after_it_was_told_to_stop_is_a_stop(
    file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As where the server of a shared state does not answer, for as long as the agent waits for it."""
    caplog.set_level(logging.INFO)

    def away(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        raise StoreError("the state cannot be reached")

    monkeypatch.setattr(daemon, "open_state", away)
    assert daemon.run(file, heard()) == 0
    assert caplog.messages[-1:] == ["stopped"]


def test_an_error_of_the_machine_in_a_callback_of_ours_ends_it() -> None:
    """A chunk goes on in turns, which the loop calls by itself, and not for a connection."""
    full = OSError(errno.EMFILE, "Too many open files")

    def fail() -> None:
        raise full

    async def test() -> None:
        stopping = asyncio.Event()
        faults = daemon._watch_for_faults(stopping)
        loop = asyncio.get_running_loop()
        loop.call_exception_handler({"message": "of a connection", "exception": OSError(errno.EPIPE, "Broken pipe")})
        assert not faults
        loop.call_soon(fail)
        async with asyncio.timeout(60):
            await stopping.wait()
        assert faults == [full]

    uvloop.run(test())
