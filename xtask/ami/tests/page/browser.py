"""A headless Chromium, spoken to over a pipe in the Chrome DevTools Protocol: no driver, no port, no library."""

import json
import os
import select
import subprocess
import time

LIMIT_SECONDS = 60


class Browser:
    """A browser with one page. What the page does wrong is collected in `faults`."""

    def __init__(self, folder):
        to_browser, self.out = os.pipe()
        self.inp, from_browser = os.pipe()

        def hand_over():
            # Chromium reads from 3 and writes to 4. The ends may already have these numbers.
            ends = [os.dup(to_browser), os.dup(from_browser)]
            ends = [os.dup(end) if end in (3, 4) else end for end in ends]
            os.dup2(ends[0], 3)
            os.dup2(ends[1], 4)

        words = ["chromium", "--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu"]
        words += ["--no-first-run", "--hide-scrollbars", f"--user-data-dir={folder}", "about:blank"]
        quiet = subprocess.DEVNULL
        self.process = subprocess.Popen(
            words, preexec_fn=hand_over, close_fds=False, stdin=quiet, stdout=quiet, stderr=quiet
        )
        os.close(to_browser)
        os.close(from_browser)
        self.number, self.buffer, self.session, self.faults, self.loaded = 0, b"", None, [], False
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ["Page", "Runtime", "Log", "Network"]:
            self.call(f"{domain}.enable")

    def call(self, method, **parameters):
        """Has the browser do something, and waits for its answer."""
        self.number += 1
        order = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            order["sessionId"] = self.session
        os.write(self.out, json.dumps(order).encode() + b"\0")
        return self.until(lambda message: message.get("id") == self.number, method)

    def until(self, is_wanted, what):
        """Takes messages up to the wanted one."""
        limit = time.monotonic() + LIMIT_SECONDS
        while True:
            while b"\0" in self.buffer:
                text, self.buffer = self.buffer.split(b"\0", 1)
                message = json.loads(text)
                self.take(message)
                if is_wanted(message):
                    if "error" in message:
                        raise RuntimeError(f"{what}: {message['error']}")
                    return message.get("result")
            ready, _, _ = select.select([self.inp], [], [], max(0, limit - time.monotonic()))
            chunk = os.read(self.inp, 1 << 16) if ready else b""
            if not chunk:
                raise RuntimeError(f"{what}: the browser gave no answer")
            self.buffer += chunk

    def take(self, message):
        """Looks for what a page must not do."""
        method, details = message.get("method"), message.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.faults.append(f"exception: {details['exceptionDetails']['text']}")
        elif method == "Runtime.consoleAPICalled" and details["type"] in ("error", "warning", "assert"):
            self.faults.append(f"console: {details['args']}")
        elif method == "Log.entryAdded" and details["entry"]["level"] in ("error", "warning"):
            self.faults.append(f"log: {details['entry']['text']}")
        elif method == "Network.requestWillBeSent":
            address = details["request"]["url"]
            if not address.startswith(("file:", "data:", "about:")):
                self.faults.append(f"request: {address}")

    def open(self, path, width, scheme):
        """Shows a file in a window of this width, in the light or the dark scheme."""
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        self.call("Emulation.setDeviceMetricsOverride", **metrics)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", media="", features=features)
        self.call("Page.navigate", url=f"file://{path}")
        self.until(lambda message: message.get("method") == "Page.loadEventFired", "loading the page")

    def run(self, script):
        """The value of an expression of JavaScript, which may be a promise."""
        order = {"expression": script, "awaitPromise": True, "returnByValue": True}
        answer = self.call("Runtime.evaluate", **order)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{script[:80]}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def press(self, key, text="", shift=False):
        """Presses a key and lets it go."""
        codes = {"Tab": 9, "Enter": 13, "Escape": 27, "ArrowDown": 40, "ArrowUp": 38, "ArrowRight": 39, "ArrowLeft": 37}
        base = {"key": key, "code": key, "modifiers": 8 if shift else 0}
        base["windowsVirtualKeyCode"] = codes.get(key, ord(text or "\0"))
        kind = {"type": "keyDown", "text": text} if text else {"type": "rawKeyDown"}
        self.call("Input.dispatchKeyEvent", **kind, **base)
        self.call("Input.dispatchKeyEvent", type="keyUp", **base)

    def close(self):
        """Ends the browser."""
        self.process.terminate()
        self.process.wait(LIMIT_SECONDS)
