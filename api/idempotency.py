"""Requests with an Idempotency-Key: done once, answered the same way as often as they come, for a day.

What the request does and the key that stands for it are committed together; bells ring after that. A request that is
refused or that fails leaves no key, so it may be corrected or tried again.
"""

import dataclasses
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

import orjson
from fastapi import Request, Response

from api import launch
from api.services import Services
from shared.database import Executor, Row
from shared.errors import InvalidRequest
from shared.idempotency import statements
from shared.queue import Doorbell
from shared.redis import Command, Sender
from shared.runs import commands as runs
from shared.vault.contents import Secret

HEADER = "idempotency-key"
LONGEST_KEY = 255
MULTIPART = "multipart/"
CHUNK = 1024 * 1024
IDLE_WITHIN = timedelta(minutes=1)  # an upload is written to the store meanwhile


class _HeldBack:
    """Commands that may be sent once what they tell of is committed."""

    def __init__(self) -> None:
        self._commands: list[Command] = []

    def send(self, commands: Sequence[Command]) -> None:
        self._commands.extend(commands)

    def release(self, outbox: Sender) -> None:
        if self._commands:
            outbox.send(self._commands)


async def once(request: Request, project_id: str, handle: Callable[[Request], Awaitable[Response]]) -> Response:
    """Handle the request, or repeat the answer that it was given. Raises InvalidRequest for a key of other contents."""
    services: Services = request.state.services
    key = request.headers[HEADER]
    if not 0 < len(key) <= LONGEST_KEY:
        raise InvalidRequest(f"An Idempotency-Key has 1 to {LONGEST_KEY} characters.", param="Idempotency-Key")
    used = {"project_id": project_id, "key": key}
    fingerprint = await _fingerprint(request)
    held_back, response, kept = _HeldBack(), None, None
    async with services.executor.transaction(IDLE_WITHIN) as transaction:
        told = Secret("fingerprint", fingerprint)  # it would confirm who guesses what was said
        if await transaction.one(statements.TAKE, {**used, "fingerprint": told}) is not None:
            request.state.services = dataclasses.replace(
                services, executor=transaction, outbox=held_back, doorbell=Doorbell(held_back)
            )
            response = await handle(request)
            await _keep(transaction, used, response)
        else:
            kept = await transaction.one(statements.FIND, used)
    if response is None:
        return await _repeat(services, kept, fingerprint)
    held_back.release(services.outbox)
    return response


async def _keep(executor: Executor, used: dict[str, str], response: Response) -> None:
    streamed = response if isinstance(response, launch.RunStream) else None
    body = None if streamed else bytes(response.body)
    answer = {
        "subject": streamed.thread_id if streamed else _subject(body or b"{}"),
        "status": response.status_code,
        "body": Secret("body", None if body is None else body.decode()),
        "run_id": streamed and streamed.run_id,
        "thread_id": streamed and streamed.thread_id,
        "stream_after": streamed and str(streamed.begins_after),
    }
    await executor.all(statements.ANSWER, {**used, **answer})


def _subject(body: bytes) -> str | None:
    """What an answer goes with when it is deleted."""
    told = orjson.loads(body)
    return told.get("thread_id") or told.get("vector_store_id") or told.get("id")


async def _repeat(services: Services, kept: Row | None, fingerprint: str) -> Response:
    if kept is None or kept["fingerprint"] != fingerprint:
        raise InvalidRequest(
            "This Idempotency-Key was used for another request. Use a new key, or repeat the request as it was.",
            param="Idempotency-Key",
            code="idempotency_key_reused",
        )
    if kept["run_id"] is None:
        return Response(kept["body"], kept["status"], {"idempotent-replayed": "true"}, media_type="application/json")
    row = await runs.get(services.executor, kept["project_id"], kept["thread_id"], kept["run_id"])
    return launch.joined(services, row, kept["stream_after"])


async def _fingerprint(request: Request) -> str:
    """What tells requests apart: method, address and body. Of a form its fields: boundaries differ at each try."""
    told = hashlib.sha256()
    beta = request.headers.get("openai-beta", "")
    told.update(f"{request.method} {request.url.path}?{request.url.query} {beta}\n".encode())
    if not request.headers.get("content-type", "").startswith(MULTIPART):
        told.update(await request.body())
        return told.hexdigest()
    form = await request.form()  # which the handler finds again
    for name, value in form.multi_items():
        told.update(f"{name}\0{value if isinstance(value, str) else value.filename}\0".encode())
        if not isinstance(value, str):
            while chunk := await value.read(CHUNK):
                told.update(chunk)
            await value.seek(0)
    return told.hexdigest()
