"""/healthz and /readyz: for whoever starts and balances processes, without a key."""

import asyncio
from datetime import timedelta
from typing import Literal

from fastapi import APIRouter
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError
from typing_extensions import TypedDict

from api.dependencies import TheServices
from api.errors import UNAVAILABLE
from api.json_route import PlainRoute
from api.replies import Reply, reply
from shared.database import SCHEMA_VERSION, WALL_STANDS
from shared.vault.databases import require_keys
from shared.vault.masters import NoMasterKey

router = APIRouter(route_class=PlainRoute)


class Health(TypedDict):
    """The process answers."""

    status: Literal["ok"]


class Readiness(TypedDict):
    """What the process depends on: `ok`, or the name of an error."""

    status: Literal["ok", "unavailable"]
    database: str
    redis: str


PATIENCE = timedelta(seconds=2)
NOBODY = ""  # is no project's id


@router.get("/healthz")
async def healthz() -> Reply[Health]:
    """The process answers."""
    return reply({"status": "ok"})


@router.get("/readyz", responses={UNAVAILABLE: {"description": "It can't."}})
async def readyz(services: TheServices) -> Reply[Readiness]:
    """The process can do its work. Without Redis it still can: runs are accepted, and begin when Redis is back."""
    database, redis = await asyncio.gather(_database(services), _redis(services))
    facts: Readiness = {
        "status": "ok" if database == "ok" else "unavailable",
        "database": database,
        "redis": redis,
    }
    response = reply(facts)
    if database != "ok":
        response.status_code = UNAVAILABLE
    return response


async def _database(services: TheServices) -> str:
    try:
        async with asyncio.timeout(PATIENCE.total_seconds()):
            await services.database.one(SCHEMA_VERSION)
            await services.database.within(NOBODY).one(WALL_STANDS)
            await require_keys(services.database)
    except (SQLAlchemyError, OSError, TimeoutError, NoMasterKey) as error:
        return type(error).__name__
    return "ok"


async def _redis(services: TheServices) -> str:
    try:
        async with asyncio.timeout(PATIENCE.total_seconds()):
            await services.redis.ping()
    except (RedisError, OSError, TimeoutError) as error:
        return type(error).__name__
    return "ok"
