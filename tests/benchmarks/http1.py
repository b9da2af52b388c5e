"""As much of HTTP/1.1 as a load client needs, over asyncio: a client that costs a tenth of what it measures."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

OK = 200


class Refused(Exception):
    """An answer other than 200; the message is its status and body."""


class Connection:
    """One kept-alive connection to a local port, opened by the first request; requests follow one another."""

    def __init__(self, port: int, key: str = "none") -> None:
        self._port = port
        self._key = key
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._chunked = False
        self._length = 0

    async def json(self, method: str, path: str, body: object = None) -> Any:
        """Ask, and return the answer's JSON. Raises Refused."""
        return json.loads(b"".join([piece async for piece in self.stream(method, path, body)]))

    async def stream(self, method: str, path: str, body: object = None) -> AsyncIterator[bytes]:
        """Ask, and yield the answer's body as the server cut it. Raises Refused."""
        status, reader = await self._ask(method, path, b"" if body is None else json.dumps(body).encode())
        if status != OK:
            raise Refused(f"{method} {path}: {status} {b''.join([piece async for piece in self._body(reader)])[:500]}")
        async for piece in self._body(reader):
            yield piece

    def close(self) -> None:
        """Close the connection; the next request opens another one."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def until_closed(self) -> None:
        """Wait until the server closes it, while nothing is asked."""
        if self._streams is not None:
            await self._streams[0].read(1)

    async def _ask(self, method: str, path: str, body: bytes) -> tuple[int, asyncio.StreamReader]:
        if self._streams is None or self._streams[0].at_eof():  # the server closes what has idled for long
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        asked = (
            f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {self._key}\r\n"
            f"openai-beta: assistants=v2\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        writer.write(asked.encode() + body)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        self._chunked = b"transfer-encoding: chunked" in head
        self._length = 0 if self._chunked else int(head.split(b"content-length:")[1].split(b"\r\n")[0])
        return int(head[9:12]), reader

    async def _body(self, reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
        if not self._chunked:
            yield await reader.readexactly(self._length)
            return
        while size := int(await reader.readline(), 16):
            yield (await reader.readexactly(size + 2))[:-2]
        await reader.readexactly(2)
