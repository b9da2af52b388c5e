"""A real server that speaks S3, in a process of its own, and a line to it that tests can cut."""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from aiobotocore.session import get_session
from pydantic import SecretStr

from shared.files.s3 import Credentials, S3Store
from tests.ports import free_port

KEY, SECRET = "test-key", "test-secret-of-the-bucket"
CREDENTIALS = Credentials(KEY, SecretStr(SECRET), None)
REGION = "eu-central-1"
READY_WITHIN_S = 30


@dataclass(frozen=True)
class Bucket:
    """A bucket of the test's own, and what a process needs to know to use it."""

    url: str
    endpoint_url: str

    @property
    def settings(self) -> dict[str, str]:
        """Environment of our processes."""
        return {
            "ASSISTANTD_BLOB_URL": self.url,
            "AWS_ENDPOINT_URL_S3": self.endpoint_url,
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
        }

    def store(self) -> S3Store:
        """A store in it."""
        prefix = self.url.removeprefix(f"s3://{self.name}")
        return S3Store(
            self.name, prefix.strip("/"), endpoint_url=self.endpoint_url, region=REGION, credentials=CREDENTIALS
        )

    @property
    def name(self) -> str:
        """Without what is below it."""
        return self.url.removeprefix("s3://").partition("/")[0]

    @asynccontextmanager
    async def client(self) -> AsyncGenerator[Any]:
        """For looking into it from outside."""
        session = get_session()
        async with session.create_client(
            "s3",
            endpoint_url=self.endpoint_url,
            region_name=REGION,
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
        ) as client:
            yield client

    async def keys(self) -> set[str]:
        """Keys of all that is in it."""
        async with self.client() as client:
            pages = client.get_paginator("list_objects_v2").paginate(Bucket=self.name)
            return {found["Key"].rpartition("/")[2] async for page in pages for found in page.get("Contents", ())}

    async def unfinished(self) -> int:
        """How many multipart uploads are neither completed nor aborted."""
        async with self.client() as client:
            return len((await client.list_multipart_uploads(Bucket=self.name)).get("Uploads", ()))

    def by(self, line: "Line") -> "Bucket":
        """The same, reached by that line."""
        return Bucket(self.url, line.url)


@contextmanager
def s3_server(log: Path) -> Generator[str]:
    """The endpoint's URL."""
    port = free_port()
    command = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=inherited)
    try:
        deadline = time.monotonic() + READY_WITHIN_S
        while not _listens(port):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)  # it doesn't tell when it is ready
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


async def new_bucket(endpoint_url: str) -> Bucket:
    """A bucket with a prefix in it."""
    bucket = Bucket(f"s3://files-{uuid4().hex[:12]}/some/where", endpoint_url)
    async with bucket.client() as client:
        await client.create_bucket(Bucket=bucket.name, CreateBucketConfiguration={"LocationConstraint": REGION})
    return bucket


@dataclass
class Line:
    """A TCP connection to a server, which can be cut and mended; `cut_after` cuts it in mid-answer."""

    target: tuple[str, int]
    port: int = field(default_factory=free_port)
    cut_after: int | None = None  # bytes of answers, of all connections together
    _server: asyncio.Server | None = None
    _open: set[asyncio.StreamWriter] = field(default_factory=set[asyncio.StreamWriter])

    @property
    def url(self) -> str:
        """Where it begins."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def connections(self) -> int:
        """That are open."""
        return len(self._open)

    async def mend(self) -> None:
        """Take connections."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def cut(self) -> None:
        """Refuse connections, and end those that are open."""
        if self._server is not None:
            self._server.close()
        self._hang_up()
        if self._server is not None:
            await self._server.wait_closed()

    def _hang_up(self) -> None:
        for writer in self._open:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            there, back = await asyncio.open_connection(*self.target)
            self._open.add(writer)
            try:
                await asyncio.gather(self._pass(reader, back, counts=False), self._pass(there, writer, counts=True))
            finally:
                self._open.discard(writer)
                back.transport.abort()
                writer.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, counts: bool) -> None:
        while data := await reader.read(65536):
            if counts and self.cut_after is not None:
                self.cut_after -= len(data)
                if self.cut_after < 0:
                    self.cut_after = None
                    self._hang_up()
                    return
            writer.write(data)
            await writer.drain()
        writer.transport.abort()


@asynccontextmanager
async def line_to(endpoint_url: str) -> AsyncGenerator[Line]:
    """A line that works to begin with."""
    line = Line(("127.0.0.1", int(endpoint_url.rpartition(":")[2])))
    await line.mend()
    yield line
    await line.cut()
