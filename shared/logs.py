"""Logs: one line an event with bound ids, coloured for people or JSON for machines; never content, never keys."""

import logging
import sys
from typing import Protocol

import structlog

from shared.tracing import spans


class Logged(Protocol):
    """Settings of a process that logs."""

    @property
    def log_format(self) -> str:
        """`console` for people, `json` for machines."""
        ...

    @property
    def log_level(self) -> str:
        """The least that is written."""
        ...


_TRACEBACKS = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)  # local variables hold keys and content
)
_NOISY = (
    "httpx",
    "httpx2",
    "openai",
    "aiohttp",
    "aiobotocore",
    "botocore",
    "kombu",
    "celery.redirected",
    "celery.worker.strategy",
    "celery.app.trace",
)


def configure_logging(settings: Logged) -> None:
    """Send structlog's and the standard library's records to stderr in the configured form. Safe to call again."""
    shared_processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        spans.into_log,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    machine = settings.log_format == "json"
    renderer = (
        structlog.processors.JSONRenderer()
        if machine
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            exception_formatter=structlog.dev.plain_traceback,  # others print local variables: keys and content
        )
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared_processors,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *([_TRACEBACKS] if machine else []),
                renderer,
            ],
        )
    )
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(capture=True)  # they would be lines of another form
    for noisy in _NOISY:  # at info they say for each run what we say ourselves, or nothing
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLogger().level))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared_processors,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
