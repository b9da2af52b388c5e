"""A page in a browser, spoken to by the browser's own protocol over the HTTP client that we have.

No driver in between: what these tests want of one is to open a page, to wait for what it shows, and to click.
"""

import asyncio
import itertools
import os
import signal
import tempfile
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Self

import aiohttp
import orjson

from tests.browser import require

PATIENCE = timedelta(seconds=20)
LISTENS = b"DevTools listening on "

# Resolves with the first value of the expression that counts as true, looking again at each change of the document.
_FIRST = """new Promise(resolve => {
  const look = () => { const found = %s; if (found) { watch.disconnect(); resolve(found); } };
  const watch = new MutationObserver(look);
  watch.observe(document, {subtree: true, childList: true, characterData: true, attributes: true});
  look();
})"""


class Page:
    """One tab of a browser of its own."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._tab: dict[str, str] = {}
        self._events: list[str] = []

    @classmethod
    @asynccontextmanager
    async def new(cls) -> AsyncGenerator[Self]:
        """Start the browser. Skips where there is none."""
        with tempfile.TemporaryDirectory(prefix="assistantd-browser-", ignore_cleanup_errors=True) as profile:
            options = ["--headless", "--remote-debugging-port=0", f"--user-data-dir={profile}", "--disable-gpu"]
            if os.geteuid() == 0:
                options.append("--no-sandbox")  # Chromium has none for root
            browser = await asyncio.create_subprocess_exec(
                require(),
                *options,
                stderr=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                start_new_session=True,  # Debian starts it by a shell script, and it starts others: they go together
            )
            try:
                address = await asyncio.wait_for(_address(browser), PATIENCE.total_seconds())
                async with aiohttp.ClientSession() as http, http.ws_connect(address, max_msg_size=0) as socket:
                    page = cls(socket)
                    await page._begin()
                    yield page
            finally:
                os.killpg(browser.pid, signal.SIGKILL)
                await browser.wait()

    async def open(self, url: str) -> None:
        """Go there; returns when the page and its scripts are loaded."""
        gone = await self._ask("Page.navigate", url=url)
        assert "errorText" not in gone, gone["errorText"]
        await self._hear(lambda: "Page.loadEventFired" in self._events)

    async def go(self, path: str) -> None:
        """To another page of the same server; who has given a password there isn't asked again."""
        await self.open(str(await self.evaluate(f"location.origin + '{path}'")))

    async def first(self, expression: str) -> Any:
        """The value of a JavaScript expression, once it is one that counts as true. Raises AssertionError with what is
        seen instead.
        """
        try:
            return await self.evaluate(_FIRST % expression)
        except TimeoutError:
            raise AssertionError(f"not within {PATIENCE}: {expression}\n{await self.text()}") from None

    async def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression."""
        answer = await self._ask("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def text(self) -> str:
        """What a reader sees."""
        return str(await self.evaluate("document.body.innerText"))

    async def _begin(self) -> None:
        tab = await self._ask("Target.createTarget", url="about:blank")
        attached = await self._ask("Target.attachToTarget", targetId=tab["targetId"], flatten=True)
        self._tab = {"sessionId": attached["sessionId"]}
        await self._ask("Page.enable")

    async def _ask(self, method: str, **params: Any) -> dict[str, Any]:
        """One command and its answer; of what happens meanwhile the names are kept until the next command."""
        number = next(self._numbers)
        self._events.clear()
        await self._socket.send_str(
            orjson.dumps({"id": number, "method": method, "params": params, **self._tab}).decode()
        )
        answer = await self._hear(lambda: False, number)
        assert "error" not in answer, answer["error"]
        return answer["result"]

    async def _hear(self, enough: Callable[[], bool], number: int | None = None) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE.total_seconds()):
            while not enough():
                told = orjson.loads(await self._socket.receive_str())
                if number is not None and told.get("id") == number:
                    return told
                self._events.append(told.get("method", ""))
        return {}


async def _address(browser: asyncio.subprocess.Process) -> str:
    """Where it listens, which it says on standard error; what else it says there is passed over."""
    assert browser.stderr is not None
    async for line in browser.stderr:
        if line.startswith(LISTENS):
            return line.removeprefix(LISTENS).decode().strip()
    raise AssertionError("the browser ended at once")
