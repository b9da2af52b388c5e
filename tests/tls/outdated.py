"""A server that has learnt nothing since TLS 1.1. It takes a connection at a time, in a thread: asyncio, unlike real
servers, hangs up without a word where no version can be agreed on.
"""

import socket
import ssl
import threading
from contextlib import suppress
from typing import Self

from tests.tls.terminator import NO, NO_GSS, YES


class Outdated:
    """`heard` is what clients have said over TLS, in bytes; `refusals` are the handshakes that came to nothing."""

    def __init__(self, context: ssl.SSLContext, *, postgres: bool) -> None:
        self.heard = 0
        self.refusals: list[str] = []
        self._context = context
        self._postgres = postgres
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):  # the listener is closed
            while True:
                connection, _ = self._listener.accept()
                with connection:
                    self._try(connection)

    def _try(self, connection: socket.socket) -> None:
        if self._postgres:
            while int.from_bytes(connection.recv(8)[4:]) == NO_GSS:
                connection.sendall(NO)
            connection.sendall(YES)
        try:
            with self._context.wrap_socket(connection, server_side=True) as secure:
                self.heard += len(secure.recv(1024))
        except OSError as error:
            self.refusals.append(str(getattr(error, "reason", error)))
