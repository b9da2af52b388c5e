"""Bytes that came in a form, which has been spooled to disk, in pieces on their way to the blob store."""

from collections.abc import AsyncIterator

from fastapi import UploadFile
from starlette.datastructures import FormData

from shared.errors import InvalidRequest, TooLarge
from shared.files.storage import CHUNK


async def pieces(file: UploadFile, most: int, what: str, param: str) -> AsyncIterator[bytes]:
    """The bytes of `file`. Raises TooLarge, in which `what` may have at most so many."""
    size = 0
    while chunk := await file.read(CHUNK):
        size += len(chunk)
        if size > most:
            raise TooLarge(f"{what} may have at most {most} bytes.", param=param)
        yield chunk


def refuse_unknown(form: FormData, known: set[str]) -> None:
    """A field that has no effect is refused by name, as is one that comes twice. Raises InvalidRequest."""
    for name in form:
        if name not in known:
            raise InvalidRequest(f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")
        if len(form.getlist(name)) > 1:
            raise InvalidRequest(f"Invalid '{name}': it was given more than once.", param=name, code="invalid_value")
