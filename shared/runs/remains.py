"""What was used by a run that its worker has no more: written by itself, where no settlement can take it along."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import text

from shared.database import to_json
from shared.runs.records import NOT_YET, Telling
from shared.runs.statements import Statement
from shared.usage.facts import Used, insert, plain

_ENDED = """EXISTS (
  SELECT FROM runs, jsonb_array_elements(history) AS move
  WHERE runs.id = whose.id AND move ->> 'term' = CAST(:term AS text) AND move ->> 'reason' <> 'claimed')"""

_RECORD_USED = text(f"""
WITH whose(id, project_id, api_key_id, assistant_id) AS (
  VALUES (CAST(:id AS text), CAST(:project_id AS text), CAST(:api_key_id AS text), CAST(:assistant_id AS text)))
{insert("whose", once=f"{NOT_YET.format(run_id='whose.id', besides=' AND term = :term')} AND NOT {_ENDED}")}""")


def record_used(run: Mapping[str, Any], used: Sequence[Used], telling: Telling) -> Statement:
    """Write down what was used for a run that has passed on, or is gone, unless it has been written: a step of this
    term would tell, or a move that ended it.
    """
    whose = {name: run[name] for name in ("id", "project_id", "api_key_id", "assistant_id", "term")}
    return Statement(_RECORD_USED, {**whose, **telling._asdict(), "used": to_json(plain(used))})
