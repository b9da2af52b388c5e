"""The application: reads like a list."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi.telemetry import TelemetryConfig

from api import errors
from api.description import Application
from api.middleware import RequestContext
from api.routes import (
    admin_keys,
    assistants,
    audit_logs,
    files,
    health,
    models,
    projects,
    rate_limits,
    runs,
    service_accounts,
    spend_limits,
    threads,
    uploads,
    usage,
    v1_files,
    vector_store_files,
    vector_stores,
)
from api.services import running
from shared import crashpoints
from shared.logs import configure_logging
from shared.readiness import notify_ready
from shared.settings import Settings
from shared.tracing.begin import end
from shared.usage.prices import PriceList

# FastAPI can trace by itself, with what exceptions say in it; traces are ours (`api/tracing.py`).
SILENT: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}


def create_app(settings: Settings) -> Application:
    """An application that serves with these settings; nothing is opened before it starts. Raises SettingsError."""
    configure_logging(settings)
    crashpoints.arm(settings.crash_at)
    prices = PriceList.load(settings.prices)

    @asynccontextmanager
    async def lifespan(app: Application) -> AsyncGenerator[None]:
        async with running(settings, prices) as services:
            app.state.services = services
            notify_ready(settings)
            yield
        await asyncio.to_thread(end)  # uvicorn ends by the signal that it got: the interpreter doesn't come to its end

    app = Application(
        title="assistantd",
        lifespan=lifespan,
        redirect_slashes=False,
        telemetry=SILENT,
        docs_url=None,  # these pages would have browsers run scripts from elsewhere
        redoc_url=None,
    )
    app.add_middleware(RequestContext)
    errors.install(app)
    app.include_router(health.router, tags=["Health"])
    for router, tag in (
        (assistants.router, "Assistants"),
        (runs.router, "Runs"),  # before threads: /threads/runs is not a thread
        (threads.router, "Threads"),
        (v1_files.router, "Files of v1"),
        (files.router, "Files"),
        (uploads.router, "Uploads"),
        (vector_stores.router, "Vector stores"),
        (vector_store_files.router, "Vector stores"),
        (models.router, "Models"),
        (projects.router, "Administration"),
        (rate_limits.router, "Administration"),
        (service_accounts.router, "Administration"),
        (admin_keys.router, "Administration"),
        (spend_limits.router, "Administration"),
        (audit_logs.router, "Administration"),
        (usage.router, "Usage"),
    ):
        app.include_router(router, prefix="/v1", tags=[tag])
    return app
