"""Runs the installed agent for tests: a configuration, a process, what it logs, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

FIRSTSEEN = Path(sys.executable).with_name("firstseen")
"""The command as it is installed beside the Python that runs the tests."""

FIRST_RULE = Path(__file__).parents[2] / "rules/aws_sts_getcalleridentity_first_seen.toml"
"""The first rule that is shipped: the one that most tests run."""

TIMEOUT_S = 60.0


def write_config(
    path: Path,
    *,
    downstream: str,
    state: Path,
    rules: Path = FIRST_RULE,
    listen: str = "127.0.0.1:0",
    http: str = "",
    extra: str = "",
) -> Path:
    """A configuration file at ``path``, which shows nothing over HTTP unless told; ``extra`` is as in `extra_of`."""
    path.write_text(
        f"[input]\nlisten = [{json.dumps(listen)}]\n{extra_of(extra, 'input')}"
        f"[output]\nservers = [{json.dumps(downstream)}]\n{extra_of(extra, 'output')}"
        f"[rules]\npaths = [{json.dumps(str(rules))}]\n"
        f'[state]\npath = {json.dumps(str(state))}\nmap_size = "64MiB"\n{extra_of(extra, "state")}'
        f"[http]\nlisten = {json.dumps(http)}\n{extra_of(extra, 'http')}"
        f"[alerts]\n{extra_of(extra, 'alerts')}"
        f'[log]\nlevel = "info"\nformat = "json"\n{extra_of(extra, "log")}'
    )
    return path


def extra_of(extra: str, section: str) -> str:
    """The lines of ``extra`` that are written ``section: key = value``."""
    prefix = f"{section}: "
    return "".join(line.removeprefix(prefix) + "\n" for line in extra.splitlines() if line.startswith(prefix))


class AgentProcess:
    """``firstseen run`` in a process of its own; as a context manager it is killed at the end if it still runs.

    ``environment`` comes on top of that of the tests. ``through`` is a command that runs another one, and ``program``
    what is run, where it is not the command beside this Python.
    """

    def __init__(
        self,
        config: Path,
        *,
        environment: Mapping[str, str] | None = None,
        through: Sequence[str] = (),
        program: Path = FIRSTSEEN,
    ) -> None:
        self.config = config
        self.events: list[dict[str, Any]] = []
        self._news = threading.Condition()
        self._process = subprocess.Popen(
            [*through, str(program), "run", "-c", str(config)],
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **(environment or {})},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            try:
                happening = json.loads(line)
            except ValueError:
                happening = {"event": "text", "text": line.decode(errors="replace")}
            with self._news:
                self.events.append(happening)
                self._news.notify_all()
        with self._news:
            self.events.append({"event": "end"})
            self._news.notify_all()

    def wait_until(self, true: Callable[[], bool]) -> None:
        """Until ``true()``, which is asked at each line of the log; fails if the process ends before."""
        with self._news:
            self._news.wait_for(lambda: true() or any(e["event"] == "end" for e in self.events), TIMEOUT_S)
            assert true(), self.events

    def wait_for(self, name: str, since: int = 0, **fields: object) -> dict[str, Any]:
        """The first event of that name with those fields, waited for; fails if the process ends before it.

        Of all that happened, the first ``since`` events do not count.
        """

        def found() -> dict[str, Any] | None:
            for happening in self.events[since:]:
                if happening["event"] == name and all(happening.get(key) == value for key, value in fields.items()):
                    return happening
            return None

        with self._news:
            self._news.wait_for(lambda: found() or any(e["event"] == "end" for e in self.events), TIMEOUT_S)
            happening = found()
            assert happening is not None, f"no event {name} {fields} in {self.events}"
            return happening

    def reasons(self, *names: str, count: int) -> list[str]:
        """The reasons of the events of those names, once there are ``count``; fails where there are fewer or more.

        What was told in a sum counts as often as it was: it is told late, but for an agent that has stopped.
        """

        def found() -> list[str]:
            told = [happening for happening in self.events if happening["event"] in names]
            return [each["reason"] for each in told for _ in range(each.get("times", 1))]

        with self._news:
            self._news.wait_for(lambda: len(found()) >= count, TIMEOUT_S)
            assert len(found()) == count, f"{len(found())} events {names} in {self.events}"
            return found()

    @property
    def port(self) -> int:
        """Where it listens; waits until it does."""
        address: str = self.wait_for("ready")["listen"][0]
        return int(address.rpartition(":")[2])

    @property
    def http(self) -> str:
        """Where it shows how it does; waits until it does."""
        address: str = self.wait_for("ready")["http"]
        return address

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def runs(self) -> bool:
        return self._process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def stop(self) -> Mapping[str, Any]:
        """SIGTERM, a clean exit, and the totals it counted."""
        self.signal(signal.SIGTERM)
        code = self.wait()
        assert code == 0, f"exit {code}: {self.events}"
        return self.wait_for("stopped")

    def kill(self) -> None:
        """SIGKILL, as a crash or the out-of-memory killer does."""
        self._process.kill()
        self.wait()

    def wait(self) -> int:
        code = self._process.wait(TIMEOUT_S)
        self._reader.join(TIMEOUT_S)
        return code

    def __enter__(self) -> AgentProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(TIMEOUT_S)
        self._reader.join(TIMEOUT_S)
        if self._process.stderr is not None:
            self._process.stderr.close()
