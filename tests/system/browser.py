"""Headless Chromium through its DevTools protocol: as much as these tests need.

    with Browser() as browser:
        browser.open(site.url)
        browser.type("#name", "Ada")
        browser.click("button")
        assert "Ada" in browser.text()
        browser.screenshot(path)

Everything waits for an event or a condition with a deadline; nothing sleeps.
"""

import asyncio
import base64
import json
import os
import shutil
import subprocess
import tempfile
import urllib.request
from pathlib import Path

import websockets
from harness import wait_until

DEADLINE = 30.0
OPTIONS = [
    "--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-default-apps", "--mute-audio",
    "--disable-dev-shm-usage", "--remote-debugging-port=0", "about:blank",
]


async def connect(address: str):
    return await websockets.connect(address, max_size=None)


class PageError(Exception):
    """JavaScript threw, or a command of the protocol failed."""


class Browser:
    def __init__(self, width: int = 1100, height: int = 800, dark: bool = False):
        self.folder = Path(tempfile.mkdtemp(prefix="terrace-browser-"))
        self.size, self.dark = (width, height), dark
        self.loop = asyncio.new_event_loop()
        self.number = 0
        self.socket = None
        self.events: list[dict] = []

    def __enter__(self):
        command = ["chromium", "--user-data-dir=%s" % (self.folder / "profile"), *OPTIONS]
        if os.geteuid() == 0:
            command.insert(1, "--no-sandbox")  # it refuses to be sandboxed as root
        with open(self.folder / "output.log", "wb") as output:
            self.child = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
        try:
            self._attach()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.socket is not None:
            self._wait(self.socket.close())
        self.child.terminate()
        try:
            self.child.wait(10)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        self.loop.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _attach(self):
        """Finds the port that Chromium chose, and speaks to its first page."""
        ports = self.folder / "profile/DevToolsActivePort"
        wait_until(lambda: ports.exists() and ports.read_text().count("\n") == 1, "Chromium starts", DEADLINE)
        address = "http://127.0.0.1:%s/json" % ports.read_text().split()[0]

        def page():
            with urllib.request.urlopen(address, timeout=DEADLINE) as answer:
                return next((one for one in json.load(answer) if one["type"] == "page"), None)

        found = wait_until(page, "Chromium has a page", DEADLINE)
        self.socket = self._wait(connect(found["webSocketDebuggerUrl"]))
        self.command("Page.enable")
        self.command("Log.enable")
        self.command("Runtime.enable")
        self._emulate()

    def _emulate(self):
        width, height = self.size
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.command("Emulation.setDeviceMetricsOverride", **metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if self.dark else "light"}
        self.command("Emulation.setEmulatedMedia", features=[scheme])

    def _wait(self, awaitable):
        return self.loop.run_until_complete(asyncio.wait_for(awaitable, DEADLINE))

    def command(self, method: str, **parameters) -> dict:
        """One command of the protocol and its result; events that come meanwhile are kept."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        self._wait(self.socket.send(json.dumps(message)))
        while True:
            answer = json.loads(self._wait(self.socket.recv()))
            if "method" in answer:
                self.events.append(answer)
            elif answer["id"] == self.number:
                if "error" in answer:
                    raise PageError("%s: %s" % (method, answer["error"]))
                return answer["result"]

    def wait_for_event(self, method: str) -> dict:
        while True:
            for at, event in enumerate(self.events):
                if event["method"] == method:
                    del self.events[: at + 1]
                    return event["params"]
            self.events.append(json.loads(self._wait(self.socket.recv())))

    def problems(self) -> list[str]:
        """Errors that the console has shown: files that did not load, exceptions."""
        self.command("Runtime.evaluate", expression="1")
        entries = [event["params"]["entry"] for event in self.events if event["method"] == "Log.entryAdded"]
        thrown = [event["params"] for event in self.events if event["method"] == "Runtime.exceptionThrown"]
        return [entry["text"] for entry in entries if entry["level"] == "error"] + [str(one) for one in thrown]

    # ---- what a person does

    def open(self, url: str):
        """Goes there and waits until it is loaded."""
        self.command("Page.navigate", url=url)
        self.wait_for_event("Page.loadEventFired")

    def resize(self, width: int, height: int, dark: bool = False):
        self.size, self.dark = (width, height), dark
        self._emulate()

    def evaluate(self, expression: str):
        result = self.command("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise PageError(str(result["exceptionDetails"]))
        return result["result"].get("value")

    def type(self, selector: str, text: str):
        self.evaluate("document.querySelector(%s).focus()" % json.dumps(selector))
        self.command("Input.insertText", text=text)

    def click(self, selector: str, loads: bool = True):
        """Clicks the middle of an element with the mouse; with `loads` waits for the next page."""
        self.evaluate("document.querySelector(%s).scrollIntoView({block: 'center'})" % json.dumps(selector))
        box = self.evaluate("(r => [r.x + r.width / 2, r.y + r.height / 2])"
                            "(document.querySelector(%s).getBoundingClientRect())" % json.dumps(selector))
        self.events = [event for event in self.events if event["method"] != "Page.loadEventFired"]
        for kind in ("mousePressed", "mouseReleased"):
            self.command("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)
        if loads:
            self.wait_for_event("Page.loadEventFired")

    def text(self) -> str:
        return self.evaluate("document.body.innerText")

    def screenshot(self, path: Path) -> Path:
        data = self.command("Page.captureScreenshot", format="png")["data"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(data))
        return path
