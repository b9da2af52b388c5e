"""Requests as bytes on the wire, where an SDK would be in the way."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import orjson

from tests.conformance.schema.recorder import Recorder
from tests.system import Project


@dataclass(frozen=True)
class Event:
    """One server-sent event."""

    id: str
    name: str
    data: Any


@asynccontextmanager
async def session(project: Project, **headers: str) -> AsyncGenerator[httpx2.AsyncClient]:
    """A client with the project's key; `headers` are added or, with underscores for dashes, replaced.

    Raises AssertionError at its end if an answer or an event broke the contract.
    """
    async with stranger(project, authorization=f"Bearer {project.key}", **headers) as client:
        yield client


@asynccontextmanager
async def stranger(project: Project, **headers: str) -> AsyncGenerator[httpx2.AsyncClient]:
    """A client without a key, or with the one that is among `headers`; else as a session."""
    recorder = Recorder()
    own = {name.replace("_", "-"): value for name, value in headers.items()}
    async with httpx2.AsyncClient(transport=recorder, base_url=project.base_url, headers=own, timeout=30) as client:
        yield client
    recorder.check()


async def events(response: httpx2.Response) -> AsyncIterator[Event]:
    """The events of a stream; `[DONE]` stays a string."""
    fields: dict[str, str] = {}
    async for line in response.aiter_lines():
        if line.startswith(":"):
            continue
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
            continue
        data = fields["data"]
        yield Event(fields["id"], fields["event"], data if data == "[DONE]" else orjson.loads(data))
        fields = {}
