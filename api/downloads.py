"""Sending the bytes of a file, or a range of them, as they come from the store."""

import mimetypes
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.responses import StreamingResponse
from typing_extensions import override

from api.errors import NO_SUCH_RANGE, OK, PARTIAL_CONTENT
from shared.database import Row
from shared.errors import NotFound
from shared.files.storage import BlobStore

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

_RANGE = re.compile(r"bytes=(\d{1,18})?-(\d{1,18})?")


class Download(StreamingResponse):
    """Closes what it reads from, also when the client goes away in the middle."""

    def __init__(
        self, first: bytes, rest: AsyncGenerator[bytes], status: int, headers: dict[str, str], kind: str
    ) -> None:
        async def chunks() -> AsyncGenerator[bytes]:
            yield first
            async for chunk in rest:
                yield chunk

        super().__init__(chunks(), status, headers, kind)
        self._rest = rest

    @override
    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        async with aclosing(self._rest):
            await super().__call__(scope, receive, send)


async def download(store: BlobStore, file: Row, wanted: str | None) -> Download:
    """The file's bytes, or those that the header `Range` wants. What a tenant uploaded is never shown by a browser as a
    page of ours.

    Raises NotFound if the bytes are gone, StoreUnavailable, and HTTPException for a range beyond the file's end.
    """
    size = file["bytes"]
    span = _span(wanted, size)
    begin, end = span or (0, size)
    headers = {
        "accept-ranges": "bytes",
        "content-disposition": f"attachment; filename*=UTF-8''{quote(file['filename'], safe='')}",
        "content-length": str(end - begin),
        "etag": etag(file),
        "x-content-type-options": "nosniff",
    }
    if span is not None:
        headers["content-range"] = f"bytes {begin}-{end - 1}/{size}"
    chunks = store.open_range(file["id"], begin, end)
    try:
        first = await anext(chunks, b"")
    except FileNotFoundError:
        raise NotFound("file", file["id"]) from None
    except BaseException:
        await chunks.aclose()
        raise
    status = OK if span is None else PARTIAL_CONTENT
    return Download(first, chunks, status, headers, _kind(file["filename"]))


def etag(file: Row) -> str:
    """Names the content: two files with the same bytes have the same."""
    return f'"{file["sha256"]}"'


def _span(wanted: str | None, size: int) -> tuple[int, int] | None:
    """First byte, and the one after the last; None for the whole file, also where several ranges are wanted or we
    don't understand: RFC 9110 leaves that to the server. Raises HTTPException if there are no such bytes.
    """
    found = _RANGE.fullmatch(wanted.replace(" ", "")) if wanted else None
    if found is None or found[0] == "bytes=-":
        return None
    first, last = found[1], found[2]
    if first is None:
        begin, end = max(0, size - int(last)), size
    else:
        begin, end = int(first), size if last is None else min(size, int(last) + 1)
    if last is not None and first is not None and int(last) < int(first):
        return None
    if begin >= end:
        sentence = f"The file has {size} bytes; the header Range asks for none of them."
        raise HTTPException(NO_SUCH_RANGE, sentence, {"content-range": f"bytes */{size}"})
    return begin, end


def _kind(filename: str) -> str:
    """By the name's last part alone: the whole of it could be read as a URL."""
    suffix = PurePosixPath(filename).suffix
    return (mimetypes.guess_type(f"file{suffix}")[0] if suffix.isascii() else None) or "application/octet-stream"
