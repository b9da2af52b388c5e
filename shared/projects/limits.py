"""How much a project may do: known with each of its keys, and changed by the administration.

The project's runs at the same time are limited where they are claimed (`shared/runs/statements.py`): those beyond it
wait in the queue, and none is refused.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from shared.audit.actor import Actor
from shared.audit.entries import entry
from shared.database import Executor, Row
from shared.projects import commands as projects
from shared.projects import statements
from shared.wire.limits import INTEGER

_SHOWN = {"max_requests": "max_requests_per_1_minute", "max_tokens": "max_tokens_per_1_minute"}
RATE_LIMIT = "rl-"  # how the ids of rate limits begin; a model's name follows


@dataclass(frozen=True, slots=True)
class Rate:
    """What runs of one model may use in a minute; None is as much as they like."""

    requests: int | None
    tokens: int | None


@dataclass(frozen=True, slots=True)
class Limits:
    """What a request needs to know of its project's limits; None is no limit, and so is a model that has no rate."""

    requests: int | None = None
    stored_bytes: int | None = None
    rates: Mapping[str, Rate] = field(default_factory=dict[str, Rate])

    @classmethod
    def of(cls, row: Row) -> "Limits":
        """From the columns that `statements.RECOGNISE` gives."""
        rates = {model: Rate(*rate) for model, rate in (row["rates"] or {}).items()}
        return cls(row["max_requests_per_minute"], row["max_stored_bytes"], rates)


async def any_on_runs(db: Executor) -> bool:
    """Has any project a limit of its runs at the same time?"""
    return await db.one(statements.LIMITED) is not None


async def rates(db: Executor, project_id: str) -> Sequence[Row]:
    """The project's limits by model. Raises NotFound."""
    await projects.get(db, project_id)
    return await db.all(statements.RATES, {"project_id": project_id})


async def modify_rate(db: Executor, by: Actor, project_id: str, model: str, changes: Mapping[str, int | None]) -> Row:
    """Change `max_requests` and `max_tokens` of a model, those that are given. Raises NotFound, or InvalidRequest if
    the project is archived.
    """
    columns = ("max_requests", "max_tokens")
    params = {name: changes.get(name) for name in columns} | {f"set_{name}": name in changes for name in columns}
    requested = {_SHOWN[name]: INTEGER if value is None else value for name, value in changes.items()}
    told = entry(
        by, "rate_limit.updated", f"{RATE_LIMIT}{model}", project_id, {"changes_requested": requested}, list(requested)
    )
    row = await db.one(statements.SET_RATE, {**params, "project_id": project_id, "model": model, "entry": told})
    return row or await projects.require_active(db, project_id)
