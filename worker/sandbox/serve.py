"""`assistantd sandbox`: the whole service in one process."""

import asyncio
import os
import signal
import ssl
from pathlib import Path

import structlog
from aiohttp import web

from shared import tls
from shared.metrics.sandbox import watch
from shared.readiness import notify_ready
from shared.settings import SANDBOX_PREFIX, SettingsError
from worker.sandbox import environment, files
from worker.sandbox.app import Service
from worker.sandbox.interpreter import StartError
from worker.sandbox.isolation import UnavailableError, prepare
from worker.sandbox.isolation.level import Isolation
from worker.sandbox.sessions import Sessions
from worker.sandbox.settings import SandboxSettings
from worker.sandbox.users import Users

log = structlog.get_logger(__name__)


def run(settings: SandboxSettings, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT. Raises SettingsError where nothing good enough can be had here."""
    users, secure = Users(), _secure(settings)
    try:
        isolation = _isolation(settings, users)
    except (environment.NoEnvironmentError, UnavailableError) as error:
        raise SettingsError(str(error)) from error
    log.info("sandbox.isolated", isolation=isolation.name, **isolation.details)
    asyncio.run(_serve(settings, isolation, users, host, port, secure))


def _secure(settings: SandboxSettings) -> ssl.SSLContext | None:
    """How it serves over TLS, if it does. Raises SettingsError."""
    if settings.certificate is None and settings.key is None:
        return None
    both = f"{SANDBOX_PREFIX}CERTIFICATE and {SANDBOX_PREFIX}KEY"
    if settings.certificate is None or settings.key is None:
        raise SettingsError(f"{both}: give both or neither")
    try:
        return tls.serving(settings.certificate, settings.key)
    except OSError as error:
        raise SettingsError(f"{both} can't be used: {error}") from error


def _isolation(settings: SandboxSettings, users: Users) -> Isolation:
    _empty(settings.state)
    user = users.take()
    try:
        return prepare(settings.minimum, settings.level, environment.find(settings.environment), settings.state, user)
    finally:
        users.give_back(user)


def _empty(state: Path) -> None:
    """A directory for sessions, without those of a service that was killed: theirs ended with it."""
    for name in ("sessions", "calls", "trial"):
        files.remove(state / name)
    state.mkdir(parents=True, exist_ok=True)
    state.chmod(0o711 if os.geteuid() == 0 else 0o700)
    (state / "sessions").mkdir(mode=0o711)
    (state / "sessions").chmod(0o711)
    (state / "calls").mkdir(mode=0o700)


async def _serve(
    settings: SandboxSettings,
    isolation: Isolation,
    users: Users,
    host: str,
    port: int,
    secure: ssl.SSLContext | None,
) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    sessions = Sessions(settings, isolation, users)
    watch(lambda: sessions.counts)
    service = Service(settings, isolation, sessions)
    runner = web.AppRunner(service.application(), access_log=None, shutdown_timeout=1)
    try:
        await sessions.start()
        await runner.setup()
        await web.TCPSite(runner, host, port, ssl_context=secure).start()
        notify_ready(settings)
        await stop.wait()
    except StartError as error:
        raise SettingsError(str(error)) from error
    finally:
        await sessions.stop()
        await runner.cleanup()
