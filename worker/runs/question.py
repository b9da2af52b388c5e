"""What is asked of the model for one turn."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from shared.database import Row
from worker import tokens
from worker.deps import Deps
from worker.runs import budget, context, images
from worker.runs.budget import Told
from worker.runs.citations import Sources
from worker.runs.context import Chat, Unit
from worker.tools import code_interpreter, offer

PASSED_ON = ("temperature", "top_p", "reasoning_effort")


class Question(NamedTuple):
    """Arguments of `chat.completions.create`, and what the marks stand for that the model may repeat."""

    request: dict[str, Any]
    sources: Sources


async def question(
    deps: Deps, run: Row, items: Sequence[Mapping[str, Any]], used: Mapping[str, int], *, last: bool
) -> Question | None:
    """What to ask for the next turn of a run on a thread of which `items` are known (see `context.units`).

    `used` are the tokens that earlier turns cost; in a `last` turn no tool may be called. The thread is told from its
    newest message backwards, as much of it as the model takes (`CONTEXT_TOKENS`) and as the run may still use of its
    `max_prompt_tokens`; None if those leave no room for the newest question itself.
    """
    pictures = await images.load(deps, run["project_id"], context.image_files(items))
    last_messages = run["truncation_strategy"]["last_messages"]
    units = context.units(items, pictures, last_messages=last_messages, run_id=run["id"])
    own = _left(run["max_prompt_tokens"], used["prompt_tokens"])
    window = deps.settings.context_tokens
    told = await _told(units, run, window if own is None else min(own, window))
    if not told.fits and own is not None and own < window:
        return None
    names = await code_interpreter.names(deps, run) if code_interpreter.NAME in offer.own(run["tools"]) else []
    request = _request(
        run,
        offer.functions(run["tools"], names),
        deps.model.upstream_name(run["model"]),
        context.chat(run["instructions"], told.units),
        counts_as=deps.model.counts_as,
        budget=_left(run["max_completion_tokens"], used["completion_tokens"]),
        called=any(item["type"] == "tool_calls" and item["run_id"] == run["id"] for item in items),
    )
    if last and "tools" in request:
        request["tool_choice"] = "none"
    return Question(request, context.sources(items, run["id"]))


async def _told(units: Sequence[Unit], run: Row, limit: int) -> Told:
    fixed = run["instructions"] + orjson.dumps(offer.functions(run["tools"])).decode()
    if budget.fits_uncounted(units, fixed, limit):
        return Told(units, fits=True)
    return await asyncio.to_thread(budget.fit, units, fixed, limit, tokens.count)


def _left(limit: int | None, used: int) -> int | None:
    return None if limit is None else limit - used


def _request(
    run: Row,
    functions: Sequence[Mapping[str, Any]],
    model: str,
    messages: Sequence[Chat],
    *,
    counts_as: str,
    budget: int | None,
    called: bool,
) -> dict[str, Any]:
    """Arguments of `chat.completions.create`. What the client left open is left out, for the endpoint to decide.

    `counts_as` is the parameter that limits the answer to `budget` tokens; `called` says that the run has called tools
    already, after which a choice that forces a call is met and would go on for ever.
    """
    asked: dict[str, Any] = {"model": model, "messages": messages}
    asked |= {name: run[name] for name in PASSED_ON if run[name] is not None}
    if budget is not None:
        asked[counts_as] = budget
    if isinstance(run["response_format"], Mapping) and run["response_format"]["type"] != "text":
        asked["response_format"] = run["response_format"]
    if functions:
        asked["tools"] = functions
        asked["tool_choice"] = offer.choice(run["tool_choice"], run["tools"], met=called)
        if not run["parallel_tool_calls"]:
            asked["parallel_tool_calls"] = False
    return asked
