"""What may be sent to a worker, and how: the Celery application's configuration and the doorbell.

A message is a doorbell. It holds the id of a run, or of a store with new files, and nothing else; ringing twice is
harmless (the second claim finds nothing), and a lost ring is rung again by the sweeper. That is why messages need no
acknowledgement: `no_ack` spares Celery's two transactions a message and, with it, redelivery, which on Redis starts
runs twice at any broken connection.
"""

import base64
import inspect
import secrets
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import orjson
from celery import Celery
from kombu.entity import Queue

from shared import tls
from shared.redis import Command, Sender
from shared.sentinel import Watched, is_watched
from shared.settings import Settings

EXECUTE_RUN = "run.execute"
RUNS_QUEUE = "runs"
INGEST_FILES = "files.ingest"
INGEST_QUEUE = "ingest"
CANCELS_CHANNEL = "runs:cancel"
RINGS_FOR_FILES = 4


_MESSAGES: dict[str, Any] = {
    "task_default_queue": RUNS_QUEUE,
    "task_queues": [Queue(RUNS_QUEUE, no_ack=True), Queue(INGEST_QUEUE, no_ack=True)],
    "task_create_missing_queues": False,
    "task_ignore_result": True,
    "task_publish_retry": False,
    "task_serializer": "json",
    "accept_content": ["json"],
}


def celery_app(settings: Settings) -> Celery:
    """The Celery application that workers run and whose message format the doorbell speaks."""
    watched = Watched.parse(settings.redis_url) if is_watched(settings.redis_url) else None
    broker = tls.without_options(settings.redis_url) if watched is None else watched.broker_url
    app = Celery("assistantd", broker=broker, backend=None)
    app.conf.update(
        _MESSAGES,
        task_acks_late=False,
        worker_disable_prefetch=True,  # a worker takes exactly as many messages as it has free slots
        worker_prefetch_multiplier=1,
        worker_send_task_events=False,  # Flower switches them on where it runs
        worker_cancel_long_running_tasks_on_connection_loss=False,  # a run needs no broker, only its lease
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        event_queue_ttl=5,
        event_queue_expires=60,
        broker_pool_limit=4,
        broker_use_ssl=tls.of_redis(settings.redis_url) or False,  # Flower takes it from here alone
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "socket_timeout": 10,
            "socket_connect_timeout": 3,
            "socket_keepalive": True,
            "health_check_interval": 10,
            "max_connections": 50,
            **({} if watched is None else watched.broker_options),
        },
    )
    return app


def send_options(run_id: str, thread_id: str, project_id: str, ring: str) -> dict[str, Any]:
    """Arguments of `Celery.send_task` for one ring. Flower shows the ids, and nothing else is there to be shown.

    Each ring is a task of its own, for a run may be rung for again: after calls of the client's functions, or by the
    sweeper. Under one id Flower would show the end of the first for all of them.
    """
    return _options(EXECUTE_RUN, RUNS_QUEUE, run_id, f"{run_id}.{ring}", shown_of(run_id, thread_id, project_id))


def file_options(store_id: str, ring: str) -> dict[str, Any]:
    """The same for files that wait to be read. Whoever answers takes the one whose turn it is, of any store."""
    return _options(INGEST_FILES, INGEST_QUEUE, store_id, f"{store_id}.{ring}", store_id)


def shown_of(run_id: str, thread_id: str, project_id: str) -> str:
    """What Flower shows as a run's arguments."""
    return f"{run_id} {thread_id} {project_id}"


def rung_for(task_id: str) -> str:
    """The object that a ring was for; an id that is none of a ring's is its own."""
    return task_id.partition(".")[0]


def _options(task: str, queue: str, object_id: str, task_id: str, shown: str) -> dict[str, Any]:
    return {
        "name": task,
        "args": (object_id,),
        "task_id": task_id,
        "queue": queue,
        "ignore_result": True,
        "argsrepr": shown,
        "kwargsrepr": "{}",
    }


class Doorbell:
    """Rings workers through the outbox: never awaited, never blocking the event loop.

    `apply_async` in a request handler would block the whole process while Redis is frozen, and answer 500 for a run
    that is already committed.
    """

    def __init__(self, outbox: Sender) -> None:
        self._outbox = outbox
        self._template = message_template()
        self._of_files = files_template()

    def ring(self, run: Mapping[str, Any], *before: Command) -> None:
        """Send `before` (events that must precede the worker's), then the ring; of the run its three ids are enough."""
        message = self._template.message(run["id"], run["thread_id"], run["project_id"], _new_ring())
        self._outbox.send([*before, ("LPUSH", RUNS_QUEUE, message)])

    def ring_for_files(self, store_id: str, files: int = 1) -> None:
        """Ring for files that were put into a store. Whoever answers goes on until no file waits, so that a few rings
        are enough for any number.
        """
        rings = [self._of_files.message(store_id, _new_ring()) for _ in range(min(files, RINGS_FOR_FILES))]
        if rings:
            self._outbox.send([("LPUSH", INGEST_QUEUE, message) for message in rings])

    def cancel(self, run_id: str) -> None:
        """Tell whichever worker holds the run that it was asked to stop; its next heartbeat would tell it too."""
        self._outbox.send([("PUBLISH", CANCELS_CHANNEL, run_id)])


def _new_ring() -> str:
    return secrets.token_hex(4)


class MessageTemplate:
    """The bytes that Celery itself would push, made once by Celery over an in-memory broker, with the ids cut out,
    which are the parameters of `options`, the ring's own last.

    No knowledge of Celery's protocol lives here, and a test compares the result with what `send_task` pushes.
    """

    _BODY = "@BODY@"

    def __init__(self, options: Callable[..., dict[str, Any]]) -> None:
        self._places = [f"@{name}@" for name in inspect.signature(options).parameters]
        wanted = options(*self._places)
        app = Celery("template", broker="memory://", backend=None)
        app.conf.update(_MESSAGES)
        with app.connection_for_write() as connection:
            app.send_task(**wanted, connection=connection)
            message = connection.default_channel._get(wanted["queue"])  # noqa: SLF001 # kombu has no public way to peek
        self._body: str = base64.b64decode(message["body"]).decode()
        message["body"] = self._BODY
        message["properties"]["delivery_tag"] = self._places[-1]
        self._envelope = orjson.dumps(message).decode()

    def message(self, *object_ids: str) -> bytes:
        """One ring, ready to be pushed onto the queue's list."""
        body, envelope = self._body, self._envelope
        for place, object_id in zip(self._places, object_ids, strict=True):
            body, envelope = body.replace(place, object_id), envelope.replace(place, object_id)
        return envelope.replace(self._BODY, base64.b64encode(body.encode()).decode(), 1).encode()


@cache
def message_template() -> MessageTemplate:
    """The process's template; making it takes some 10 ms."""
    return MessageTemplate(send_options)


@cache
def files_template() -> MessageTemplate:
    """The same for files that wait to be read."""
    return MessageTemplate(file_options)
