"""Chromium without a window, driven by the DevTools protocol over a pair of pipes: no driver and no library needed.

It has no network: every request of a page is refused, and :attr:`Browser.requests` lists those that were tried.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
_OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--no-first-run",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)
#: The file descriptors from which Chromium reads commands and to which it writes answers.
_HEARS, _ANSWERS = 3, 4


def found() -> str | None:
    """The program, where it is installed."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """A browser with one page; use it in a ``with``."""

    def __init__(self, width: int = 1280, height: int = 900, patience: float = 120) -> None:
        program = found()
        if program is None:
            raise FileNotFoundError("Chromium must be installed, and it is not")
        self.patience = patience
        self.requests: list[str] = []
        self.problems: list[str] = []
        self._profile = tempfile.TemporaryDirectory(prefix="ternforge-chromium-")
        hears, self._write = os.pipe()
        self._read, answers = os.pipe()
        # Out of the way of the two numbers that the child must have.
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 20) for end in (hears, answers)]

        def arrange() -> None:
            os.dup2(ends[0], _HEARS)
            os.dup2(ends[1], _ANSWERS)

        options = [f"--user-data-dir={self._profile.name}", f"--window-size={width},{height}"]
        self._process = subprocess.Popen(
            [program, *_OPTIONS, *options, "about:blank"],
            preexec_fn=arrange,
            pass_fds=(_HEARS, _ANSWERS),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for end in (hears, answers, *ends):
            os.close(end)
        self._rest, self._number, self._session = b"", 0, ""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        offline = {"offline": True, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        self.call("Network.emulateNetworkConditions", **offline)
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the browser."""
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._write)
        os.close(self._read)
        shutil.rmtree(self._profile.name, ignore_errors=True)

    def call(self, method: str, **parameters: Any) -> Any:
        """The result of a method of the protocol. Raises ``RuntimeError`` for an error, ``TimeoutError``."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        _write_all(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self._hear(answer)

    def _hear(self, event: dict[str, Any]) -> None:
        method, facts = event.get("method"), event.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requests.append(facts["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            details = facts["exceptionDetails"]
            self.problems.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Log.entryAdded" and facts["entry"]["level"] == "error":
            self.problems.append(facts["entry"]["text"])

    def _next(self) -> dict[str, Any]:
        until = time.monotonic() + self.patience
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._read], [], [], max(0.0, until - time.monotonic()))
            piece = os.read(self._read, 1 << 20) if ready else b""
            if not piece:
                raise TimeoutError(f"Chromium must answer within {self.patience:.0f} s, and it did not")
            self._rest += piece
        line, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        return message

    def open(self, page: Path) -> None:
        """Load a file and wait until its script has drawn everything."""
        self.call("Page.navigate", url=page.resolve().as_uri())
        until = time.monotonic() + self.patience
        while self.evaluate("document.documentElement?.dataset.ready || ''") != "yes":
            if time.monotonic() > until or self.problems:
                raise RuntimeError(f"{page.name} must draw itself, and it did not: {self.problems[:3]}")
            time.sleep(0.1)

    def evaluate(self, expression: str) -> Any:
        """The value of an expression in the page. Raises ``RuntimeError`` where it throws."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in found:
            raise RuntimeError(found["exceptionDetails"]["exception"]["description"])
        return found["result"].get("value")

    def click(self, x: float, y: float, to: tuple[float, float] | None = None) -> None:
        """Press the left button at a place of the window, move ``to`` another one, and let go."""
        end = to or (x, y)
        steps = (("mousePressed", (x, y)), ("mouseMoved", end), ("mouseReleased", end))
        for kind, (across, down) in steps:
            spot = {"type": kind, "x": across, "y": down}
            self.call("Input.dispatchMouseEvent", **spot, button="left", buttons=1, clickCount=1)

    def key(self, name: str) -> None:
        """Press a key."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=name, code=name)

    def screenshot(self, path: Path) -> None:
        """Save what the window shows as PNG."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))


def _write_all(end: int, data: bytes) -> None:
    while data:
        data = data[os.write(end, data) :]
