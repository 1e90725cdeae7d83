import asyncio

import uvloop

from firstseen.timers import CallLater


async def _called(seconds: float, *, cancelled: bool) -> bool:
    calls: list[float] = []
    call_later: CallLater = asyncio.get_running_loop().call_later
    timer = call_later(seconds, lambda: calls.append(seconds))
    if cancelled:
        timer.cancel()
    await asyncio.sleep(0.02)
    timer.cancel()
    return bool(calls)


def test_the_timers_of_both_loops_are_such() -> None:
    for run in (asyncio.run, uvloop.run):
        assert run(_called(0.0, cancelled=False))
        assert not run(_called(0.0, cancelled=True))
