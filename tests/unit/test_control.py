from __future__ import annotations

import asyncio
import errno
import json
import socket
import stat
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from firstseen import control
from firstseen.control import NAME, Control, ask
from firstseen.errors import StoreError


async def double(_: Mapping[str, Any]) -> Mapping[str, Any]:
    await asyncio.sleep(0)
    return {"double": 2}


async def repeat(asked: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"said": asked["word"]}


async def fail(_: Mapping[str, Any]) -> Mapping[str, Any]:
    raise StoreError("there is no room")


async def err(_: Mapping[str, Any]) -> Mapping[str, Any]:
    raise ZeroDivisionError


COMMANDS = {"double": double, "fail": fail, "repeat": repeat, "err": err}


Answer = dict[str, Any]


async def answered(folder: Path, command: str, **more: str) -> Answer | None:
    agent = Control(folder, COMMANDS)
    await agent.open()
    try:
        return await asyncio.to_thread(ask, folder, command, Answer, **more)
    finally:
        agent.close()


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
    assert ask(tmp_path, "double", Answer) is None
    assert ask(tmp_path / "missing", "double", Answer) is None
    with socket.socket(socket.AF_UNIX) as ended:  # one that was killed leaves its socket
        ended.bind(str(tmp_path / NAME))
    assert ask(tmp_path, "double", Answer) is None
    assert asyncio.run(answered(tmp_path, "double")) == {"double": 2}


def test_it_is_for_the_owner_alone(tmp_path: Path) -> None:
    async def mode() -> int:
        agent = Control(tmp_path, COMMANDS)
        await agent.open()
        found = stat.S_IMODE((tmp_path / NAME).stat().st_mode)
        agent.close()
        return found

    assert asyncio.run(mode()) == 0o600


async def replied(folder: Path, sent: bytes) -> tuple[bytes, list[Any]]:
    """The answer to these bytes, and what the loop had to be told of."""
    faults: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    agent = Control(folder, COMMANDS)
    await agent.open()
    reader, writer = await asyncio.open_unix_connection(folder / NAME)
    writer.write(sent)
    found = await reader.read()
    writer.close()
    agent.close()
    return found, faults


OTHER = [
    b"\n",
    b"[]\n",
    b"{}\n",
    b"no JSON\n",
    b'{"do": []}\n',
    b"\xff\xff\n",
    pytest.param(b"[" * 60_000 + b"\n", id="deep"),
    pytest.param(b"x" * 70_000 + b"\n", id="long"),
    pytest.param(b"x" * 70_000, id="without end"),
]


@pytest.mark.parametrize("line", OTHER, ids=ascii)
def test_other_lines_are_answered(tmp_path: Path, line: bytes) -> None:
    answer, faults = asyncio.run(replied(tmp_path, line))

    assert b"does not know what it is asked for" in answer
    assert faults == []


def test_a_line_that_does_not_come_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "PATIENCE_S", 0.05)

    assert asyncio.run(replied(tmp_path, b'{"do":')) == (b"", [])


def test_a_mistake_of_the_program_is_told_and_ends_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    answer, faults = asyncio.run(replied(tmp_path, b'{"do": "err"}\n'))

    assert json.loads(answer)["error"].startswith("a mistake of the program: ZeroDivisionError")
    assert faults == []
    assert caplog.messages == ["control_answer_failed"]


def test_an_agent_that_ends_meanwhile(tmp_path: Path) -> None:
    async def end() -> Mapping[str, Any] | None:
        serving: asyncio.Queue[asyncio.Task[Any] | None] = asyncio.Queue()

        async def wait(_: Mapping[str, Any]) -> Mapping[str, Any]:
            serving.put_nowait(asyncio.current_task())
            await asyncio.sleep(60)
            return {}

        agent = Control(tmp_path, {"wait": wait})
        await agent.open()
        asking = asyncio.create_task(asyncio.to_thread(ask, tmp_path, "wait", Answer))
        task = await serving.get()
        assert task is not None
        agent.close()
        task.cancel()
        return await asking

    with pytest.raises(StoreError, match="ended before it was done"):
        asyncio.run(asyncio.wait_for(end(), 20))


def test_an_agent_ends_without_complaint_while_somebody_waits(tmp_path: Path) -> None:
    faults: list[Any] = []

    async def go() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
        begun = asyncio.Event()

        async def wait(_: Mapping[str, Any]) -> Mapping[str, Any]:
            begun.set()
            await asyncio.sleep(60)
            return {}

        agent = Control(tmp_path, {"wait": wait})
        await agent.open()
        for line in (b'{"do":', b'{"do": "wait"}\n'):
            client = clients.enter_context(socket.socket(socket.AF_UNIX))
            client.connect(str(tmp_path / NAME))
            client.sendall(line)
        await begun.wait()
        agent.close()

    with ExitStack() as clients:
        asyncio.run(go())
    assert faults == []


def test_who_asks_and_does_not_wait_is_no_trouble(tmp_path: Path) -> None:
    async def go() -> Mapping[str, Any] | None:
        agent = Control(tmp_path, COMMANDS)
        await agent.open()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(tmp_path / NAME))
        try:
            return await asyncio.to_thread(ask, tmp_path, "double", Answer)
        finally:
            agent.close()

    assert asyncio.run(go()) == {"double": 2}


def test_a_place_that_cannot_be_had(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()

    with pytest.raises(OSError, match="directory"):
        asyncio.run(Control(tmp_path, COMMANDS).open())


@contextmanager
def somebody(folder: Path, says: Callable[[socket.socket], object]) -> Iterator[None]:
    """Listens at the place of the agent's socket, and is none; what it ``says`` to who comes may end in an error."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / NAME))
        listening.listen(1)

        def serve() -> None:
            connection, _ = listening.accept()
            with connection, suppress(OSError):
                connection.recv(1 << 16)
                says(connection)
                connection.recv(1)

        thread = threading.Thread(target=serve)
        thread.start()
        yield
        thread.join(60)


def endless(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"x" * (1 << 20))


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        (b"\xff\xfenope\n", "no answer of this version"),
        (b"5\n", "no answer of this version: Expected `object`, got `int`"),
        (b"[" * 60_000 + b"\n", "no answer of this version"),
        (b'{"error": 5}\n', "no answer of this version"),
        (b"{}\n", "no answer of this version: Object missing required field `double`"),
        (b'{"double": "\\u001b[31m"}\n', "no answer of this version"),
    ],
    ids=lambda each: ascii(each)[:40],
)
def test_what_is_no_answer(tmp_path: Path, sent: bytes, told: str) -> None:
    class Doubled(msgspec.Struct):
        double: int

    with somebody(tmp_path, lambda client: client.sendall(sent)), pytest.raises(StoreError) as caught:
        ask(tmp_path, "double", Doubled)

    assert f"what {tmp_path}/control answers is {told}" in str(caught.value)
    assert str(caught.value).isprintable()


def test_an_error_is_no_command_to_a_terminal(tmp_path: Path) -> None:
    sent = b'{"error": "one\\n\\u001b]0;two\\u0007"}\n'

    with somebody(tmp_path, lambda client: client.sendall(sent)), pytest.raises(StoreError) as caught:
        ask(tmp_path, "double", Answer)

    assert str(caught.value) == 'one\n"\\u001b]0;two\\u0007"'


def test_an_answer_without_end(tmp_path: Path) -> None:
    with somebody(tmp_path, endless), pytest.raises(StoreError, match="has no end: it is no agent"):
        ask(tmp_path, "double", Answer)


def test_who_says_nothing_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "SILENCE_S", 0.2)

    for says in (lambda _: None, lambda client: client.sendall(b'\n\n{"double"')):
        with somebody(tmp_path, says), pytest.raises(StoreError, match=r"says nothing for 0\.2 s: the agent hangs"):
            ask(tmp_path, "double", Answer)
        (tmp_path / NAME).unlink()


def test_an_agent_at_which_too_many_wait(tmp_path: Path) -> None:
    with ExitStack() as stack:
        listening = stack.enter_context(socket.socket(socket.AF_UNIX))
        listening.bind(str(tmp_path / NAME))
        listening.listen(0)
        stack.enter_context(socket.socket(socket.AF_UNIX)).connect(str(tmp_path / NAME))

        with pytest.raises(StoreError, match="says nothing"):
            ask(tmp_path, "double", Answer)


def test_what_takes_long_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "BEAT_S", 0.05)
    monkeypatch.setattr(control, "SILENCE_S", 1.0)

    async def labour(_: Mapping[str, Any]) -> Mapping[str, Any]:
        await asyncio.sleep(2.0)
        return {"done": True}

    async def go() -> Answer | None:
        agent = Control(tmp_path, {"labour": labour})
        await agent.open()
        try:
            return await asyncio.to_thread(ask, tmp_path, "labour", Answer)
        finally:
            agent.close()

    assert asyncio.run(go()) == {"done": True}


def test_a_place_where_nobody_can_be_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / NAME).write_text("x")
    with pytest.raises(StoreError, match=f"{tmp_path}/control is no socket, so that it is not known whether"):
        ask(tmp_path, "double", Answer)

    def deny(*_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(control.os, "open", deny)
    with pytest.raises(StoreError, match=r"cannot be connected to \(Permission denied\).* as the user of the agent"):
        ask(tmp_path, "double", Answer)
