"""A real browser without a network: Chromium, spoken to over pipes in the DevTools protocol.

https://chromedevtools.github.io/devtools-protocol/: messages are JSON, each ends with a NUL byte.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import time

import pytest

OPTIONS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-extensions",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
    "--disable-default-apps", "--no-default-browser-check", "--disable-dev-shm-usage", "--remote-debugging-pipe",
    # No name is looked up, whatever a page asks for.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]  # fmt: skip
SECONDS = 40.0
CONTRAST = """(() => {
  const parse = (text) => { const n = text.match(/[\\d.]+/g).map(Number); return n.length > 3 ? n : [...n, 1]; };
  const linear = (c) => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4;
  const lightness = (rgb) => rgb.slice(0, 3).map((c) => linear(c / 255))
    .reduce((sum, c, at) => sum + c * [.2126, .7152, .0722][at], 0);
  const found = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const of = walk.currentNode.parentElement;
    if (!walk.currentNode.data.trim() || !of.getClientRects().length || of.closest("script, noscript")) continue;
    let ground = [0, 0, 0, 0];
    for (let behind = of; behind && !ground[3]; behind = behind.parentElement) {
      ground = parse(getComputedStyle(behind).backgroundColor);
    }
    const style = getComputedStyle(of);
    const ink = of instanceof SVGElement ? style.fill : style.color;
    const [light, dark] = [lightness(parse(ink)), lightness(ground)].sort((a, b) => b - a);
    found.push([(light + .05) / (dark + .05), walk.currentNode.data.trim().slice(0, 40)]);
  }
  return found.sort((a, b) => a[0] - b[0]);
})()"""
"""The contrast of every text on the page to what is behind it, the lowest first (WCAG 2.2, relative luminance)."""


def chromium():
    """Return the path of the browser, or skip the test by its name; in CI it must be there."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path:
        return path
    reason = "no chromium here: apt-get install chromium"
    if os.environ.get("CI"):
        pytest.fail(reason)
    return pytest.skip(reason)


class Browser:
    """One browser with one page at a time; a context manager."""

    def __init__(self, folder):
        self._number = itertools.count(1)
        self._waiting = b""
        to_browser, self._write = os.pipe()
        self._read, from_browser = os.pipe()
        self.process = subprocess.Popen(
            # Over two others, so that neither is taken by the other: the protocol reads from 3 and writes to 4.
            ["bash", "-c", f'exec {{a}}<&{to_browser} {{b}}>&{from_browser}; exec "$@" 3<&$a 4>&$b', "bash",
             chromium(), *OPTIONS, f"--user-data-dir={folder}", "about:blank"],
            pass_fds=(to_browser, from_browser), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(to_browser)
        os.close(from_browser)
        self.session = None
        self.complaints = []
        """What the page or the browser complained of: exceptions, console errors, breaches of the security policy."""
        self.requests = []
        """The addresses that the page asked for."""

    def __enter__(self):
        try:
            page = self.call("Target.createTarget", url="about:blank")["targetId"]
            self.session = self.call("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
            for domain in ("Page", "Runtime", "Log", "Network"):
                self.call(f"{domain}.enable")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        os.close(self._write)
        os.close(self._read)
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def call(self, method, **parameters):
        """Do what the protocol calls ``method``, and return its result."""
        number = next(self._number)
        message = {"id": number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]

    def _next(self):
        end = time.monotonic() + SECONDS
        while b"\0" not in self._waiting:
            ready, _, _ = select.select([self._read], [], [], max(0, end - time.monotonic()))
            assert ready, "the browser does not answer"
            data = os.read(self._read, 1 << 20)
            assert data, "the browser has ended"
            self._waiting += data
        line, _, self._waiting = self._waiting.partition(b"\0")
        message = json.loads(line)
        self._note(message.get("method"), message.get("params", {}))
        return message

    def _note(self, method, said):
        if method == "Runtime.exceptionThrown":
            self.complaints.append(said["exceptionDetails"].get("exception", said["exceptionDetails"]))
        elif method == "Log.entryAdded" and said["entry"]["level"] in ("error", "warning"):
            self.complaints.append(said["entry"]["text"])
        elif method == "Runtime.consoleAPICalled" and said["type"] in ("error", "warning", "assert"):
            self.complaints.append(said["args"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(said["request"]["url"])

    def look(self, width=1280, height=900, scheme="light", media=""):
        """Set the size of the window, the colour scheme the reader prefers, and "print" or nothing."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", media=media, features=features)

    def open(self, address):
        """Open a page, having forgotten what was said of the last one."""
        self.complaints.clear()
        self.requests.clear()
        self.call("Page.navigate", url=address)

    def tell(self, expression):
        """Return what an expression of JavaScript gives on the page."""
        done = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def wait(self, expression):
        """Return what an expression gives as soon as that is true."""
        end = time.monotonic() + SECONDS
        while not (found := self.tell(expression)):
            assert time.monotonic() < end, (expression, self.complaints)
            time.sleep(0.05)
        return found

    def picture(self, path):
        """Write what the whole page looks like."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 6000), "scale": 1}
        shot = self.call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))
