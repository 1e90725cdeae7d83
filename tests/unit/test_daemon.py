from __future__ import annotations

import asyncio
import os
import signal

import pytest

from firstseen import config, daemon
from firstseen.errors import FirstseenError


def test_a_reload_that_is_asked_for_before_it_is_ready_does_not_end_it(tmp_path, monkeypatch) -> None:
    before, came = signal.getsignal(signal.SIGHUP), []

    def provide(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGHUP)
        came.append("and goes on")
        raise FirstseenError("far enough")

    monkeypatch.setattr(daemon, "provide", provide)
    monkeypatch.setattr(daemon, "_set_up_logs", lambda *_: None)
    path = tmp_path / "firstseen.toml"
    path.write_text("")
    try:
        with pytest.raises(FirstseenError, match="far enough"):
            daemon.run(config.load(path))
    finally:
        signal.signal(signal.SIGHUP, before)
    assert came == ["and goes on"]


@pytest.mark.parametrize("stops", [False, True])
def test_nothing_is_loaded_anew_by_who_stops(stops: bool) -> None:
    came: list[str] = []

    async def test() -> None:
        stopping = asyncio.Event()
        daemon._on_signals(stopping, lambda: came.append("hurry"), lambda: came.append("reload"))
        if stops:
            stopping.set()
        os.kill(os.getpid(), signal.SIGHUP)
        await asyncio.sleep(0.05)

    asyncio.run(test())
    assert came == ([] if stops else ["reload"])
