"""A real Chromium, driven by Debian's chromium-driver over the W3C WebDriver protocol.

The protocol is JSON over HTTP, so the standard library is all it takes.
"""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BROWSERS = ("chromium", "google-chrome", "chromium-browser")
START_TIMEOUT_S = 30
CALL_TIMEOUT_S = 60
WAIT_TIMEOUT_S = 120
ELEMENT_KEY = "element-6066-11e4-a52e-4f735466cecf"
# Chromium's own software implementation of Vulkan, so that WebGPU exists without a GPU. The sandbox
# needs privileges that containers do not give.
ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--enable-unsafe-webgpu",
    "--enable-features=Vulkan",
    "--use-vulkan=swiftshader",
    "--use-webgpu-adapter=swiftshader",
)
PHONE = {"width": 390, "height": 844, "pixelRatio": 2.0, "touch": True}


@dataclass(frozen=True)
class Browser:
    """A window.

    Attributes:
        session: Its address at the driver.
    """

    session: str

    def open(self, address: str) -> None:
        self.call("POST", "/url", {"url": address})

    def run(self, script: str, *arguments: object) -> Any:
        """Run the body of a JavaScript function and return its value."""
        return self.call("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def run_async(self, script: str) -> Any:
        """Run the body of a JavaScript function; return what it hands to its last argument."""
        return self.call("POST", "/execute/async", {"script": script, "args": []})

    def wait(self, condition: str, timeout_s: float = WAIT_TIMEOUT_S) -> Any:
        """Wait until a JavaScript expression is true; return its value."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            if value := self.run(f"return {condition}"):
                return value
            time.sleep(0.1)
        raise AssertionError(f"never true: {condition}; the page says: {self.text('body')}")

    def text(self, selector: str) -> str:
        found = self.run("return document.querySelector(arguments[0]).innerText", selector)
        assert isinstance(found, str)
        return found

    def choose(self, selector: str, value: str) -> None:
        """Choose an option of a select, as a user does."""
        self.run(
            "const s = document.querySelector(arguments[0]); s.value = arguments[1];"
            "s.dispatchEvent(new Event('change'))",
            *(selector, value),
        )

    def click(self, selector: str) -> None:
        self.call("POST", f"/element/{self._find(selector)}/click", {})

    def press(self, selector: str) -> None:
        """Press a button with the keyboard's or a script's click.

        Chromium's detector of gestures makes no click of a tap that the driver sends right after
        strokes of its own.
        """
        self.run("document.querySelector(arguments[0]).click()", selector)

    def pick_file(self, selector: str, path: Path) -> None:
        self.call("POST", f"/element/{self._find(selector)}/value", {"text": str(path)})

    def draw(self, selector: str, strokes: Sequence[Sequence[tuple[float, float]]]) -> None:
        """Draw lines through points given as shares of the element's width and height."""
        script = (
            "const e = document.querySelector(arguments[0]); e.scrollIntoView({block: 'center'});"
            "const b = e.getBoundingClientRect(); return [b.left, b.top, b.width, b.height]"
        )
        left, top, width, height = self.run(script, selector)
        moves: list[dict[str, Any]] = []
        for stroke in strokes:
            spots = [(round(left + x * width), round(top + y * height)) for x, y in stroke]
            paths = [
                {"type": "pointerMove", "duration": 20, "x": x, "y": y, "origin": "viewport"}
                for x, y in spots
            ]
            down, up = ({"type": f"pointer{way}", "button": 0} for way in ("Down", "Up"))
            moves += [paths[0], down, *paths[1:], up]
        finger = {"parameters": {"pointerType": "touch"}, "type": "pointer", "id": "finger"}
        self.call("POST", "/actions", {"actions": [finger | {"actions": moves}]})

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.call("GET", "/screenshot")))

    def label(self, selector: str) -> str:
        """The name by which a screen reader calls a control."""
        return str(self.call("GET", f"/element/{self._find(selector)}/computedlabel"))

    def prefer_dark(self) -> None:
        """Let the device be set to dark."""
        feature = {"name": "prefers-color-scheme", "value": "dark"}
        command = {"cmd": "Emulation.setEmulatedMedia", "params": {"features": [feature]}}
        self.call("POST", "/goog/cdp/execute", command)

    def console(self) -> list[str]:
        """What the page complained about so far."""
        entries = self.call("POST", "/se/log", {"type": "browser"})
        return [f"{entry['level']}: {entry['message']}" for entry in entries]

    def call(self, method: str, path: str, body: object = None) -> Any:
        return request(method, self.session + path, body)

    def _find(self, selector: str) -> str:
        found = self.call("POST", "/element", {"using": "css selector", "value": selector})
        return str(found[ELEMENT_KEY])


def find_browser() -> str | None:
    """Path of Chromium, by the names that distributions give it."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def missing_programs() -> str | None:
    """What to install before a browser can be driven, or None."""
    if find_browser() and shutil.which("chromedriver"):
        return None
    return "Chromium with chromedriver is not installed (Debian: apt-get install chromium-driver)"


@contextlib.contextmanager
def driver() -> Iterator[str]:
    """Start chromium-driver; yields its address."""
    process = subprocess.Popen(
        ["chromedriver", "--port=0"],  # noqa: S607 - wherever the machine has it
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield f"http://127.0.0.1:{_port(process)}"
    finally:
        process.terminate()
        process.wait(START_TIMEOUT_S)
        assert process.stdout
        process.stdout.close()


@contextlib.contextmanager
def window(driver_address: str, screen: Mapping[str, object] = PHONE) -> Iterator[Browser]:
    """Open a window as large as ``screen``, with a profile of its own."""
    options = {
        "args": ARGUMENTS,
        "binary": find_browser(),
        "mobileEmulation": {"deviceMetrics": screen},
    }
    wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
    made = request("POST", f"{driver_address}/session", {"capabilities": {"alwaysMatch": wanted}})
    browser = Browser(f"{driver_address}/session/{made['sessionId']}")
    try:
        yield browser
    finally:
        browser.call("DELETE", "")


def request(method: str, address: str, body: object) -> Any:
    """Make a call of the protocol; its errors are failures of the test."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    asked = urllib.request.Request(address, data, headers, method=method)  # noqa: S310
    try:
        with urllib.request.urlopen(asked, timeout=CALL_TIMEOUT_S) as answer:  # noqa: S310
            return json.load(answer)["value"]
    except urllib.error.HTTPError as error:
        with error:
            message = json.load(error)["value"]["message"]
        raise AssertionError(f"{method} {address}: {message}") from None


def _port(process: subprocess.Popen[str]) -> int:
    assert process.stdout
    for line in process.stdout:
        if "started successfully on port" in line:
            return int(line.rstrip().rstrip(".").rsplit(" ", 1)[1])
    raise AssertionError("chromedriver does not start")
