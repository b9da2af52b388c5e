"""The store in a bucket of S3, or of anything that speaks its protocol.

Memory: one part of `PART` bytes for each `put` under way. Patience: `ATTEMPTS` tries of each request, so that a store
that refuses connections is given up after some 5 seconds, one that swallows packets after some 15, and one that takes a
request and never answers after a minute.
"""

import asyncio
import base64
import hashlib
import ssl
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any, Self

import aiohttp
import structlog
from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.session import get_session
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
from pydantic import SecretStr

from shared import tls
from shared.files.storage import CHUNK, Blob, Stored, StoreUnavailable, in_time, is_ours, place

log = structlog.get_logger(__name__)

PART = 8 * 1024 * 1024  # bytes of a request; S3 wants at least 5 MiB of all but the last, and 10,000 at most
ATTEMPTS = 3
CONNECT_S, SILENCE_S = 3, 20
ABORT_S = 10  # for taking back what was sent, when everything else has failed already


class _Session(AIOHTTPSession):
    """botocore's own way of HTTP, with the TLS that we want everywhere."""

    def _get_ssl_context(self) -> ssl.SSLContext:
        context = super()._get_ssl_context()
        context.minimum_version = tls.OLDEST
        return context


_CONFIG: dict[str, Any] = {
    "connect_timeout": CONNECT_S,
    "read_timeout": SILENCE_S,
    "retries": {"mode": "standard", "total_max_attempts": ATTEMPTS},
    "max_pool_connections": 100,
    "http_session_cls": _Session,
    # Newer checksums are refused by older servers of the same protocol; each part bears its MD5 instead.
    "request_checksum_calculation": "when_required",
    "response_checksum_validation": "when_required",
}


@dataclass(frozen=True, slots=True)
class Credentials:
    """A key of S3; `session_token` belongs to temporary ones."""

    access_key_id: str
    secret_access_key: SecretStr
    session_token: SecretStr | None


class S3Store:
    """Objects in a bucket below a prefix.

    Without `credentials` botocore looks for some: profile, role of the machine or of the pod. With an `endpoint_url`
    buckets stand in the path, as servers other than Amazon's want it.
    """

    def __init__(
        self,
        bucket: str,
        prefix: str,
        *,
        endpoint_url: str | None,
        region: str | None,
        credentials: Credentials | None,
        authorities: Path | None = None,
    ) -> None:
        """Certificates may come from `authorities` alone, if they are given."""
        self._bucket = bucket
        self._prefix = PurePosixPath(prefix)
        self._endpoint_url = endpoint_url
        self._region = region
        self._credentials = credentials
        self._authorities = authorities
        self._opening = asyncio.Lock()
        self._opened: tuple[AsyncExitStack, Any] | None = None

    def owned_by(self, project_id: str) -> Self:
        """It is all the same to us whose they are."""
        del project_id
        return self

    async def put(self, key: str, chunks: AsyncIterable[bytes]) -> Stored:
        """Send in parts; what has one part only is sent at once. Whoever fails takes back what was sent."""
        sha, size = hashlib.sha256(), 0
        async with in_time(), aclosing(_parts(chunks)) as parts:
            part = await anext(parts, b"")
            if len(part) < PART:
                md5 = await asyncio.to_thread(_digest, part, sha)
                async with self._asking("put_object", key) as client:
                    await client.put_object(**self._object(key), Body=BytesIO(part), ContentMD5=md5)
                return Stored(len(part), sha.hexdigest())
            async with self._multipart(key) as send:
                while part:
                    size += len(part)
                    await send(part, await asyncio.to_thread(_digest, part, sha))
                    part = await anext(parts, b"")
        return Stored(size, sha.hexdigest())

    async def open(self, key: str) -> AsyncIterator[bytes]:
        """Read as it comes, in chunks of at most `CHUNK` bytes."""
        async with aclosing(self.open_range(key, 0, None)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def open_range(self, key: str, begin: int, end: int | None) -> AsyncGenerator[bytes]:
        """As it comes. A connection that breaks is taken up again where it broke, `ATTEMPTS` times without a byte."""
        failures = 0
        while end is None or begin < end:
            try:
                async with aclosing(self._read(key, begin, end)) as chunks:
                    async for chunk in chunks:
                        begin += len(chunk)
                        failures = 0
                        yield chunk
            except _BeyondTheEnd:
                return
            except _BrokeOff as error:
                failures += 1
                end = error.end
                if failures == ATTEMPTS:
                    raise StoreUnavailable(f"get_object: {error.reason}") from None
            else:
                return

    async def delete(self, key: str) -> None:
        """Delete the object."""
        async with self._asking("delete_object", key) as client:
            await client.delete_object(**self._object(key))

    async def list(self) -> AsyncIterator[Blob]:
        """A thousand a request."""
        async for page in self._pages("list_objects_v2"):
            for found in page.get("Contents", ()):
                if (path := self._ours(found["Key"])) is not None:
                    yield Blob(path.name, found["LastModified"])

    async def forget_unfinished(self, before: datetime) -> int:
        """Abort multipart uploads that were begun before then: their parts are stored, paid for, and seen by nobody."""
        count = 0
        async for page in self._pages("list_multipart_uploads"):
            for found in page.get("Uploads", ()):
                if self._ours(found["Key"]) is None or found["Initiated"] >= before:
                    continue
                async with self._asking("abort_multipart_upload", found["Key"]) as client:
                    await client.abort_multipart_upload(
                        Bucket=self._bucket, Key=found["Key"], UploadId=found["UploadId"]
                    )
                count += 1
        return count

    async def close(self) -> None:
        """Close the connections, if there are any."""
        opened, self._opened = self._opened, None
        if opened is not None:
            await opened[0].aclose()

    def _object(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": str(self._prefix / place(key))}

    def _ours(self, name: str) -> PurePosixPath | None:
        """The path below the prefix, if it is one of ours."""
        path = PurePosixPath(name)
        if not path.is_relative_to(self._prefix):
            return None
        path = path.relative_to(self._prefix)
        return path if is_ours(path) else None

    async def _pages(self, operation: str) -> AsyncIterator[dict[str, Any]]:
        prefix = "" if self._prefix == PurePosixPath() else f"{self._prefix}/"
        async with self._asking(operation, prefix) as client:
            async for page in client.get_paginator(operation).paginate(Bucket=self._bucket, Prefix=prefix):
                yield page

    async def _read(self, key: str, begin: int, end: int | None) -> AsyncGenerator[bytes]:
        """One request. Raises FileNotFoundError, StoreUnavailable if it is not answered, _BrokeOff in mid-body."""
        whole = begin == 0 and end is None
        more = {} if whole else {"Range": f"bytes={begin}-{'' if end is None else end - 1}"}
        async with self._asking("get_object", key) as client:
            answer = await client.get_object(**self._object(key), **more)
        body = answer["Body"]
        ends = begin + int(answer["ContentLength"])
        try:
            async for chunk in body.iter_chunks(CHUNK):
                yield chunk
        except (BotoCoreError, aiohttp.ClientError, OSError) as error:
            raise _BrokeOff(ends, type(error).__name__) from None
        finally:
            body.close()  # a connection that was not read to its end is of no use to others

    @asynccontextmanager
    async def _multipart(self, key: str) -> AsyncGenerator[Callable[[bytes, str], Awaitable[None]]]:
        """A way to send parts, each with its MD5; they become the object when the block ends, or are taken back."""
        async with self._asking("create_multipart_upload", key) as client:
            begun = await client.create_multipart_upload(**self._object(key))
        upload = {**self._object(key), "UploadId": begun["UploadId"]}
        sent = deque[dict[str, Any]]()

        async def send(part: bytes, md5: str) -> None:
            number = len(sent) + 1
            async with self._asking("upload_part", key) as client:
                answer = await client.upload_part(**upload, PartNumber=number, Body=BytesIO(part), ContentMD5=md5)
            sent.append({"PartNumber": number, "ETag": answer["ETag"]})

        try:
            yield send
            async with self._asking("complete_multipart_upload", key) as client:
                await client.complete_multipart_upload(**upload, MultipartUpload={"Parts": [*sent]})
        except BaseException:
            # Also when we are cancelled: once more, and not for long. What stays, `forget_unfinished` finds.
            await asyncio.shield(asyncio.create_task(self._abort(upload, key)))
            raise

    async def _abort(self, upload: dict[str, str], key: str) -> None:
        try:
            async with asyncio.timeout(ABORT_S), self._asking("abort_multipart_upload", key) as client:
                await client.abort_multipart_upload(**upload)
        except OSError as error:
            log.warning("files.parts_left", key=key, error=str(error))

    @asynccontextmanager
    async def _asking(self, operation: str, key: str) -> AsyncGenerator[Any]:
        """The client, around one request. Raises FileNotFoundError, or StoreUnavailable, which says why."""
        try:
            yield await self._client()
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "unknown")
            if code in ("NoSuchKey", "404"):
                raise FileNotFoundError(key) from None
            if code in ("InvalidRange", "416"):
                raise _BeyondTheEnd from None
            raise _unavailable(operation, code) from None
        except NoCredentialsError as error:
            await self.close()  # it would not look for some again
            raise _unavailable(operation, type(error).__name__) from None
        except (BotoCoreError, aiohttp.ClientError) as error:
            raise _unavailable(operation, tls.why(error) or type(error).__name__) from None
        except (StoreUnavailable, FileNotFoundError):
            raise
        except OSError as error:
            raise _unavailable(operation, type(error).__name__) from None

    async def _client(self) -> Any:
        """One for the process, made when it is first needed: by then the event loop runs."""
        async with self._opening:
            if self._opened is None:
                stack, session = AsyncExitStack(), get_session()
                known = self._credentials
                style = "auto" if self._endpoint_url is None else "path"
                client = session.create_client(
                    "s3",
                    endpoint_url=self._endpoint_url,
                    region_name=self._region or session.get_config_variable("region") or "us-east-1",
                    aws_access_key_id=known and known.access_key_id,
                    aws_secret_access_key=known and known.secret_access_key.get_secret_value(),
                    aws_session_token=known and known.session_token and known.session_token.get_secret_value(),
                    verify=None if self._authorities is None else str(self._authorities),
                    config=AioConfig(**_CONFIG, s3={"addressing_style": style}),
                )
                self._opened = (stack, await stack.enter_async_context(client))
            return self._opened[1]


class _BeyondTheEnd(Exception):
    """The range that was asked for has no bytes."""


class _BrokeOff(Exception):
    """The connection ended in mid-body; `end` is where the body would have ended."""

    def __init__(self, end: int, reason: str) -> None:
        super().__init__(reason)
        self.end = end
        self.reason = reason


def _unavailable(operation: str, reason: str) -> StoreUnavailable:
    log.error("files.store_unavailable", operation=operation, reason=reason)
    return StoreUnavailable(f"{operation}: {reason}")


def _digest(part: bytes, sha: Any) -> str:
    """Add the part to the digest of the whole; returns its own MD5 as S3 wants it. In a thread: both take a while."""
    sha.update(part)
    return base64.b64encode(hashlib.md5(part, usedforsecurity=False).digest()).decode()


async def _parts(chunks: AsyncIterable[bytes]) -> AsyncGenerator[bytes]:
    """The same bytes in pieces of `PART` bytes, the last one of fewer."""
    held = bytearray()
    async for chunk in chunks:
        held += chunk
        while len(held) >= PART:
            yield bytes(held[:PART])
            del held[:PART]
    if held:
        yield bytes(held)
