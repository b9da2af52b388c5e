"""Entries of the audit log. The original's own are here those that can happen; ours are beyond it."""

from typing import Literal, NotRequired

from typing_extensions import TypedDict

from shared.audit.entries import Event


class OfId(TypedDict):
    """What it happened to."""

    id: str


class ProjectData(TypedDict):
    """A new project's name."""

    name: str
    title: str


class ProjectCreated(OfId):
    """A project was made."""

    data: ProjectData


class ProjectChanges(TypedDict):
    """The new name, if it was to have one."""

    title: NotRequired[str]


class ProjectUpdated(OfId):
    """A project was changed."""

    changes_requested: ProjectChanges


class KeyData(TypedDict):
    """What the key is limited to, if it is limited."""

    scopes: NotRequired[list[str]]


class KeyCreated(OfId):
    """A key was made."""

    data: KeyData


class AccountData(TypedDict):
    """Every service account is a member."""

    role: Literal["member"]


class AccountCreated(OfId):
    """A service account was made."""

    data: AccountData


class AccountChanges(TypedDict):
    """Nothing that the original shows can change."""


class AccountUpdated(OfId):
    """A service account was changed."""

    changes_requested: AccountChanges


class RateChanges(TypedDict):
    """The new limits, those that were to change; 2147483647 lifts one."""

    max_requests_per_1_minute: NotRequired[int]
    max_tokens_per_1_minute: NotRequired[int]


class RateUpdated(OfId):
    """Limits of a model's runs were changed."""

    changes_requested: RateChanges


class OfAssistant(OfId):
    """A file was detached from an assistant."""

    assistant_id: str


class OfThread(OfId):
    """A message was deleted."""

    thread_id: str


class OfStore(OfId):
    """A file was taken out of a vector store."""

    vector_store_id: str


class ServiceAccountOfKey(TypedDict):
    """Whom a project's key belongs to."""

    id: str


class ActingKey(TypedDict):
    """A key: of a service account, or of whoever administers."""

    id: str
    type: Literal["service_account", "user"]
    service_account: NotRequired[ServiceAccountOfKey]


class ActingUser(TypedDict):
    """A user of the operating system, by name."""

    id: str


class ActingSession(TypedDict):
    """Somebody at the command line."""

    user: ActingUser


class Actor(TypedDict):
    """Who did it: by a key, or at the command line."""

    type: Literal["api_key", "session"]
    api_key: NotRequired[ActingKey]
    session: NotRequired[ActingSession]


class EntryProject(TypedDict):
    """In which project, and what that is called now."""

    id: str
    name: NotRequired[str]


class EntryFacts(TypedDict):
    """What else is known: from where; which fields were to change; the entry's place in the chain."""

    via: Literal["api", "command_line"]
    ip_address: str | None
    user_agent: str | None
    changed: list[str] | None
    number: int
    hash: str


AuditLogObject = TypedDict(
    "AuditLogObject",
    {
        "id": str,
        "type": Event,
        "effective_at": int,
        "actor": Actor,
        "project": NotRequired[EntryProject],
        "assistantd": EntryFacts,
        "api_key.created": NotRequired[KeyCreated],
        "api_key.deleted": NotRequired[OfId],
        "project.created": NotRequired[ProjectCreated],
        "project.updated": NotRequired[ProjectUpdated],
        "project.archived": NotRequired[OfId],
        "rate_limit.updated": NotRequired[RateUpdated],
        "service_account.created": NotRequired[AccountCreated],
        "service_account.updated": NotRequired[AccountUpdated],
        "service_account.deleted": NotRequired[OfId],
        "assistant.deleted": NotRequired[OfId],
        "assistant.file.deleted": NotRequired[OfAssistant],
        "data_key.deleted": NotRequired[OfId],
        "data_key.retired": NotRequired[OfId],
        "data_key.rewrapped": NotRequired[OfId],
        "file.deleted": NotRequired[OfId],
        "project.deleted": NotRequired[OfId],
        "project.exported": NotRequired[OfId],
        "project.imported": NotRequired[OfId],
        "spend_limit.updated": NotRequired[OfId],
        "spend_limit.deleted": NotRequired[OfId],
        "thread.deleted": NotRequired[OfId],
        "thread.message.deleted": NotRequired[OfThread],
        "upload.cancelled": NotRequired[OfId],
        "vector_store.deleted": NotRequired[OfId],
        "vector_store.file.deleted": NotRequired[OfStore],
    },
)
"""An entry. Under the name of its `type` stands what it happened to."""
