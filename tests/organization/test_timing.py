"""How long an answer takes doesn't tell either whether it is about another project's id or one that nobody has."""

import time
from collections.abc import AsyncIterator
from statistics import median

import httpx2
import pytest

from tests.organization.matrix import OF_OTHERS, Position
from tests.organization.stage import Stage, nobodys
from tests.organization.test_others import expected
from tests.scripted_model import ScriptedModel
from tests.system import System

AT_MOST_MS = 2.0
PAIRS = (30, 60, 120)
"""How often each is asked for: again, and more often, where a difference is seen. A leak is there each time, what
else the machine does is not.
"""


@pytest.fixture(scope="module")
async def stage(system: System, model: ScriptedModel) -> AsyncIterator[Stage]:
    async with Stage.of(system, model) as made:
        yield made


@pytest.fixture(scope="module")
async def client(system: System) -> AsyncIterator[httpx2.AsyncClient]:
    """One that doesn't judge what it gets, which would take longer than the answer."""
    async with httpx2.AsyncClient(base_url=system.base_url, timeout=30) as plain:
        yield plain


@pytest.mark.alone
@pytest.mark.parametrize("position", OF_OTHERS, ids=str)
async def test_time_does_not_tell_them_apart_either(
    stage: Stage, client: httpx2.AsyncClient, position: Position
) -> None:
    measured: list[str] = []
    for pairs in PAIRS:
        later_ms = median([await _later_ms(stage, client, position, theirs_first=n % 2 == 0) for n in range(pairs)])
        if abs(later_ms) < AT_MOST_MS:
            return
        measured.append(f"{later_ms:+.2f} ms in {pairs} pairs")
    pytest.fail(f"{position}: another project's id is answered later than nobody's by {', '.join(measured)}")


async def _later_ms(stage: Stage, client: httpx2.AsyncClient, position: Position, *, theirs_first: bool) -> float:
    """How much later the answer about theirs comes, of two that are asked for one after the other. Which comes first
    changes from pair to pair, so that nothing which slows down or quickens looks like a difference.
    """
    theirs = stage.other(position)
    asked = [theirs, nobodys(theirs)] if theirs_first else [nobodys(theirs), theirs]
    took_ms = {other: await _took_ms(stage, client, position, other) for other in asked}
    return took_ms[theirs] - took_ms[nobodys(theirs)]


async def _took_ms(stage: Stage, client: httpx2.AsyncClient, position: Position, other: str) -> float:
    told = stage.request(position, other)
    told["headers"]["authorization"] = stage.asks(position.route).headers["authorization"]
    request = client.build_request(**told)
    began = time.perf_counter()
    answer = await client.send(request)
    took = time.perf_counter() - began
    assert answer.status_code == expected(position), answer.text
    return took * 1000
