"""Projects, their limits, service accounts and keys on the wire. `residency`, keys of encryption elsewhere and roles
have no effect here, so they are no fields.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from shared.database import Row
from shared.projects.keys import Made
from shared.projects.limits import RATE_LIMIT
from shared.projects.scopes import Scope
from shared.wire import limits
from shared.wire.fields import Body
from shared.wire.objects import seconds
from shared.wire.shapes.administration import (
    AccountObject,
    AdminKeyObject,
    MadeAccountObject,
    MadeAdminKeyObject,
    MadeKeyObject,
    ProjectKeyObject,
    ProjectObject,
    RateLimitObject,
)

Name = Annotated[str, StringConstraints(min_length=1, max_length=limits.ORGANIZATION_NAME)]
Limit = Annotated[int, Field(ge=1, le=limits.PROJECT_LIMIT)]
PerMinute = Annotated[int, Field(ge=1, le=limits.INTEGER)]
Kept = Annotated[int, Field(ge=limits.RETENTION_SECONDS[0], le=limits.RETENTION_SECONDS[1])]
KeptEvents = Annotated[int, Field(ge=limits.EVENTS_SECONDS[0], le=limits.EVENTS_SECONDS[1])]
KeptSessions = Annotated[int, Field(ge=limits.SESSIONS_SECONDS[0], le=limits.SESSIONS_SECONDS[1])]
Seconds = Annotated[int, Field(ge=1, le=limits.KEY_EXPIRY_SECONDS)]

NO_LIMIT = limits.INTEGER  # the original's shape has no word for it

_LIMITS = {
    "max_requests_per_1_minute": "max_requests_per_minute",
    "max_concurrent_runs": "max_concurrent_runs",
    "max_stored_bytes": "max_stored_bytes",
    "max_sandbox_sessions": "max_sandbox_sessions",
}
LIMIT_OF_COLUMN = {column: name for name, column in _LIMITS.items()}
_RATES = {"max_requests_per_1_minute": "max_requests", "max_tokens_per_1_minute": "max_tokens"}


class CreateProject(Body):
    """A tenant."""

    name: Name


class NewLimits(Body):
    """Limits of a project, those that are given; null lifts one."""

    max_requests_per_1_minute: Limit | None = None
    max_concurrent_runs: Limit | None = None
    max_stored_bytes: Limit | None = None
    max_sandbox_sessions: Limit | None = None


class NewRetention(Body):
    """For how many seconds a project keeps things, those that are given; null is for ever, of the last two for as long
    as ever.
    """

    threads: Kept | None = None
    files: Kept | None = None
    outputs: Kept | None = None
    events: KeptEvents | None = None
    sessions: KeptSessions | None = None


class ProjectExtension(Body):
    """What the original doesn't have."""

    limits: NewLimits | None = None
    retention: NewRetention | None = None


class ModifyProject(Body):
    """Another name for it, other limits, or another retention."""

    name: Name | None = None
    assistantd: ProjectExtension | None = None

    def columns(self) -> dict[str, Any]:
        """The columns that it changes."""
        limits = (self.assistantd and self.assistantd.limits) or NewLimits()
        changes = {_LIMITS[name]: value for name, value in limits.model_dump(exclude_unset=True).items()}
        kept = (self.assistantd and self.assistantd.retention) or NewRetention()
        changes |= {f"{name}_kept_s": value for name, value in kept.model_dump(exclude_unset=True).items()}
        return changes if self.name is None else {**changes, "name": self.name}


class ModifyRateLimit(Body):
    """What the project may do with a model in a minute. Null lifts a limit, as does the number that no limit is shown
    as. What is limited by the day, and images and audio, have no meaning here, so they are no fields.
    """

    max_requests_per_1_minute: PerMinute | None = None
    max_tokens_per_1_minute: PerMinute | None = None

    def columns(self) -> dict[str, int | None]:
        """The columns that it changes."""
        return {
            _RATES[name]: None if value == NO_LIMIT else value
            for name, value in self.model_dump(exclude_unset=True).items()
        }


class CreateAccount(Body):
    """A service account, with a key that opens all of its project or without one."""

    name: Name
    create_service_account_only: bool | None = None


class ModifyAccount(Body):
    """Another name for it."""

    name: Name | None = None


class CreateKey(Body):
    """Another key for a service account; without scopes it opens all of the project."""

    name: Name | None = None
    scopes: Annotated[list[Scope], Field(max_length=limits.KEY_SCOPES)] | None = None
    expires_in_seconds: Seconds | None = None


class CreateAdminKey(Body):
    """A key to the administration."""

    name: Name
    expires_in_seconds: Seconds | None = None


def lifetime(seconds_left: int | None) -> timedelta | None:
    """How long a key is to live; None for ever."""
    return None if seconds_left is None else timedelta(seconds=seconds_left)


def project_object(row: Row) -> ProjectObject:
    """A project."""
    return {
        "id": row["id"],
        "object": "organization.project",
        "name": row["name"],
        "created_at": seconds(row["created_at"]),
        "archived_at": seconds(row["archived_at"]),
        "status": "active" if row["archived_at"] is None else "archived",
        "assistantd": {
            "limits": {
                "max_requests_per_1_minute": row["max_requests_per_minute"],
                "max_concurrent_runs": row["max_concurrent_runs"],
                "max_stored_bytes": row["max_stored_bytes"],
                "max_sandbox_sessions": row["max_sandbox_sessions"],
            },
            "retention": {
                "threads": row["threads_kept_s"],
                "files": row["files_kept_s"],
                "outputs": row["outputs_kept_s"],
                "events": row["events_kept_s"],
                "sessions": row["sessions_kept_s"],
            },
        },
    }


def rate_limit_object(model: str, row: Row | None) -> RateLimitObject:
    """What a project may do with a model, as it was set; None if it never was."""
    requests, tokens = (row["max_requests"], row["max_tokens"]) if row is not None else (None, None)
    return {
        "id": RATE_LIMIT + model,
        "object": "project.rate_limit",
        "model": model,
        "max_requests_per_1_minute": NO_LIMIT if requests is None else requests,
        "max_tokens_per_1_minute": NO_LIMIT if tokens is None else tokens,
    }


def account_object(row: Row) -> AccountObject:
    """A service account."""
    return {
        "id": row["id"],
        "object": "organization.project.service_account",
        "name": row["name"],
        "role": "member",
        "created_at": seconds(row["created_at"]),
    }


def made_account_object(row: Row, key: Made | None) -> MadeAccountObject:
    """A service account that was just made, with its key."""
    return {**account_object(row), "api_key": None if key is None else made_key_object(key)}


def made_key_object(made: Made) -> MadeKeyObject:
    """A service account's key, shown this once."""
    row = made.row
    return {
        "id": row["id"],
        "object": "organization.project.service_account.api_key",
        "name": row["name"],
        "value": made.value,
        "created_at": seconds(row["created_at"]),
        "expires_at": seconds(row["expires_at"]),
    }


def project_key_object(row: Row) -> ProjectKeyObject:
    """A project's key; `row` has its `owner`."""
    owner = row["owner"]
    return {
        "id": row["id"],
        "object": "organization.project.api_key",
        "name": row["name"],
        "redacted_value": row["hint"],
        "created_at": seconds(row["created_at"]),
        "last_used_at": seconds(row["last_used_at"]),
        "expires_at": seconds(row["expires_at"]),
        "owner_project_access": "active",
        "owner": {
            "type": "service_account",
            "service_account": {
                "id": owner["id"],
                "name": owner["name"],
                "created_at": seconds(owner["created_at"]),
                "role": "member",
            },
        },
        "assistantd": {"scopes": _scopes(row["scopes"])},
    }


def admin_key_object(row: Row) -> AdminKeyObject:
    """A key to the administration. There are no users here: who owns it is whoever has it."""
    return {
        "id": row["id"],
        "object": "organization.admin_api_key",
        "name": row["name"],
        "redacted_value": row["hint"],
        "created_at": seconds(row["created_at"]),
        "last_used_at": seconds(row["last_used_at"]),
        "expires_at": seconds(row["expires_at"]),
        "owner": {"type": "user", "role": "owner"},
        "assistantd": {"scopes": _scopes(row["scopes"])},
    }


def made_admin_key_object(made: Made) -> MadeAdminKeyObject:
    """A key to the administration, shown this once."""
    return {**admin_key_object(made.row), "value": made.value}


def _scopes(scopes: Sequence[str] | None) -> list[str] | None:
    return None if scopes is None else list(scopes)
