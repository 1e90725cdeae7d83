"""What commands on the same machine ask of the agent that has a state: a socket in its folder, a line of JSON each way.

Who may read the state may ask: the folder is for its owner alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
from asyncio import StreamReader, StreamWriter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from firstseen.errors import FirstseenError, StoreError

log = logging.getLogger(__name__)

NAME = "control"

PATIENCE_S = 10.0
"""For how long the agent waits for the line of who has connected."""

Answer = Mapping[str, Any]
Asked = Mapping[str, Any]


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
            with contextlib.suppress(ConnectionError):  # who asked does not wait for the answer
                line = await _line(reader)
                if line is not None:
                    answer = await self._answer(line)
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


def ask(folder: Path, command: str, **more: str) -> Answer | None:
    """What the agent that has the state in ``folder`` answers, waited for; None where there is none.

    ``more`` is what the command is about.

    Raises `StoreError` with what it could not do, or where it ended meanwhile.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            with _short(folder) as short:
                connection.connect(str(short / NAME))
        except OSError:  # it does not run, or is none of ours: who takes the state itself finds out
            return None
        with contextlib.suppress(ConnectionError), connection.makefile("rwb") as file:
            file.write(json.dumps({"do": command, **more}).encode() + b"\n")
            file.flush()
            line = file.readline()
            if line.endswith(b"\n"):
                answer: Answer = json.loads(line)
                if "error" in answer:
                    raise StoreError(answer["error"])
                return answer
    raise StoreError(f"the agent that had the state in {folder} ended before it was done; its log may say why")


@contextlib.contextmanager
def _short(folder: Path) -> Iterator[Path]:
    """Another name for the folder: that of a socket may have 107 bytes, and no more."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield Path(f"/proc/self/fd/{opened}")
    finally:
        os.close(opened)
