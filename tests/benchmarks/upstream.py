"""`python -m tests.benchmarks.upstream PORT`: the model, made to cost next to nothing: 20 tokens and a count.

The model's name says how long an answer takes: `over-0` is written at once, `over-30` has its tokens spread over 30
seconds. `GET /answers` tells when each request since the last such question came in, when its first token left and
when its last (seconds since 1970, the clock of everybody on this machine); `GET /held` how many are being answered.
"""

import asyncio
import contextlib
import json
import sys
import time
from typing import Any

import uvloop

TOKENS = 20
BACKLOG = 4096
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def _chunk(data: bytes) -> bytes:
    line = b"data: " + data + b"\n\n"
    return b"%x\r\n%s\r\n" % (len(line), line)


def _event(choices: list[dict[str, Any]], **more: object) -> bytes:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "bench", "choices": choices}
    return _chunk(json.dumps(head | more).encode())


def _delta(delta: dict[str, str], finish_reason: str | None = None) -> bytes:
    return _event([{"index": 0, "delta": delta, "finish_reason": finish_reason}])


PIECES = [_delta({"content": f"word{number} "}) for number in range(TOKENS)]
USAGE = {"prompt_tokens": 12, "completion_tokens": TOKENS, "total_tokens": 12 + TOKENS}
END = _delta({}, "stop") + _event([], usage=USAGE) + _chunk(b"[DONE]") + b"0\r\n\r\n"
AT_ONCE = STREAM + b"".join(PIECES) + END


class Upstream:
    """The server and what it has seen."""

    def __init__(self) -> None:
        self.held = 0
        self.answers: list[tuple[float, float, float]] = []

    async def serve(self, port: int) -> None:
        """Serve until cancelled."""
        server = await asyncio.start_server(self._connected, "127.0.0.1", port, backlog=BACKLOG)
        await server.serve_forever()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError), contextlib.closing(writer):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                _, sized, length = head.partition(b"content-length:")
                body = await reader.readexactly(int(length.split(b"\r\n")[0])) if sized else b""
                if head.startswith(b"get"):
                    self._tell(writer, head.split(b" ")[1])
                else:
                    await self._answer(writer, float(json.loads(body)["model"].removeprefix("over-")))

    async def _answer(self, writer: asyncio.StreamWriter, seconds: float) -> None:
        arrived_at = time.time()
        self.held += 1
        try:
            first_at = await self._speak(writer, seconds)
        finally:
            self.held -= 1
        self.answers.append((arrived_at, first_at, time.time()))

    async def _speak(self, writer: asyncio.StreamWriter, seconds: float) -> float:
        if seconds == 0:
            writer.write(AT_ONCE)
            return time.time()
        writer.write(STREAM)
        first_at = 0.0
        for piece in PIECES:
            await asyncio.sleep(seconds / TOKENS)
            writer.write(piece)
            first_at = first_at or time.time()
        writer.write(END)
        await writer.drain()
        return first_at

    def _tell(self, writer: asyncio.StreamWriter, path: bytes) -> None:
        told: object = self.held
        if path == b"/answers":
            told, self.answers = self.answers, []
        body = json.dumps(told).encode()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(Upstream().serve(int(sys.argv[1])))
