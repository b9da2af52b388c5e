"""The embedder as a process."""

import asyncio
import signal
import ssl
from collections.abc import Callable

from aiohttp import web

from worker.embedder.app import application
from worker.embedder.lanes import Lanes
from worker.embedder.model import Model


def run(
    model: Model, key: str, host: str, port: int, ready: Callable[[], None], secure: ssl.SSLContext | None = None
) -> None:
    """Serve until SIGTERM or SIGINT; `ready` is called once requests are answered, over TLS if `secure` is given."""
    asyncio.run(_serve(model, key, host, port, ready, secure))


async def _serve(
    model: Model, key: str, host: str, port: int, ready: Callable[[], None], secure: ssl.SSLContext | None
) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    lanes = Lanes(model)
    # A client that hangs up takes its request with it.
    runner = web.AppRunner(application(lanes, key), handler_cancellation=True, access_log=None, shutdown_timeout=2)
    try:
        await runner.setup()
        await web.TCPSite(runner, host, port, ssl_context=secure).start()
        ready()
        await stop.wait()
    finally:
        await runner.cleanup()
        lanes.close()
