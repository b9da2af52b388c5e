"""All of it, one after the other."""

from collections.abc import AsyncIterator

from infra.doctor import clock, postgres, redis, services
from infra.doctor.finding import Finding
from shared.settings import Settings


async def examine(settings: Settings, model: str | None = None) -> AsyncIterator[Finding]:
    """Look at everything, also where something fails; each finding as soon as it is there."""
    for findings in (
        postgres.examine(settings),
        redis.examine(settings),
        clock.examine(settings),
        services.examine_files(settings),
        services.examine_encryption(settings),
        services.examine_model(settings, model),
        services.examine_embeddings(settings),
        services.examine_reranker(settings),
        services.examine_sandbox(settings),
    ):
        async for finding in findings:
            yield finding
