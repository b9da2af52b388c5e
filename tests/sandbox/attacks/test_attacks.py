"""Nothing gets through but what the level's documentation names."""

import pytest

from tests.sandbox.attacks.__main__ import table
from tests.sandbox.attacks.campaign import ATTACKS, campaign
from tests.sandbox.service import require


@pytest.mark.alone
@pytest.mark.timeout(240)
@pytest.mark.parametrize("level", ["bwrap", "landlock"])
async def test_every_attempt_is_contained(level: str) -> None:
    require(level)
    async with campaign(level) as fight:
        verdicts = await fight.fight()
    print(table(verdicts))

    assert len(verdicts) == len(ATTACKS) >= 60
    assert [verdict for verdict in verdicts if not verdict.is_fine] == []
    assert sum(verdict.control == "succeeds" for verdict in verdicts) >= 40
    assert fight.slowest < 3


def test_names_are_unique() -> None:
    names = [attack.name for _, attack in ATTACKS]
    assert len(set(names)) == len(names)
