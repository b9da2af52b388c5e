"""What a call has shown, kept so that asking again gives the same answer instead of executing again."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import orjson

BLOCK = 256 * 1024
ALIVE = b"\n"  # an empty line among the events: the call goes on


class Record:
    """The events of one call, one JSON object a line, in a file of the service's own. Can be read while it grows."""

    def __init__(self, path: Path, code: str) -> None:
        self._path = path
        self._code = hashlib.sha256(code.encode()).digest()
        self._file = path.open("wb", buffering=0)
        self._news = asyncio.Event()
        self.size = 0
        self.is_finished = False

    def is_of(self, code: str) -> bool:
        """Whether it was made for this code."""
        return self._code == hashlib.sha256(code.encode()).digest()

    def append(self, event: dict[str, Any]) -> None:
        """One more event. Raises OSError where the disk is full."""
        line = orjson.dumps(event) + b"\n"
        self._file.write(line)
        self.size += len(line)
        self._wake()

    def finish(self) -> None:
        """There will be no more."""
        self.is_finished = True
        self._file.close()
        self._wake()

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    def remove(self) -> None:
        """Forget it. Whoever is reading still reads it to the end."""
        self._path.unlink(missing_ok=True)

    async def follow(self, beat_s: float) -> AsyncGenerator[bytes]:
        """All of it from the first event on, as it comes; ALIVE after each `beat_s` seconds of silence."""
        with self._path.open("rb") as file:
            while True:
                news = self._news
                if data := file.read(BLOCK):
                    yield data
                elif self.is_finished:
                    return
                else:
                    try:
                        await asyncio.wait_for(news.wait(), beat_s)
                    except TimeoutError:
                        yield ALIVE
