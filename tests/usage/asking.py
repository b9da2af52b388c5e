"""Questions about usage, as tests ask them."""

import time
from typing import Any

from openai import AsyncOpenAI

from tests.system import Project, System

DAY = 86_400


def today() -> int:
    """When this day began, UTC."""
    return int(time.time()) // DAY * DAY


def project_id_of(system: System, project: Project) -> str:
    """The id of the project that this key belongs to."""
    return key_of(system, project)[0]


def key_of(system: System, project: Project) -> tuple[str, str]:
    """Project and key."""
    hint = f"{project.key[:6]}…{project.key[-4:]}"
    ((project_id, key_id),) = system.query("SELECT project_id, id FROM api_keys WHERE hint = %s", hint)
    return project_id, key_id


async def results(client: AsyncOpenAI, kind: str, **question: Any) -> list[Any]:
    """All results of all buckets of a day, from this one on."""
    start = question.pop("start_time", today())
    page = await getattr(client.admin.organization.usage, kind)(start_time=start, **question)
    return [one for bucket in page.data for one in bucket.results]


async def costs(client: AsyncOpenAI, **question: Any) -> list[Any]:
    """Likewise of costs, up to the end of the day."""
    asked: dict[str, Any] = {"start_time": today(), "end_time": today() + DAY, **question}
    page = await client.admin.organization.usage.costs(**asked)
    return [one for bucket in page.data for one in bucket.results]
