"""HTTP as these clients speak it: an answer, or one of two ways of getting none."""

import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import aiohttp
import orjson

Json = dict[str, Any]

OK = 200
SILENCE_S = 25.0  # keep-alives come every 15 s


class Refused(Exception):
    """The server answered, and not with 200."""


class Broken(Exception):
    """The connection broke: nobody knows what the server did."""


class Event(NamedTuple):
    """One server-sent event; `[DONE]` has no data."""

    term: int
    number: int
    name: str
    data: Json


class Form(NamedTuple):
    """A request's body with a file in it."""

    fields: dict[str, str]
    filename: str
    content: bytes

    def data(self) -> aiohttp.FormData:
        """For one request: aiohttp uses it up."""
        form = aiohttp.FormData(self.fields)
        form.add_field("file", self.content, filename=self.filename)
        return form


class Wire:
    """A project's requests, each to any of the API processes."""

    def __init__(self, key: str, base_urls: list[str], rng: random.Random) -> None:
        self._base_urls = base_urls
        self._rng = rng
        self.session = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {key}", "OpenAI-Beta": "assistants=v2"},
            timeout=aiohttp.ClientTimeout(total=None, connect=5, sock_read=SILENCE_S),
            connector=aiohttp.TCPConnector(limit=0),
        )

    async def ask(self, method: str, path: str, body: Json | Form | None = None, **headers: str) -> Json:
        """The answer's JSON. Raises Broken or Refused."""
        async with self._request(method, path, body, headers) as response:
            return orjson.loads(await response.read())

    async def events(self, method: str, path: str, body: Json | None = None, **headers: str) -> AsyncGenerator[Event]:
        """The events of a stream, to its proper end. Raises Broken or Refused."""
        async with self._request(method, path, body, headers) as response:
            fields: dict[str, str] = {}
            async for raw in response.content:
                line = raw.decode().removesuffix("\n")
                if line.startswith(":"):
                    continue
                if line:
                    name, _, value = line.partition(": ")
                    fields[name] = value
                    continue
                term, number = fields["id"].split("-")
                data = fields["data"]
                yield Event(int(term), int(number), fields["event"], {} if data == "[DONE]" else orjson.loads(data))
                fields = {}

    @asynccontextmanager
    async def _request(
        self, method: str, path: str, body: Json | Form | None, headers: dict[str, str]
    ) -> AsyncGenerator[aiohttp.ClientResponse]:
        url = self._rng.choice(self._base_urls) + path
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        content: dict[str, Any] = {"data": body.data()} if isinstance(body, Form) else {"json": body}
        try:
            async with self.session.request(method, url, **content, headers=sent) as response:
                if response.status != OK:
                    raise Refused(f"{response.status} {(await response.text())[:300]}")
                yield response
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Broken(repr(error)) from error
