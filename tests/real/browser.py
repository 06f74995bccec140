"""A real headless Chromium, spoken to by its DevTools protocol."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import signal
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

TIMEOUT = 30.0  # seconds that anything here may take on a busy machine
COMMAND = (
    "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-quic", "--hide-scrollbars",
    "--remote-debugging-port=0", "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
)  # fmt: skip
# Runs before the page's own content; a content security policy does not bind the debugger.
WATCH_POLICY = """
window.violations = [];
document.addEventListener("securitypolicyviolation", e => window.violations.push(e.violatedDirective));
"""

Json = dict[str, Any]


@dataclass
class Page:
    """A tab. ``errors``: what it logged or threw; ``requests``: the addresses that it asked for."""

    socket: aiohttp.ClientWebSocketResponse
    session: str = ""
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    _answers: dict[int, asyncio.Future[Json]] = field(default_factory=dict)
    _loaded: asyncio.Event = field(default_factory=asyncio.Event)

    async def call(self, method: str, **parameters: Any) -> Json:
        """One command of the protocol and its result."""
        number = len(self._answers)
        self._answers[number] = answer = asyncio.get_running_loop().create_future()
        message = {"id": number, "method": method, "params": parameters}
        await self.socket.send_json({**message, "sessionId": self.session} if self.session else message)
        return await asyncio.wait_for(answer, TIMEOUT)

    async def listen(self) -> None:
        """Takes what the browser sends, until it closes."""
        async for message in self.socket:
            reply = message.json()
            if "id" in reply:
                answer = self._answers[reply["id"]]
                if "error" in reply:
                    answer.set_exception(RuntimeError(reply["error"]["message"]))
                else:
                    answer.set_result(reply["result"])
            else:
                self._happened(reply["method"], reply["params"])

    def _happened(self, event: str, details: Json) -> None:
        if event == "Page.loadEventFired":
            self._loaded.set()
        elif event == "Network.requestWillBeSent":
            self.requests.append(details["request"]["url"])
        elif event in {"Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Page.javascriptDialogOpening"}:
            self.errors.append(str(details))
        elif event == "Log.entryAdded":
            self.errors.append(details["entry"]["text"])

    async def open(self) -> None:
        """Makes the tab and watches what it does."""
        target = await self.call("Target.createTarget", url="about:blank")
        attached = await self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self.session = attached["sessionId"]
        for part in ("Page", "Runtime", "Log", "Network"):
            await self.call(f"{part}.enable")
        await self.call("Page.addScriptToEvaluateOnNewDocument", source=WATCH_POLICY)

    async def load(self, url: str) -> None:
        """Loads a page whole."""
        self.errors.clear()
        self.requests.clear()
        self._loaded.clear()
        await self.call("Page.navigate", url=url)
        await asyncio.wait_for(self._loaded.wait(), TIMEOUT)

    async def look(self, width: int, height: int = 900, *, dark: bool = False) -> None:
        """Gives it a size and a colour scheme."""
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])

    async def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression."""
        reply = await self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in reply:
            raise RuntimeError(str(reply["exceptionDetails"]))
        return reply["result"].get("value")

    async def accessible(self) -> list[tuple[str, str]]:
        """What an assistive technology meets, in order: roles and names."""
        tree = await self.call("Accessibility.getFullAXTree")
        nodes = (node for node in tree["nodes"] if not node["ignored"])
        return [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes]

    async def press(self, key: str) -> None:
        """Presses a key and lets it go."""
        for kind in ("rawKeyDown", "keyUp"):
            await self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=9)

    async def picture(self, path: Path) -> None:
        """Takes a picture (PNG) of the whole page, however long."""
        reply = await self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(reply["data"]))


@contextlib.asynccontextmanager
async def chromium() -> AsyncIterator[Page]:
    """A tab of a fresh browser, which is ended with all its processes."""
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as home:
        process = await asyncio.create_subprocess_exec(
            *COMMAND, f"--user-data-dir={home}",
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        try:
            address = await asyncio.wait_for(_address(Path(home, "DevToolsActivePort")), TIMEOUT)
            async with aiohttp.ClientSession() as http, http.ws_connect(address, max_msg_size=0) as socket:
                page = Page(socket)
                listener = asyncio.create_task(page.listen())
                await page.open()
                yield page
                listener.cancel()
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def _address(file: Path) -> str:
    """Where the browser listens, which it writes into a file."""
    while True:
        with contextlib.suppress(OSError, ValueError):
            port, path = file.read_text().split()
            return f"ws://127.0.0.1:{port}{path}"
        await asyncio.sleep(0.05)
