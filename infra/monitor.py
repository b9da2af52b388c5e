"""Flower, which shows workers and tasks in a browser, configured without a command line.

Its own command line would show the broker's password and the browser's in the process list. What can be set by
`FLOWER_*` variables still is; FLOWER_BASIC_AUTH (`user:password`), or FLOWER_AUTH and its
provider, is required to listen beyond loopback.
"""

import logging
import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

import flower.app
import flower.command
import flower.urls
from tornado.options import options

from shared.queue import celery_app
from shared.settings import Settings, SettingsError

COLUMNS = "name,args,state,result,received,runtime,worker"  # ids are in the arguments
INSPECT_WITHIN_MS = 3000.0  # workers that are starting, or busy, don't answer within a second
BUCKETS_S = [0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0]  # a run may take RUN_EXPIRES_AFTER


def prepare(settings: Settings, host: str, port: int) -> Callable[[Callable[[], None]], None]:
    """Configure, and answer with what serves until SIGTERM; it calls its argument once it listens.

    Raises SettingsError where it would be open to anybody who can reach the machine.
    """
    options.tasks_columns = COLUMNS
    options.inspect_timeout = INSPECT_WITHIN_MS
    options.task_runtime_metric_buckets = BUCKETS_S
    flower.command.apply_env_options()
    options.address, options.port = host, port
    if not (options.basic_auth or options.auth) and host not in ("127.0.0.1", "localhost", "::1"):
        raise SettingsError("FLOWER_BASIC_AUTH is not set (user:password; needed to listen beyond this machine)")
    flower.command.extract_settings()
    flower.command.setup_logging()
    logging.getLogger("tornado").setLevel(settings.log_level.upper())
    app = celery_app(settings)
    app.conf.worker_send_task_events = True
    app.conf.broker_pool_limit = None  # each of its threads takes two: a few of them would wait for each other for ever

    def serve(ready: Callable[[], None]) -> None:
        web: Any = flower.app.Flower(capp=app, options=options, **flower.urls.settings)

        signal.signal(signal.SIGTERM, _end)
        web.start_http_server()
        ready()
        web.start()

    return serve


def _end(_number: int, _frame: FrameType | None) -> None:
    """At once: Flower keeps nothing, and its own end waits for threads that sit in calls to the broker."""
    os._exit(0)
