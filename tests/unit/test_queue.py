"""The doorbell's message is the one that Celery itself would send."""

import base64
from collections.abc import Callable
from typing import Any

import orjson
import pytest
import redis

from shared.queue import MessageTemplate, celery_app, file_options, message_template, send_options
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


@pytest.mark.parametrize(("options", "prefix"), [(send_options, "run_"), (file_options, "vs_")])
def test_it_equals_what_send_task_pushes(redis_url: str, options: Callable[[str], dict[str, Any]], prefix: str) -> None:
    known = prefix + RUN[-24:]
    apart = redis_apart(redis_url)  # no worker listens in this one
    app = celery_app(Settings(database_url="postgresql://", redis_url=apart))
    with redis.Redis.from_url(apart) as client, app.connection_for_write() as connection:
        app.send_task(**options(known), connection=connection)
        pushed: Any = client.rpop(options(known)["queue"])
    app.close()

    assert unpacked(MessageTemplate(options, prefix).message(known)) == unpacked(pushed)


def test_two_messages_differ_in_the_run_alone() -> None:
    template, other = message_template(), "run_" + "Z" * 24

    assert template.message(other) == template.message(RUN).replace(RUN.encode(), other.encode()).replace(
        base64.b64encode(orjson.dumps([[RUN]])[:1]), base64.b64encode(orjson.dumps([[other]])[:1])
    ) or unpacked(template.message(other))["body"][0] == [other]
