"""What commands on the same machine ask of the agent that has a state: a socket in its folder, a line of JSON each way.

An answer may take minutes. So while the agent is at work on it there comes an empty line every now and then, and who
asks waits for as long as there do: an agent that hangs, or somebody else who listens there, is silent.

Who may read the state may ask: the folder is for its owner alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import stat
from asyncio import StreamReader, StreamWriter
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from firstseen.errors import FirstseenError, StoreError
from firstseen.notation import spelled, spelled_lines

log = logging.getLogger(__name__)

NAME = "control"

PATIENCE_S = 10.0
"""For how long the agent waits for the line of who has connected."""

BEAT_S = 1.0
"""After so many seconds each without an answer the agent says that it is at work on it."""

SILENCE_S = 30.0
"""For how long who asks waits for the next sign of life."""

MOST_BYTES = 16 << 20
"""Of an answer: what is more is not read. One about some thousand rules is 1 MiB."""

Answer = Mapping[str, Any]
Asked = Mapping[str, Any]

Shape = TypeVar("Shape")


class Control:
    """Answers from `open` to `close`; ``commands`` are what may be asked for, by name. Lives in the event loop.

    Each gets what stands beside its name, as `ask` sent it. One that raises a `FirstseenError` is answered with what
    that says. Whatever else comes is answered with an error, or not at all; nothing of it ends the agent.
    """

    def __init__(self, folder: Path, commands: Mapping[str, Callable[[Asked], Awaitable[Answer]]]) -> None:
        self._folder = folder
        self._commands = commands
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen, in the place of a process that has ended. For the owner of the state only. Raises `OSError`."""
        with _short(self._folder) as folder:
            (folder / NAME).unlink(missing_ok=True)
            listening = socket.socket(socket.AF_UNIX)
            try:
                listening.bind(str(folder / NAME))
                (folder / NAME).chmod(0o600)
                self._server = await asyncio.start_unix_server(self._serve, sock=listening)
            except OSError:
                listening.close()
                raise

    def close(self) -> None:
        """Answer nobody any more."""
        if self._server is not None:
            self._server.close()
            (self._folder / NAME).unlink(missing_ok=True)

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            # Who asked does not wait for the answer, or the agent ends before there is one: he sees the end of it.
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                line = await _line(reader)
                if line is not None:
                    answer = await _at_work(self._answer(line), writer)
                    writer.write(json.dumps(answer).encode() + b"\n")
                    await writer.drain()
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> Answer:
        command, asked = None, {}
        with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
            asked = json.loads(line)
            command = self._commands.get(asked["do"])
        if command is None:
            return {"error": "the agent that runs here does not know what it is asked for; is it of another version?"}
        try:
            return await command(asked)
        except FirstseenError as error:
            return {"error": str(error)}
        except Exception as error:  # told of; the log stream goes on whatever is asked beside it
            log.exception("control_answer_failed")
            return {"error": f"a mistake of the program: {type(error).__name__}; the agent's log has the rest"}


async def _line(reader: StreamReader) -> bytes | None:
    """What is asked; empty where it is longer than anything that is, and None where it does not come."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await reader.readline()
    except TimeoutError:
        return None
    except ValueError:
        return b""


async def _at_work(answering: Coroutine[Any, Any, Answer], writer: StreamWriter) -> Answer:
    """The answer; who waits for it is told every now and then that it will come."""
    task = asyncio.create_task(answering)
    try:
        while not (await asyncio.wait([task], timeout=BEAT_S))[0]:
            if not writer.is_closing():
                writer.write(b"\n")
        return await task
    finally:
        task.cancel()


def ask(folder: Path, command: str, shape: type[Shape], **more: str) -> Shape | None:
    """What the agent that has the state in ``folder`` answers, waited for; None where nobody answers there.

    ``shape`` is what an answer has to be like, for `msgspec.convert`; ``more`` is what the command is about.

    Raises `StoreError` with what it could not do, where it ended meanwhile or hangs, where what answers is no agent of
    this version, and where it cannot be known whether one runs. Nothing in it is a command to a terminal.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(SILENCE_S)
        try:
            if not _connected(connection, folder):
                return None
            with contextlib.suppress(ConnectionError):  # what was said before the end is read all the same
                connection.sendall(json.dumps({"do": command, **more}).encode() + b"\n")
            with contextlib.suppress(ConnectionError):
                if (line := _answered(connection, folder)) is not None:
                    return _read(line, folder, shape)
        except (TimeoutError, BlockingIOError):  # the latter where as many wait for it as may
            raise StoreError(
                f"whoever listens at {_named(folder)} says nothing for {SILENCE_S:g} s: the agent hangs, or it is none"
            ) from None
    raise StoreError(f"the agent that had the state in {folder} ended before it was done; its log may say why")


def _connected(connection: socket.socket, folder: Path) -> bool:
    """Whether somebody listens there. Raises `StoreError` where that cannot be known."""
    try:
        with _short(folder) as short:
            if not stat.S_ISSOCK((short / NAME).stat().st_mode):
                raise StoreError(
                    f"{_named(folder)} is no socket, so that it is not known whether an agent runs here: "
                    "if none does, remove it; if one does, restart it"
                )
            connection.connect(str(short / NAME))
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):  # who was killed leaves a socket
        return False
    except BlockingIOError:
        raise
    except OSError as error:
        raise StoreError(
            f"{_named(folder)} cannot be connected to ({error.strerror}), so that it is not known whether an agent runs"
            " here: ask as the user of the agent"
        ) from error
    return True


def _answered(connection: socket.socket, folder: Path) -> bytes | None:
    """The line that comes, without those before it that say that it will; None where the connection ends instead."""
    came, line = 0, bytearray()
    while piece := connection.recv(1 << 16):
        came += len(piece)
        if came > MOST_BYTES:
            raise StoreError(f"what {_named(folder)} answers has no end: it is no agent")
        line += piece
        if line.startswith(b"\n"):
            line = line.lstrip(b"\n")
        if b"\n" in piece and b"\n" in line:
            return bytes(line.partition(b"\n")[0])
    return None


def _read(line: bytes, folder: Path, shape: type[Shape]) -> Shape:
    try:
        answer = json.loads(line)
        if isinstance(answer, dict) and isinstance(answer.get("error"), str):
            raise StoreError(spelled_lines(answer["error"]))
        return msgspec.convert(answer, shape)  # json knows texts that are none, as a path may be
    except (ValueError, RecursionError) as error:
        what = f"what {_named(folder)} answers is no answer of this version: {spelled(str(error))}"
        raise StoreError(f"{what}; is it an agent, and of the same version?") from error


def _named(folder: Path) -> str:
    return f"{folder / NAME}"


@contextlib.contextmanager
def _short(folder: Path) -> Iterator[Path]:
    """Another name for the folder: that of a socket may have 107 bytes, and no more."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield Path(f"/proc/self/fd/{opened}")
    finally:
        os.close(opened)
