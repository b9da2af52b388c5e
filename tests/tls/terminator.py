"""TLS in front of a real server whose own build has none (the embedded Postgres and Valkey): it ends here, as behind
stunnel or in a cloud's proxy, and goes on in plain to the server.
"""

import asyncio
import ssl
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Self

BLOCK = 64 * 1024
NO_GSS, SSL, YES, NO = 80877104, 80877103, b"S", b"N"


class Terminator:
    """Listens on loopback with a certificate. `secure` counts connections that spoke TLS, by its version; `plain` those
    that would not, which are closed; `heard` is what clients have said over TLS, in bytes.

    Of Postgres a client asks first, in plain, whether it may speak TLS.
    """

    def __init__(self, target: tuple[str, int], context: ssl.SSLContext, *, postgres: bool = False) -> None:
        self.secure: dict[str, int] = {}
        self.plain = 0
        self.heard = 0
        self.port = 0
        self._target = target
        self._context = context
        self._postgres = postgres
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._connections = set[asyncio.Task[None]]()

    def __enter__(self) -> Self:
        self._thread.start()
        server = self._do(asyncio.start_server(self._accept, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._server = server
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _end(self) -> None:
        self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self._serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass  # refused by the client, or gone: what the tests are about
        finally:
            self._connections.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._postgres and not await self._asked(reader, writer):
            self.plain += 1
            return
        try:
            await writer.start_tls(self._context)
        except ssl.SSLError as error:
            if error.reason in ("HTTP_REQUEST", "WRONG_VERSION_NUMBER"):
                self.plain += 1
            raise
        version = str(writer.get_extra_info("ssl_object").version())
        self.secure[version] = self.secure.get(version, 0) + 1
        there, back = await asyncio.open_connection(*self._target)
        try:
            await asyncio.gather(_pass_on(reader, back, self._hear), _pass_on(there, writer))
        finally:
            back.close()

    def _hear(self, size: int) -> None:
        self.heard += size

    async def _asked(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        while (asked := int.from_bytes((await reader.readexactly(8))[4:])) == NO_GSS:
            writer.write(NO)
        if asked == SSL:
            writer.write(YES)
        return asked == SSL


async def _pass_on(
    source: asyncio.StreamReader, sink: asyncio.StreamWriter, heard: Callable[[int], None] = lambda _: None
) -> None:
    while block := await source.read(BLOCK):
        heard(len(block))
        sink.write(block)
        await sink.drain()
    sink.close()
