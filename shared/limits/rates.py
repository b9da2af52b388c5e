"""Is there room for a request? What is said where there isn't, and what clients are told of where they stand."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, NamedTuple

from shared.errors import RateLimited
from shared.limits.windows import Answer, Count, Window, Windows, of_requests, of_tokens
from shared.metrics import limits as metrics
from shared.projects.limits import Limits

Unit = Literal["requests", "tokens"]

_SPELT = {"requests": "requests per min (RPM)", "tokens": "tokens per min (TPM)"}
_SOONEST = timedelta(milliseconds=1)


class Standing(NamedTuple):
    """Where a project stands with a limit, this request included; `reset` is until all of it is free again."""

    unit: Unit
    limit: int
    remaining: int
    reset: timedelta


@dataclass(frozen=True, slots=True)
class _Limit:
    unit: Unit
    limit: int
    model: str | None
    window: Window


class Verdict(NamedTuple):
    """Where the project stands, by unit where it has least left, and why there is no room, if there is none."""

    standings: Sequence[Standing]
    refusal: RateLimited | None


async def take(windows: Windows, project_id: str, limits: Limits, model: str | None = None) -> Verdict | None:
    """Count a request of the project, one that creates a run of `model` if one is named, if there is room for it.

    Where nothing is limited that it counts for, nothing is asked. None while Redis is away: nobody knows then.
    """
    counted = list(_of(project_id, limits, model))
    if not counted:
        return Verdict([], None)
    answer = await windows.ask(*(one.window for one in counted))
    if answer is None:
        return None
    reached = answer.refused
    refusal = None if reached is None else _refusal(project_id, counted[reached], answer.counts[reached])
    return Verdict(_tightest(counted, answer), refusal)


def duration(time: timedelta) -> str:
    """As the original spells it: `20ms`, `1s`, `7.66s`, `6m0s`."""
    milliseconds = time // timedelta(milliseconds=1)
    if 0 < milliseconds < 1000:  # noqa: PLR2004
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    seconds = f"{rest / 1000:.3f}".rstrip("0").rstrip(".")
    return f"{minutes}m{seconds}s" if minutes else f"{seconds}s"


def _of(project_id: str, limits: Limits, model: str | None) -> Iterator[_Limit]:
    if limits.requests is not None:
        yield _Limit("requests", limits.requests, None, of_requests(project_id, limits.requests))
    rate = None if model is None else limits.rates.get(model)
    if rate is None or model is None:
        return
    if rate.requests is not None:
        yield _Limit("requests", rate.requests, model, of_requests(project_id, rate.requests, model))
    if rate.tokens is not None:
        yield _Limit("tokens", rate.tokens, model, of_tokens(project_id, model, rate.tokens))


def _refusal(project_id: str, reached: _Limit, count: Count) -> RateLimited:
    left = max(count.left, _SOONEST)
    kind: metrics.Kind = "model_requests" if reached.model is not None and reached.unit == "requests" else reached.unit
    metrics.refused(kind)
    return RateLimited(
        f"Rate limit reached for {reached.model or 'all models'} in project {project_id} on {_SPELT[reached.unit]}: "
        f"Limit {reached.limit}, Used {count.used}, Requested 1. Please try again in {duration(left)}.",
        reached.unit,
        left,
    )


def _tightest(counted: Sequence[_Limit], answer: Answer) -> list[Standing]:
    """Of each unit, the limit that has least left."""
    found: dict[Unit, Standing] = {}
    for one, count in zip(counted, answer.counts, strict=True):
        standing = Standing(one.unit, one.limit, max(0, one.limit - count.used), count.left)
        if one.unit not in found or standing.remaining < found[one.unit].remaining:
            found[one.unit] = standing
    return list(found.values())
