"""file_search: what the model is offered, how a call is carried out, and what the model is told of it.

Each result has a mark, such as 【4:0†source】, that no other result in its thread has: the first number is that of the
thread's calls of tools, the second that of the result among those of the step. The model repeats marks in its answer,
where they become citations (`worker/runs/citations.py`).
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

import orjson
import structlog

from shared.database import Row
from shared.usage.facts import Used
from shared.vector_stores import commands as stores
from shared.wire import limits
from worker import tokens
from worker.deps import Deps
from worker.runs.bill import Bill

log = structlog.get_logger(__name__)

NAME = "file_search"
RESULTS = 20
RANKING: Mapping[str, Any] = {"ranker": "default_2024_08_21", "score_threshold": 0.0}
TOKENS = 16_000  # of all results of one call, at most
SHARE = 4  # of the request that they may take: a quarter
QUERIES = 5
FRESH = timedelta(seconds=60)  # how long after it was attached a file is waited for
LOOK_AGAIN_S = 0.25  # for files that are being read: that they are done is told by nothing but their rows
NAMED = 5  # files that are still being read, of which the model is told

DEFINITION = {
    "type": "function",
    "function": {
        "name": NAME,
        "description": (
            "Search the files that were uploaded for this conversation. Each result begins with a mark such as "
            "【4:0†source】. When an answer relies on a result, put its mark, character by character, right behind "
            "the sentence that relies on it."
        ),
        "parameters": {
            "type": "object",
            "properties": {
                "queries": {
                    "type": "array",
                    "items": {"type": "string"},
                    "minItems": 1,
                    "maxItems": QUERIES,
                    "description": "What to look for: whole questions or key words, one for each thing to be found.",
                }
            },
            "required": ["queries"],
        },
    },
}


class Refused(Exception):
    """The call can't be carried out; the message is for the model."""


class Source(NamedTuple):
    """What a mark stands for."""

    file_id: str
    chunk_id: str
    page: int | None  # on which the text begins
    text: str
    pages: Sequence[Sequence[int]] = ()  # that begin within it: at which character, which number

    def page_at(self, place: int) -> int | None:
        """The page of the character at this place."""
        return next((page for begins, page in reversed(self.pages) if begins <= place), self.page)


async def carry_out(deps: Deps, run: Row, call: Mapping[str, Any], first: int, bill: Bill) -> dict[str, Any]:
    """The call with its results; those are numbered from `first`. A call that makes no sense has a `note` about it.

    A crash leaves nothing: a search changes nothing but when its stores were last used. Raises InvalidRequest if a
    store has expired.
    """
    ranking = {**RANKING, **_options(run).get("ranking_options", {})}
    found: dict[str, Any] = {"ranking_options": ranking, "results": [], "first": first}
    try:
        queries = _queries(call["arguments"])
    except Refused as refused:
        return {**call, NAME: {**found, "number": 0, "note": str(refused)}}
    scope = await stores.scope(deps.database, run["project_id"], run["assistant_id"], run["thread_id"])
    unread = await _wait_for_files(deps, run, scope)
    rows = await deps.searcher.search(
        deps.database,
        run["project_id"],
        scope.store_ids,
        queries,
        ranker=ranking["ranker"],
        threshold=ranking["score_threshold"],
        limit=_options(run).get("max_num_results", RESULTS),
        spend=bill.spend,
    )
    bill.spend(Used("file_search_calls", scope.store_ids[0] if len(scope.store_ids) == 1 else ""))
    results = await asyncio.to_thread(_within, [_result(row) for row in rows], deps.settings.context_tokens)
    log.info("file_search.done", stores=len(scope.store_ids), results=len(results), dropped=len(rows) - len(results))
    found |= {"results": results, "number": scope.number}
    return {**call, NAME: found | ({"note": _still_read(unread)} if unread else {})}


def told(call: Mapping[str, Any], *, whole: bool) -> str:
    """What the model is told of a finished call: each result, or of an earlier run's call where each mark came from."""
    search = call[NAME]
    lines = [search["note"]] if "note" in search else []
    for place, result in enumerate(search["results"], start=search["first"]):
        page = "" if result["page"] is None else f", page {result['page']}"
        lines.append(f"{mark(search['number'], place)} {result['file_name']}{page}")
        if whole:
            lines.append(f"{result['text']}\n")
    return "\n".join(lines) or "Nothing was found."


def sources(call: Mapping[str, Any]) -> dict[tuple[int, int], Source]:
    """What the marks of a finished call stand for."""
    search = call[NAME]
    return {
        (search["number"], place): Source(
            result["file_id"], result["chunk_id"], result["page"], result["text"], result["pages"]
        )
        for place, result in enumerate(search["results"], start=search["first"])
    }


def mark(number: int, place: int) -> str:
    """How the model names a result."""
    return f"【{number}:{place}†source】"


def _queries(arguments: str) -> list[str]:
    try:
        given = orjson.loads(arguments)
    except orjson.JSONDecodeError:
        raise Refused('The arguments are not JSON. Expected an object such as {"queries": ["..."]}.') from None
    queries = given.get("queries", given.get("query")) if isinstance(given, dict) else None
    texts = [queries] if isinstance(queries, str) else queries
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise Refused('Expected an object with a list of strings, such as {"queries": ["..."]}.')
    stripped = [text.replace("\0", " ").strip() for text in texts]
    asked = [text[: limits.SEARCH_QUERY] for text in stripped if text]
    if not asked:
        raise Refused("There is nothing to look for: 'queries' is empty.")
    return asked[:QUERIES]


def _options(run: Mapping[str, Any]) -> Mapping[str, Any]:
    return next((tool.get(NAME, {}) for tool in run["tools"] if tool["type"] == NAME), {})


async def _wait_for_files(deps: Deps, run: Row, scope: stores.Scope) -> list[str]:
    """Return once no file that was just attached is still being read; names of those whose time was up.

    As in the original it is the thread's files that are waited for; v1 had no other way to know that the assistant's
    have been read.
    """
    store_ids = scope.store_ids if run["dialect"] == "v1" else scope.thread_store_ids
    while True:
        unread = await stores.unread(deps.database, run["project_id"], store_ids, at_most=NAMED, fresh=FRESH)
        if not any(row["fresh"] for row in unread):
            return [row["filename"] for row in unread]
        await asyncio.sleep(LOOK_AGAIN_S)


def _still_read(names: Sequence[str]) -> str:
    return f"Not searched, because they are still being read: {', '.join(names)}. Say so if the answer may be in them."


def _result(row: Row) -> dict[str, Any]:
    return {
        "file_id": row["file_id"],
        "file_name": row["filename"],
        "score": row["score"],
        "text": row["text"],
        "chunk_id": row["chunk_id"],
        "page": row["page"],
        "pages": row["pages"],
    }


def _within(results: Sequence[dict[str, Any]], context_tokens: int) -> list[dict[str, Any]]:
    """The best results, as many as fit into what the model takes; one in any case."""
    left = min(TOKENS, context_tokens // SHARE)
    kept: list[dict[str, Any]] = []
    for result in results:
        left -= tokens.count(result["text"])
        if left < 0 and kept:
            break
        kept.append(result)
    return kept
