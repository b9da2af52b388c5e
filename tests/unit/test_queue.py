"""The doorbell's message is the one that Celery itself would send."""

import base64
from typing import Any

import orjson
import redis

from shared.queue import RUNS_QUEUE, MessageTemplate, celery_app, send_options
from shared.settings import Settings
from tests.system import redis_apart

RUN = "run_0123456789abcdefghijklmn"
THEIR_OWN = {"delivery_tag", "reply_to", "origin", "delivery_info", "correlation_id", "lang"}


def unpacked(message: bytes) -> dict[str, Any]:
    """A message with its body decoded, less what differs from process to process."""
    whole = orjson.loads(message)
    whole["body"] = orjson.loads(base64.b64decode(whole["body"]))
    for part in (whole["headers"], whole["properties"]):
        for name in THEIR_OWN & set(part):
            del part[name]
    return whole


def test_it_equals_what_send_task_pushes(redis_url: str) -> None:
    apart = redis_apart(redis_url)  # no worker listens in this one
    app = celery_app(Settings(database_url="postgresql://", redis_url=apart))
    with redis.Redis.from_url(apart) as client, app.connection_for_write() as connection:
        app.send_task(**send_options(RUN), connection=connection)
        pushed: Any = client.rpop(RUNS_QUEUE)
    app.close()

    assert unpacked(MessageTemplate().message(RUN)) == unpacked(pushed)


def test_two_messages_differ_in_the_run_alone() -> None:
    template, other = MessageTemplate(), "run_" + "Z" * 24

    assert template.message(other) == template.message(RUN).replace(RUN.encode(), other.encode()).replace(
        base64.b64encode(orjson.dumps([[RUN]])[:1]), base64.b64encode(orjson.dumps([[other]])[:1])
    ) or unpacked(template.message(other))["body"][0] == [other]
