"""Whether a request stays within the limits of its project, and what its answer tells of them.

Where a project has no limits, nobody is asked. `JsonRoute` asks for every request, except for those that create a run:
these ask when they know the run's model, and for both at once.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastapi import Request

from api.scopes import PREFIX
from shared.assistants import commands as assistants
from shared.database import Executor
from shared.limits import rates
from shared.limits.rates import Standing, duration
from shared.projects.limits import Limits

if TYPE_CHECKING:
    from api.services import Services

CREATES_RUNS = {("POST", "/threads/runs"), ("POST", "/threads/{thread_id}/runs")}
HEADERS = "rate_limit_headers"  # in the request's state; the middleware adds them to whatever is answered


class LimitsUnavailable(Exception):
    """Redis is away, and the server is set to refuse what it can't count."""


@dataclass(frozen=True, slots=True)
class Admission:
    """A request of a project with these limits."""

    request: Request
    project_id: str
    limits: Limits

    async def of_request(self) -> None:
        """Count it. Raises RateLimited or LimitsUnavailable."""
        if self.limits.requests is not None:
            await self._take(None)

    async def of_run(self, db: Executor, model: str | None, assistant_id: str) -> None:
        """Count it as one that creates a run, of that model or else of the assistant's. Raises NotFound if there is no
        such assistant, RateLimited or LimitsUnavailable.
        """
        if model is None and self.limits.rates:
            model = (await assistants.get(db, self.project_id, assistant_id))["model"]
        await self._take(model)

    async def _take(self, model: str | None) -> None:
        services: Services = self.request.app.state.services
        verdict = await rates.take(services.windows, self.project_id, self.limits, model)
        if verdict is None:
            if services.settings.limits_without_redis == "refuse":
                raise LimitsUnavailable
            return
        setattr(self.request.state, HEADERS, _headers(verdict.standings))
        if verdict.refusal is not None:
            raise verdict.refusal


def admission_of(request: Request) -> Admission:
    """Of a request whose key `JsonRoute` has recognised."""
    return Admission(request, request.state.project_id, request.state.limits)


def asks_itself(path: str, methods: Iterable[str]) -> bool:
    """Is it the route of a request that creates a run?"""
    return not CREATES_RUNS.isdisjoint((method, path.removeprefix(PREFIX)) for method in methods)


def headers_of(scope: Any) -> dict[str, str]:
    """What a request's answer tells of limits, by ASGI's scope."""
    return scope.get("state", {}).get(HEADERS, {})


def _headers(standings: Sequence[Standing]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for unit, limit, remaining, reset in standings:
        headers[f"x-ratelimit-limit-{unit}"] = str(limit)
        headers[f"x-ratelimit-remaining-{unit}"] = str(remaining)
        headers[f"x-ratelimit-reset-{unit}"] = duration(reset)
    return headers
