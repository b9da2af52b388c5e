"""What is noted of an act."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

from shared import ids
from shared.audit.actor import Actor
from shared.database import to_json

EventOfOpenAI = Literal[
    "api_key.created",
    "api_key.deleted",
    "project.created",
    "project.updated",
    "project.archived",
    "rate_limit.updated",
    "service_account.created",
    "service_account.updated",
    "service_account.deleted",
]

EventOfOurs = Literal[
    "assistant.deleted",
    "assistant.file.deleted",
    "data_key.deleted",
    "data_key.retired",
    "data_key.rewrapped",
    "file.deleted",
    "project.deleted",
    "project.exported",
    "project.imported",
    "spend_limit.updated",
    "spend_limit.deleted",
    "thread.deleted",
    "thread.message.deleted",
    "upload.cancelled",
    "vector_store.deleted",
    "vector_store.file.deleted",
]
"""What the original's log doesn't tell, deletions in the words that its answers to them have."""

Event = EventOfOpenAI | EventOfOurs

EVENTS: tuple[str, ...] = (*get_args(EventOfOpenAI), *get_args(EventOfOurs))


def entry(
    by: Actor,
    event: Event,
    resource_id: str | None,
    project_id: str | None,
    details: Mapping[str, Any] | None = None,
    changed: Sequence[str] | None = None,
) -> str:
    """A new entry, as a parameter of a statement that has `statements.note` in it.

    `details` are what OpenAI's shape shows of the event beside the id of what it happened to, `changed` the names of
    the fields that somebody asked to change. An id that only the statement knows is None here.
    """
    facts = {
        "id": ids.new("audit_log"),
        "type": event,
        "project_id": project_id,
        "resource_id": resource_id,
        "details": details or {},
        "changed": None if changed is None else sorted(changed),
        "actor_kind": by.kind,
        "actor_id": by.id,
        "actor_account_id": by.account_id,
        "ip_address": by.ip_address,
        "user_agent": by.user_agent,
    }
    return to_json(facts)
