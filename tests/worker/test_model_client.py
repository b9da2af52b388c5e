"""The one way to a model: what it costs to ask many at once."""

import asyncio
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path

import pytest

from shared.settings import Settings
from tests.scripted_model import Gate, Say, ScriptedModel
from worker.models.client import ModelClient, Patience
from worker.models.errors import ModelError

MANY = 300
ONCE = Patience(1, timedelta(0))


async def test_many_answers_are_awaited_at_once(model: ScriptedModel, tmp_path: Path) -> None:
    """More than the transport's own limit, which is 100 connections."""
    hold = Gate()
    name = model.script(*[Say("Yes.", before=hold)] * MANY)
    settings = Settings(
        database_url="postgresql://nowhere/none",
        redis_url="redis://nowhere",
        data_dir=tmp_path,
        model_base_url=model.base_url,
    )
    client = ModelClient(settings)

    async def ask() -> int:
        async with aclosing(client.stream({"model": name, "messages": []}, ONCE)) as chunks:
            return len([chunk async for chunk in chunks])

    asking = [asyncio.create_task(ask()) for _ in range(MANY)]
    await model.requested(name, MANY, within=timedelta(seconds=20))
    hold.open()

    assert all(await asyncio.gather(*asking))
    await client.close()


async def test_an_endpoint_that_is_not_there_is_told_from_a_slow_one(tmp_path: Path) -> None:
    """The transport calls a refused connection a timeout; its owner must not be told to wait longer."""
    settings = Settings(
        database_url="postgresql://nowhere/none",
        redis_url="redis://nowhere",
        data_dir=tmp_path,
        model_base_url="http://127.0.0.1:1/v1",
    )
    client = ModelClient(settings)
    with pytest.raises(ModelError, match="could not be reached: is ASSISTANTD_MODEL_BASE_URL right"):
        await anext(client.stream({"model": "any", "messages": []}, ONCE))
    await client.close()
