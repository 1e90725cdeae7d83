import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from io import StringIO
from typing import Any

import pytest

from firstseen.logs import JsonFormatter
from firstseen.net.complaints import Complaints


class Lines(logging.Handler):
    """A log that can be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JsonFormatter())
        self._stream = StringIO()
        self.news = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self._stream.write(self.format(record) + "\n")
        self.news.set()

    @property
    def told(self) -> list[dict[str, Any]]:
        lines = map(json.loads, self._stream.getvalue().splitlines())
        return [{key: value for key, value in line.items() if key not in ("time", "level")} for line in lines]

    async def until(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.told) < count:
                self.news.clear()
                await self.news.wait()


@pytest.fixture
def log() -> logging.Logger:
    return logging.Logger("complaints")


def run(log: logging.Logger, test: Callable[[Lines], Awaitable[None]]) -> None:
    async def main() -> None:
        lines = Lines()
        log.addHandler(lines)
        await test(lines)

    asyncio.run(main())


def refuse(complaints: Complaints, peer: str, reason: str = "no array") -> None:
    complaints.tell(logging.WARNING, "refused", (peer.partition(":")[0], reason), peer=peer, reason=reason)


def test_the_first_is_told_at_once_and_the_others_when_the_interval_is_over(log: logging.Logger) -> None:
    async def test(lines: Lines) -> None:
        complaints = Complaints(log, interval_s=0.05)
        for port in range(1, 100):
            refuse(complaints, f"192.0.2.7:{port}")
        assert lines.told == [{"event": "refused", "peer": "192.0.2.7:1", "reason": "no array"}]
        await lines.until(2)
        assert lines.told[1:] == [{"event": "refused", "peer": "192.0.2.7:99", "reason": "no array", "times": 98}]
        refuse(complaints, "192.0.2.7:100")
        await lines.until(3)
        assert lines.told[2]["times"] == 1

    run(log, test)


def test_what_stopped_for_an_interval_is_told_at_once_again(log: logging.Logger) -> None:
    async def test(lines: Lines) -> None:
        complaints = Complaints(log, interval_s=0.01)
        refuse(complaints, "192.0.2.7:1")
        await asyncio.sleep(0.05)
        refuse(complaints, "192.0.2.7:2")
        assert [told["peer"] for told in lines.told] == ["192.0.2.7:1", "192.0.2.7:2"]
        assert not any("times" in told for told in lines.told)

    run(log, test)


def test_other_peers_and_other_reasons_are_other_complaints(log: logging.Logger) -> None:
    async def test(lines: Lines) -> None:
        complaints = Complaints(log, interval_s=60)
        for peer in ("192.0.2.7:1", "192.0.2.8:1", "192.0.2.7:2"):
            for reason in ("no array", "too large"):
                refuse(complaints, peer, reason)
        assert len(lines.told) == 4
        complaints.close()
        assert [(told["peer"], told["reason"], told["times"]) for told in lines.told[4:]] == [
            ("192.0.2.7:2", "no array", 1),
            ("192.0.2.7:2", "too large", 1),
        ]
        complaints.close()
        assert len(lines.told) == 6

    run(log, test)


def test_whoever_has_a_new_reason_each_time_fills_neither_memory_nor_the_log(log: logging.Logger) -> None:
    async def test(lines: Lines) -> None:
        complaints = Complaints(log, interval_s=60, most=10)
        for size in range(1_000):
            refuse(complaints, "192.0.2.7:1", f"{size} bytes")
        assert len(lines.told) == 11
        complaints.close()
        assert lines.told[11:] == [{"event": "refused", "peer": "192.0.2.7:1", "reason": "999 bytes", "times": 989}]

    run(log, test)
