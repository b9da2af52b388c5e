"""Facts: what there is to say of something that was used, and the SQL that says it."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, NamedTuple

from sqlalchemy import text

from shared.database import Executor, to_json

Kind = Literal["completions", "embeddings", "file_search_calls", "code_interpreter_sessions"]
"""In OpenAI's words; each has figures of its own under /organization/usage."""

COUNTS = ("requests", "input_tokens", "cached_tokens", "output_tokens")


class Used(NamedTuple):
    """Something was used. `subject` is the model, or of a search the store, if it looked in one alone; `input_tokens`
    include the cached ones.
    """

    kind: Kind
    subject: str = ""
    requests: int = 1
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0


Spend = Callable[[Used], None]
"""Told of what is used, by whoever is to write it down."""


_RECORDS = """jsonb_to_recordset(CAST(:used AS jsonb)) AS new(kind text, subject text, requests int,
      input_tokens int, cached_tokens int, output_tokens int)"""

_FIGURES = "new.kind, new.subject, new.requests, new.input_tokens, new.cached_tokens, new.output_tokens"
_COLUMNS = "kind, subject, requests, input_tokens, cached_tokens, output_tokens"


def insert(source: str, *, once: str = "true") -> str:
    """The SQL that adds the facts in `:used` to what the one row of `source` says: project_id, api_key_id and
    assistant_id. `once` is a condition that doesn't hold when the statement is sent a second time.
    """
    return f"""
    INSERT INTO usage_facts (project_id, api_key_id, assistant_id, {_COLUMNS})
    SELECT {source}.project_id, coalesce({source}.api_key_id, ''), {source}.assistant_id, {_FIGURES}
    FROM {source}, {_RECORDS}
    WHERE {once}"""


_ALONE = text(f"""
WITH whose(project_id, api_key_id, assistant_id) AS (
  VALUES (CAST(:project_id AS text), CAST(:api_key_id AS text), CAST('' AS text)))
{insert("whose")}""")


async def record(db: Executor, project_id: str, api_key_id: str | None, used: Iterable[Used]) -> None:
    """Write down what was used outside of runs."""
    params = {"project_id": project_id, "api_key_id": api_key_id, "used": to_json(plain(used))}
    await db.all(_ALONE, params)


def plain(used: Iterable[Used]) -> list[dict[str, Any]]:
    """As JSON has it."""
    return [one._asdict() for one in used]


def added(before: Sequence[dict[str, Any]], new: Iterable[Used]) -> list[dict[str, Any]]:
    """Both together, one entry for each kind and subject."""
    sums = {(one["kind"], one["subject"]): Used(**one) for one in before}
    for one in new:
        same = sums.get((one.kind, one.subject))
        sums[one.kind, one.subject] = one if same is None else _sum(same, one)
    return plain(sums.values())


def _sum(one: Used, other: Used) -> Used:
    return Used(one.kind, one.subject, *(getattr(one, name) + getattr(other, name) for name in COUNTS))
