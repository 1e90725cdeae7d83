from __future__ import annotations

import asyncio
import socket
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from firstseen.control import NAME, Control, ask
from firstseen.errors import StoreError


async def double(_: Mapping[str, Any]) -> Mapping[str, Any]:
    await asyncio.sleep(0)
    return {"double": 2}


async def repeat(asked: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"said": asked["word"]}


async def fail(_: Mapping[str, Any]) -> Mapping[str, Any]:
    raise StoreError("there is no room")


COMMANDS = {"double": double, "fail": fail, "repeat": repeat}


async def answered(folder: Path, command: str, **more: str) -> Mapping[str, Any] | None:
    control = Control(folder, COMMANDS)
    await control.open()
    try:
        return await asyncio.to_thread(ask, folder, command, **more)
    finally:
        control.close()


def test_what_is_asked_for_is_done_and_answered(tmp_path: Path) -> None:
    assert asyncio.run(answered(tmp_path, "double")) == {"double": 2}
    assert list(tmp_path.iterdir()) == []


def test_a_command_gets_what_it_is_about(tmp_path: Path) -> None:
    assert asyncio.run(answered(tmp_path, "repeat", word="ä b")) == {"said": "ä b"}


def test_what_could_not_be_done_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"^there is no room$"):
        asyncio.run(answered(tmp_path, "fail"))
    with pytest.raises(StoreError, match="does not know what it is asked for"):
        asyncio.run(answered(tmp_path, "treble"))


def test_a_folder_with_a_long_name(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    assert asyncio.run(answered(folder, "double")) == {"double": 2}


def test_nobody_is_there(tmp_path: Path) -> None:
    assert ask(tmp_path, "double") is None
    assert ask(tmp_path / "missing", "double") is None
    with socket.socket(socket.AF_UNIX) as ended:  # one that was killed leaves its socket
        ended.bind(str(tmp_path / NAME))
    assert ask(tmp_path, "double") is None
    assert asyncio.run(answered(tmp_path, "double")) == {"double": 2}


def test_it_is_for_the_owner_alone(tmp_path: Path) -> None:
    async def mode() -> int:
        control = Control(tmp_path, COMMANDS)
        await control.open()
        found = stat.S_IMODE((tmp_path / NAME).stat().st_mode)
        control.close()
        return found

    assert asyncio.run(mode()) == 0o600


@pytest.mark.parametrize("line", [b"\n", b"[]\n", b"{}\n", b"no JSON\n", b'{"do": []}\n'], ids=ascii)
def test_other_lines_are_answered(tmp_path: Path, line: bytes) -> None:
    async def reply() -> bytes:
        control = Control(tmp_path, COMMANDS)
        await control.open()
        reader, writer = await asyncio.open_unix_connection(tmp_path / NAME)
        writer.write(line)
        found = await reader.read()
        writer.close()
        control.close()
        return found

    assert b"does not know what it is asked for" in asyncio.run(reply())


def test_an_agent_that_ends_meanwhile(tmp_path: Path) -> None:
    async def end() -> Mapping[str, Any] | None:
        serving: asyncio.Queue[asyncio.Task[Any] | None] = asyncio.Queue()

        async def wait(_: Mapping[str, Any]) -> Mapping[str, Any]:
            serving.put_nowait(asyncio.current_task())
            await asyncio.sleep(60)
            return {}

        control = Control(tmp_path, {"wait": wait})
        await control.open()
        asking = asyncio.create_task(asyncio.to_thread(ask, tmp_path, "wait"))
        task = await serving.get()
        assert task is not None
        control.close()
        task.cancel()
        return await asking

    with pytest.raises(StoreError, match="ended before it was done"):
        asyncio.run(asyncio.wait_for(end(), 20))


def test_who_asks_and_does_not_wait_is_no_trouble(tmp_path: Path) -> None:
    async def go() -> Mapping[str, Any] | None:
        control = Control(tmp_path, COMMANDS)
        await control.open()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(tmp_path / NAME))
        try:
            return await asyncio.to_thread(ask, tmp_path, "double")
        finally:
            control.close()

    assert asyncio.run(go()) == {"double": 2}


def test_a_place_that_cannot_be_had(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()

    with pytest.raises(OSError, match="directory"):
        asyncio.run(Control(tmp_path, COMMANDS).open())
