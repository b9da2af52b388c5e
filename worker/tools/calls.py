"""Carrying out the calls of one step, whichever of our tools they are for."""

from typing import Any

from shared.database import Row
from shared.errors import InvalidRequest
from worker.deps import Deps
from worker.runs.outcome import Failed
from worker.tools import file_search

Call = dict[str, Any]
"""A call as a step keeps it; see `offer.begun`."""


async def carry_out(deps: Deps, run: Row, made: list[Call]) -> None:
    """Put the outputs of our tools into the calls, one after the other; those that have theirs are left alone.

    A crash loses what is not recorded yet, and the next worker carries out those calls again. Raises Failed.
    """
    for place, call in enumerate(made):
        if call["type"] == file_search.NAME and "results" not in call[file_search.NAME]:
            first = sum(
                len(before[file_search.NAME]["results"]) for before in made[:place] if before["type"] == call["type"]
            )
            try:
                made[place] = await file_search.carry_out(deps, run, call, first)
            except InvalidRequest as error:
                raise Failed("invalid_prompt", str(error)) from None


def of_client(made: list[Call]) -> list[Call]:
    """The calls that only the client can carry out, as `required_action` shows them."""
    return [
        {**call, "function": {name: call["function"][name] for name in ("name", "arguments")}}
        for call in made
        if call["type"] == "function"
    ]
