"""Carrying out the calls of one step, whichever of our tools they are for."""

from collections.abc import Callable
from functools import partial
from typing import Any

from shared.database import Row
from shared.errors import InvalidRequest
from shared.metrics.model import tool_call
from shared.tracing import genai
from shared.tracing.spans import Span
from shared.wire.objects import Object
from shared.wire.steps import results_delta
from worker.deps import Deps
from worker.runs.bill import Bill
from worker.runs.outcome import Failed
from worker.tools import code_interpreter, file_search

Call = dict[str, Any]
"""A call as a step keeps it; see `offer.begun`."""


Tell = Callable[[int, Object], None]
"""Told of each new output, and of what was found: the call's place, and what is new of it."""


async def carry_out(
    deps: Deps, run: Row, step_id: str, made: list[Call], tell: Tell, tell_again: Callable[[], None], bill: Bill
) -> None:
    """Put the outputs of our tools into the calls, one after the other; those that have theirs are left alone.
    `tell_again` tells of the step from its beginning, for a call has to begin anew.

    A crash loses what is not recorded yet, and the next worker carries out those calls again. Raises Failed.
    """
    for place, call in enumerate(made):
        if call["type"] == code_interpreter.NAME and "files" not in call:
            tell_output = partial(_tell_output, tell, place)
            with tool_call(code_interpreter.NAME), _span(call) as span:
                name = f"{step_id}-{place}"
                made[place] = await code_interpreter.carry_out(deps, run, call, name, tell_output, tell_again, bill)
                genai.tool_answered(span, made[place][code_interpreter.NAME])
        if call["type"] == file_search.NAME and "results" not in call[file_search.NAME]:
            first = sum(
                len(before[file_search.NAME]["results"]) for before in made[:place] if before["type"] == call["type"]
            )
            try:
                with tool_call(file_search.NAME), _span(call) as span:
                    made[place] = await file_search.carry_out(deps, run, call, first, bill)
                    genai.tool_answered(span, made[place][file_search.NAME])
            except InvalidRequest as error:
                raise Failed("invalid_prompt", str(error)) from None
            tell(place, results_delta(place, made[place], run["dialect"], contents=run["include_contents"]))


def _span(call: Call) -> Span:
    return genai.tool(call["type"], call["id"], call["arguments"])


def _tell_output(tell: Tell, place: int, output: Object) -> None:
    tell(place, {"index": place, "type": code_interpreter.NAME, code_interpreter.NAME: {"outputs": [output]}})


def of_client(made: list[Call]) -> list[Call]:
    """The calls that only the client can carry out, as `required_action` shows them."""
    return [
        {**call, "function": {name: call["function"][name] for name in ("name", "arguments")}}
        for call in made
        if call["type"] == "function"
    ]
