"""A browser for tests: Chromium without a window, told what to do over a pipe in its own debugging protocol."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from shutil import which
from types import TracebackType
from typing import Any, Self

TIMEOUT_S = 60.0

CHROMIUM = which("chromium")

SWITCHES = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-pipe"),
]


class Browser:
    """One window. All that it asked the network for is in `asked`, what its console complained of in `complaints`."""

    def __init__(self, folder: Path) -> None:
        assert CHROMIUM is not None
        theirs, self._out = os.pipe()
        self._in, their_out = os.pipe()
        command = f'exec "$0" "$@" 3<&{theirs} 4>&{their_out}'
        self._process = subprocess.Popen(
            ["/bin/bash", "-c", command, CHROMIUM, *SWITCHES, f"--user-data-dir={folder}", "about:blank"],
            pass_fds=(theirs, their_out),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs)
        os.close(their_out)
        self._buffer = b""
        self._number = 0
        self._session: str | None = None
        self.asked: list[str] = []
        self.complaints: list[str] = []
        (target,) = [each for each in self._call("Target.getTargets")["targetInfos"] if each["type"] == "page"]
        attached = self._call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            self._call(f"{domain}.enable")

    def anew(self) -> None:
        """Leave the page, and forget what was."""
        self._call("Page.navigate", url="about:blank")
        self._call("Emulation.setScriptExecutionDisabled", value=False)
        self.look(1400)
        self.asked.clear()
        self.complaints.clear()

    def look(self, width: int, height: int = 900, *, dark: bool = False) -> None:
        """Be of this size, and of this taste."""
        self._call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", features=[scheme])

    def without_scripts(self) -> None:
        """Run no script of any page."""
        self._call("Emulation.setScriptExecutionDisabled", value=True)

    def visit(self, address: str) -> None:
        """Open this page, and wait until it is there."""
        self._call("Page.navigate", url=address)
        self.until(f"document.readyState === 'complete' && location.href === {json.dumps(address)}")

    def value(self, expression: str) -> Any:
        """What JavaScript makes of it, in the page."""
        answer = self._call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def until(self, expression: str) -> None:
        """Until that is true in the page."""
        end_s = time.monotonic() + TIMEOUT_S
        while not self.value(expression):
            assert time.monotonic() < end_s, f"never true: {expression}"
            time.sleep(0.05)

    def picture(self, file: Path) -> None:
        """The whole page, as PNG."""
        taken = self._call("Page.captureScreenshot", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(taken["data"]))

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            told = self._read()
            if told.get("id") == self._number:
                assert "error" not in told, (method, told["error"])
                answer: dict[str, Any] = told["result"]
                return answer
            _NOTES.get(told.get("method", ""), _ignore)(self, told["params"])

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            data = os.read(self._in, 1 << 16)
            assert data, "the browser is gone"
            self._buffer += data
        raw, _, self._buffer = self._buffer.partition(b"\0")
        told: dict[str, Any] = json.loads(raw)
        return told

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        os.close(self._out)  # it ends when nobody can tell it anything any more
        os.close(self._in)
        try:
            self._process.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(TIMEOUT_S)


def _ignore(browser: Browser, told: dict[str, Any]) -> None:
    """Nothing that anybody wants to know."""


def _asked(browser: Browser, told: dict[str, Any]) -> None:
    browser.asked.append(told["request"]["url"])


def _logged(browser: Browser, told: dict[str, Any]) -> None:
    if told["entry"]["level"] in ("warning", "error"):
        browser.complaints.append(told["entry"]["text"])


def _thrown(browser: Browser, told: dict[str, Any]) -> None:
    browser.complaints.append(json.dumps(told["exceptionDetails"]))


def _said(browser: Browser, told: dict[str, Any]) -> None:
    if told["type"] in ("warning", "error", "assert"):
        browser.complaints.append(json.dumps(told["args"]))


_NOTES: dict[str, Callable[[Browser, dict[str, Any]], None]] = {
    "Network.requestWillBeSent": _asked,
    "Log.entryAdded": _logged,
    "Runtime.exceptionThrown": _thrown,
    "Runtime.consoleAPICalled": _said,
}
