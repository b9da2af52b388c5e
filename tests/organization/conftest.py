"""Whoever administers the system that tests share."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import uuid4

import httpx2
import pytest
from openai import AsyncOpenAI

from tests.conformance.schema.recorder import Recorder
from tests.system import System


@dataclass(frozen=True)
class Admin:
    """An admin key, the official client speaking for it, and one that sends what the official one can't."""

    key: str
    client: AsyncOpenAI
    http: httpx2.AsyncClient

    async def project(self) -> str:
        """The id of a new project."""
        return (await self.client.admin.organization.projects.create(name=f"test-{uuid4().hex[:12]}")).id


@pytest.fixture
async def admin(system: System) -> AsyncIterator[Admin]:
    """Every answer that the clients get is held against OpenAI's schema."""
    recorder, key = Recorder(), await system.admin_key()
    headers = {"authorization": f"Bearer {key}"}
    async with httpx2.AsyncClient(transport=recorder, base_url=system.base_url, headers=headers, timeout=30) as http:
        client = AsyncOpenAI(
            base_url=system.base_url,
            api_key="none",
            admin_api_key=key,
            max_retries=0,
            http_client=http,
            _strict_response_validation=True,
        )
        yield Admin(key, client, http)
    recorder.check()
