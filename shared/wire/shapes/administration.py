"""Projects, their limits, service accounts and keys."""

from typing import Literal

from typing_extensions import TypedDict


class ProjectLimits(TypedDict):
    """What a project may do altogether; null is as much as it likes."""

    max_requests_per_1_minute: int | None
    max_concurrent_runs: int | None
    max_stored_bytes: int | None
    max_sandbox_sessions: int | None


class ProjectRetention(TypedDict):
    """For how many seconds a project keeps things; null is for ever, of the last two for as long as ever."""

    threads: int | None
    files: int | None
    outputs: int | None
    events: int | None
    sessions: int | None


class ProjectFacts(TypedDict):
    """What else is known of a project."""

    limits: ProjectLimits
    retention: ProjectRetention


class ProjectObject(TypedDict):
    """A project."""

    id: str
    object: Literal["organization.project"]
    name: str
    created_at: int
    archived_at: int | None
    status: Literal["active", "archived"]
    assistantd: ProjectFacts


class RateLimitObject(TypedDict):
    """What a project may do with one model in a minute; 2147483647 where it is as much as it likes."""

    id: str
    object: Literal["project.rate_limit"]
    model: str
    max_requests_per_1_minute: int
    max_tokens_per_1_minute: int


class AccountObject(TypedDict):
    """A service account. Roles have no effect here; every one is a member."""

    id: str
    object: Literal["organization.project.service_account"]
    name: str
    role: Literal["member"]
    created_at: int


class MadeKeyObject(TypedDict):
    """A service account's new key; its `value` is shown this once."""

    id: str
    object: Literal["organization.project.service_account.api_key"]
    name: str
    value: str
    created_at: int
    expires_at: int | None


class MadeAccountObject(AccountObject):
    """A new service account, with its key if it was given one."""

    api_key: MadeKeyObject | None


class OwningAccount(TypedDict):
    """The service account that a key belongs to."""

    id: str
    name: str
    created_at: int
    role: Literal["member"]


class KeyOwner(TypedDict):
    """Whom a key belongs to."""

    type: Literal["service_account"]
    service_account: OwningAccount


class KeyFacts(TypedDict):
    """What a key is limited to; null for one that opens all."""

    scopes: list[str] | None


class ProjectKeyObject(TypedDict):
    """A key to a project."""

    id: str
    object: Literal["organization.project.api_key"]
    name: str
    redacted_value: str
    created_at: int
    last_used_at: int | None
    expires_at: int | None
    owner_project_access: Literal["active"]
    owner: KeyOwner
    assistantd: KeyFacts


class AdminKeyOwner(TypedDict):
    """Whoever has the key."""

    type: Literal["user"]
    role: Literal["owner"]


class AdminKeyObject(TypedDict):
    """A key to the administration."""

    id: str
    object: Literal["organization.admin_api_key"]
    name: str
    redacted_value: str
    created_at: int
    last_used_at: int | None
    expires_at: int | None
    owner: AdminKeyOwner
    assistantd: KeyFacts


class MadeAdminKeyObject(AdminKeyObject):
    """A new key to the administration; its `value` is shown this once."""

    value: str
