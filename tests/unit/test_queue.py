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


@pytest.mark.parametrize(
    ("options", "ids"), [(send_options, [RUN, "thread_1", "proj_1", "ring"]), (file_options, ["vs_1", "ring"])]
)
def test_it_equals_what_send_task_pushes(
    redis_url: str, options: Callable[..., dict[str, Any]], ids: list[str]
) -> None:
    apart = redis_apart(redis_url)  # no worker listens in this one
    app = celery_app(Settings(database_url="postgresql://", redis_url=apart))
    with redis.Redis.from_url(apart) as client, app.connection_for_write() as connection:
        app.send_task(**options(*ids), connection=connection)
        pushed: Any = client.rpop(options(*ids)["queue"])
    app.close()

    assert unpacked(MessageTemplate(options).message(*ids)) == unpacked(pushed)


def test_messages_differ_in_their_ids_alone() -> None:
    template = message_template()
    one, other = (unpacked(template.message(f"run_{x}", f"thread_{x}", f"proj_{x}", f"ring{x}")) for x in "12")

    assert other["body"][0] == ["run_2"]
    assert other["headers"]["id"] == "run_2.ring2"
    assert other["headers"]["argsrepr"] == "run_2 thread_2 proj_2"
    assert orjson.dumps(one).decode().replace("_1", "_2").replace("ring1", "ring2") == orjson.dumps(other).decode()
