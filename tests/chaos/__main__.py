"""`python -m tests.chaos`: prints a table for people, then the same as JSON; ends with 1 if a promise was broken."""

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from tests.chaos.drill import Drill, carry_out
from tests.chaos.faults import FAULTS, ROLLS
from tests.chaos.verdict import Verdict


def main() -> int:
    """Read the arguments, carry it out, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--faults", default=",".join(FAULTS), help=f"some of {', '.join(FAULTS)}; the default is all")
    parser.add_argument("--rolling", action="store_true", help="no faults, but restarts of everything in good order")
    parser.add_argument("--keep", action="store_true", help="leave logs and data where they are, and say where")
    given = parser.parse_args()
    faults = list(ROLLS) if given.rolling else [name for name in given.faults.split(",") if name]
    if unknown := set(faults) - {*FAULTS, *ROLLS}:
        parser.error(f"no such fault: {', '.join(sorted(unknown))}")
    root = Path(tempfile.mkdtemp(prefix="assistantd-chaos-"))
    root.chmod(0o711)
    drill = Drill(given.runs, timedelta(minutes=given.minutes), given.seed, faults)
    if given.rolling:
        drill = replace(drill, mishaps=0.0, whole=True)
    try:
        verdict = asyncio.run(carry_out(drill, root))
    finally:
        if given.keep:
            print(f"logs and data: {root}")
        else:
            shutil.rmtree(root)
    _print(verdict)
    return 0 if verdict.innocent else 1


def _print(verdict: Verdict) -> None:
    offences = {name: getattr(verdict, name) for name in ("lost", "doubled", "stuck", "untold", "died")}
    for name, value in verdict.facts.items():
        if isinstance(value, dict):
            print(f"{name}:")
            for key, count in value.items():  # pyright: ignore[reportUnknownVariableType]
                print(f"    {key:<60} {count}")
        else:
            print(f"{name:<64} {value}")
    for name, sentences in offences.items():
        print(f"{name:<64} {len(sentences)}")
        for sentence in sentences[:20]:
            print(f"    {sentence}")
    print(json.dumps({**verdict.facts, **{name: len(sentences) for name, sentences in offences.items()}}))


if __name__ == "__main__":
    sys.exit(main())
