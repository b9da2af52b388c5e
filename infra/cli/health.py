"""`assistantd healthcheck …`: what a container asks of the process beside it."""

# ruff: noqa: PLC0415 - what a command needs is loaded when it runs

from typing import Annotated, Literal

import typer

LOCAL = {
    "api": "http://127.0.0.1:8000/healthz",
    "flower": "http://127.0.0.1:5555/healthcheck",
    "embedder": "http://127.0.0.1:8200/healthz",
    "sandbox": "http://127.0.0.1:8100/healthz",
}
PATIENCE_S = 4


def healthcheck(
    process: Annotated[
        Literal["api", "worker", "flower", "embedder", "sandbox"], typer.Argument(help="Which one, on its usual port.")
    ],
    name: Annotated[str, typer.Option(help="The worker's name, as it was started with.")] = "worker",
) -> None:
    """End with 0 if the process of this container answers, with 1 if not."""
    if not (_worker_answers(name) if process == "worker" else page_answers(LOCAL[process])):
        raise typer.Exit(1)


def page_answers(url: str) -> bool:
    """Whether a process of this machine does: plainly, or else over TLS. Its certificate is for the name that clients
    use, and nothing is told to it here.
    """
    import http.client
    import ssl
    import urllib.request

    blind = ssl.create_default_context()
    blind.check_hostname, blind.verify_mode = False, ssl.CERT_NONE
    for address in (url, url.replace("http:", "https:")):
        try:
            with urllib.request.urlopen(address, timeout=PATIENCE_S, context=blind) as answer:  # noqa: S310 - one of LOCAL
                return answer.status < 300  # noqa: PLR2004 - any success will do
        except (OSError, http.client.HTTPException):
            continue
    return False


def _worker_answers(name: str) -> bool:
    import socket

    from infra.stack.configuration import settings_for
    from shared.queue import celery_app

    app = celery_app(settings_for(None, without_database=True))
    return bool(app.control.ping(destination=[f"{name}@{socket.gethostname()}"], timeout=PATIENCE_S, limit=1))
