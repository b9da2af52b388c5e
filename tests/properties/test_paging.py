"""Paging gives each row that is there all the while once, in order, in both directions, whatever comes and goes."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, Literal

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import http
from tests.properties.conftest import chosen
from tests.system import Project, System

# What others do while a page is fetched: so many messages are added, and those in these places of the list deleted.
Meanwhile = tuple[int, list[int]]


@pytest.fixture(scope="module")
async def client(system: System) -> AsyncIterator[httpx2.AsyncClient]:
    async with Project.of(system) as project, http.session(project) as session:
        yield session


async def add(client: httpx2.AsyncClient, path: str) -> str:
    return (await client.post(path, json={"role": "user", "content": "x"})).json()["id"]


async def walk(
    client: httpx2.AsyncClient,
    path: str,
    params: dict[str, Any],
    towards: Literal["after", "before"],
    meanwhile: Sequence[Meanwhile],
    deleted: set[str],
    rows: Sequence[str],
) -> list[str]:
    """The ids on all pages in the order of the list, while others do what they do."""
    seen: list[str] = []
    for added, places in [*meanwhile, *[(0, list[int]())] * 1000]:
        leaving = {rows[place % len(rows)] for place in places} - deleted if rows else set[str]()
        deleted |= leaving
        others = [*(add(client, path) for _ in range(added)), *(client.delete(f"{path}/{row}") for row in leaving)]
        page, _ = await asyncio.gather(client.get(path, params=params), asyncio.gather(*others))
        found = [row["id"] for row in page.json()["data"]]
        seen = seen + found if towards == "after" else found + seen
        if not page.json()["has_more"]:
            return seen
        params = {**params, towards: found[-1 if towards == "after" else 0]}
    raise AssertionError("there is no end to the pages")


@chosen()
@given(
    count=st.integers(0, 12),
    limit=st.integers(1, 5),
    order=st.sampled_from(["asc", "desc"]),
    towards=st.sampled_from(["after", "before"]),
    meanwhile=st.lists(st.tuples(st.integers(0, 2), st.lists(st.integers(0, 11), max_size=2)), max_size=6),
)
async def test_each_row_once(
    client: httpx2.AsyncClient,
    count: int,
    limit: int,
    order: str,
    towards: Literal["after", "before"],
    meanwhile: list[Meanwhile],
) -> None:
    at_once = [{"role": "user", "content": "x"}] * (count // 2)  # these share an instant
    thread = (await client.post("/threads", json={"messages": at_once})).json()["id"]
    path = f"/threads/{thread}/messages"
    for _ in range(count - count // 2):
        await add(client, path)
    whole = (await client.get(path, params={"order": order, "limit": 100})).json()["data"]
    rows = [row["id"] for row in whole]
    params: dict[str, Any] = {"order": order, "limit": limit}
    if towards == "before":  # from a row that is beyond the last, and stays
        last = await add(client, path)
        beyond = last if order == "asc" else rows[-1] if rows else last
        params["before"] = beyond
        rows = rows if order == "asc" else rows[:-1]
    deleted: set[str] = set()

    seen = await walk(client, path, params, towards, meanwhile, deleted, rows)

    assert len(seen) == len(set(seen))
    stayed = [row for row in rows if row not in deleted]
    assert [row for row in seen if row in set(stayed)] == stayed
