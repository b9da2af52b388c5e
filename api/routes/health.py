"""/healthz and /readyz: for whoever starts and balances processes, without a key."""

import asyncio
from datetime import timedelta

from fastapi import APIRouter
from fastapi.responses import Response
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from api.dependencies import TheServices, reply
from api.errors import UNAVAILABLE
from shared.database import SCHEMA_VERSION

router = APIRouter()

PATIENCE = timedelta(seconds=2)


@router.get("/healthz")
async def healthz() -> Response:
    """The process answers."""
    return reply({"status": "ok"})


@router.get("/readyz")
async def readyz(services: TheServices) -> Response:
    """The process can do its work. Without Redis it still can: runs are accepted, and begin when Redis is back."""
    database, redis = await asyncio.gather(_database(services), _redis(services))
    response = reply({"status": "ok" if database == "ok" else "unavailable", "database": database, "redis": redis})
    if database != "ok":
        response.status_code = UNAVAILABLE
    return response


async def _database(services: TheServices) -> str:
    try:
        async with asyncio.timeout(PATIENCE.total_seconds()):
            await services.database.one(SCHEMA_VERSION)
    except (SQLAlchemyError, OSError, TimeoutError) as error:
        return type(error).__name__
    return "ok"


async def _redis(services: TheServices) -> str:
    try:
        async with asyncio.timeout(PATIENCE.total_seconds()):
            await services.redis.ping()
    except (RedisError, OSError, TimeoutError) as error:
        return type(error).__name__
    return "ok"
