"""`python -m tests.sandbox.attacks [LEVEL …]`: every attempt, and what became of it. Ends with 1 if one got through."""

import asyncio
import sys
import time

from tests.sandbox.attacks.attack import Verdict
from tests.sandbox.attacks.campaign import campaign


def table(verdicts: list[Verdict]) -> str:
    """One line an attempt."""
    lines = [f"{'category':<11} {'attempt':<62} {'inside':<10} {'ended':<24} {'s':>5}  control"]
    for verdict in verdicts:
        inside = "contained" if verdict.is_contained else "known hole" if verdict.is_known else "BREACH"
        lines.append(
            f"{verdict.category:<11} {verdict.attack.name:<62} {inside:<10} {verdict.ended:<24} {verdict.seconds:>5.1f}  "
            f"{verdict.control}{'' if verdict.is_contained else f'   [{verdict.breach}]'}"
        )
    return "\n".join(lines)


async def main() -> int:
    """Attack each level that is named, or all."""
    bad = 0
    for level in sys.argv[1:] or ["bwrap", "landlock"]:
        began = time.monotonic()
        async with campaign(level) as fight:
            verdicts = await fight.fight()
        contained = sum(verdict.is_contained for verdict in verdicts)
        controls = sum(verdict.control == "succeeds" for verdict in verdicts)
        print(f"\nlevel {level}\n{table(verdicts)}")
        print(
            f"{contained} of {len(verdicts)} contained, {controls} of them succeed outside; "
            f"a neighbour's slowest call took {fight.slowest * 1000:.0f} ms; {time.monotonic() - began:.0f} s in all"
        )
        bad += sum(not verdict.is_fine for verdict in verdicts)
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
