"""A service that keeps master keys and gives none away, on loopback: data keys are sent to it, and what it answers."""

import asyncio
import os
from base64 import b64decode, b64encode
from collections import Counter
from types import TracebackType
from typing import Self
from uuid import uuid4

import aiohttp
from aiohttp import web
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared.vault.masters import NONCE, MastersAway, NoMasterKey
from shared.vault.opened import DamagedError


class Kms:
    """Its master keys have names of their own, and each client may use those that it was lent.

    `asked` counts what it was asked for. While it is `away` it answers 503; while `goes_on` is clear, not at all.
    """

    def __init__(self) -> None:
        self.asked = Counter[str]()
        self.away = False
        self.goes_on = asyncio.Event()
        self.goes_on.set()
        self.hears = asyncio.Event()
        self._names: dict[bytes, str] = {}
        self._ciphers: dict[str, AESGCM] = {}
        self._lent: dict[str, set[str]] = {}
        self._url = ""

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/{operation}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self._url = f"http://{host}:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.goes_on.set()  # or the handlers of a test that failed would wait for ever
        await self._runner.cleanup()

    def lend(self, *keys: bytes) -> "KmsMasters":
        """A client that may use these, and wraps by the first."""
        for key in keys:
            if key not in self._names:
                name = self._names[key] = f"keys/{len(self._names)}"
                self._ciphers[name] = AESGCM(key)
        names = [self._names[key] for key in keys]
        token = uuid4().hex
        self._lent[token] = set(names)
        return KmsMasters(self._url, token, names[0])

    async def _answer(self, request: web.Request) -> web.Response:
        operation = request.match_info["operation"]
        self.asked[operation] += 1
        self.hears.set()
        await self.goes_on.wait()
        asked = await request.json()
        if self.away:
            return web.Response(status=503)
        if asked["name"] not in self._lent[request.headers["authorization"]]:
            return web.Response(status=403)
        cipher, data, bound_to = self._ciphers[asked["name"]], b64decode(asked["data"]), b64decode(asked["bound_to"])
        if operation == "wrap":
            nonce = os.urandom(NONCE)
            return web.Response(body=nonce + cipher.encrypt(nonce, data, bound_to))
        try:
            return web.Response(body=cipher.decrypt(data[:NONCE], data[NONCE:], bound_to))
        except (InvalidTag, ValueError):
            return web.Response(status=400)


class KmsMasters:
    """Master keys that somebody else keeps."""

    def __init__(self, url: str, token: str, current: str) -> None:
        self._url = url
        self._token = token
        self._current = current

    @property
    def current(self) -> str:
        """The name that wraps."""
        return self._current

    async def wrap(self, secret: bytes, bound_to: bytes) -> bytes:
        """As it is wrapped there. Raises NoMasterKey."""
        return await self._ask("wrap", self._current, secret, bound_to)

    async def unwrap(self, name: str, wrapped: bytes, bound_to: bytes) -> bytes:
        """The data key. Raises NoMasterKey, DamagedError."""
        return await self._ask("unwrap", name, wrapped, bound_to)

    async def _ask(self, operation: str, name: str, data: bytes, bound_to: bytes) -> bytes:
        body = {"name": name, "data": b64encode(data).decode(), "bound_to": b64encode(bound_to).decode()}
        headers = {"authorization": self._token}
        try:
            async with (
                aiohttp.ClientSession() as http,
                http.post(f"{self._url}/{operation}", json=body, headers=headers) as answer,
            ):
                match answer.status:
                    case 200:
                        return await answer.read()
                    case 403:
                        raise NoMasterKey(f"the master key {name} is not ours to use")
                    case 400:
                        raise DamagedError(f"the master key {name} did not wrap it")
                    case status:
                        raise MastersAway(f"who keeps the master key {name} answers {status}")
        except aiohttp.ClientError as error:
            raise MastersAway(f"who keeps the master key {name} is not there: {type(error).__name__}") from None
