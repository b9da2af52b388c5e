"""The newest official client's own types, which its users' programs are checked against, held strictly.

The client itself takes whatever comes: it builds its objects without looking. Here each answer and each event has to be
what the types say, numbers of the right kind included. By the name that OpenAI's description has for an answer.
"""

import functools
from typing import Any, cast, get_args

from openai.pagination import SyncConversationCursorPage, SyncCursorPage, SyncPage
from openai.types import (
    FileDeleted,
    FileObject,
    Model,
    ModelDeleted,
    Upload,
    VectorStore,
    VectorStoreDeleted,
    VectorStoreSearchResponse,
)
from openai.types.admin.organization import (
    AdminAPIKey,
    AdminAPIKeyCreateResponse,
    AdminAPIKeyDeleteResponse,
    AuditLogListResponse,
    UsageCompletionsResponse,
)
from openai.types.admin.organization import Project as OrganizationProject
from openai.types.admin.organization.projects import (
    APIKeyDeleteResponse,
    ProjectAPIKey,
    ProjectRateLimit,
    ProjectServiceAccount,
    ProjectSpendLimitDeleted,
    ServiceAccountCreateResponse,
    ServiceAccountDeleteResponse,
)
from openai.types.admin.organization.projects.service_accounts import APIKeyCreateResponse
from openai.types.beta import Assistant, AssistantDeleted, AssistantStreamEvent, Thread, ThreadDeleted
from openai.types.beta.threads import Message, MessageDeleted, Run
from openai.types.beta.threads.runs import RunStep
from openai.types.shared import ErrorObject
from openai.types.uploads import UploadPart
from openai.types.vector_stores import (
    FileContentResponse,
    VectorStoreFile,
    VectorStoreFileBatch,
    VectorStoreFileDeleted,
)
from pydantic import BaseModel, TypeAdapter, ValidationError

from shared.audit.entries import EventOfOurs

TYPES: dict[str, Any] = {
    "AdminApiKey": AdminAPIKey,
    "AdminApiKeyCreateResponse": AdminAPIKeyCreateResponse,
    "ApiKeyList": SyncCursorPage[AdminAPIKey],
    "AssistantObject": Assistant,
    "DeleteAdminApiKeyResponse": AdminAPIKeyDeleteResponse,
    "DeleteAssistantResponse": AssistantDeleted,
    "DeleteFileResponse": FileDeleted,
    "DeleteMessageResponse": MessageDeleted,
    "DeleteModelResponse": ModelDeleted,
    "DeleteThreadResponse": ThreadDeleted,
    "DeleteVectorStoreFileResponse": VectorStoreFileDeleted,
    "DeleteVectorStoreResponse": VectorStoreDeleted,
    "ErrorResponse": dict[str, ErrorObject],
    "ListAssistantsResponse": SyncCursorPage[Assistant],
    "ListAuditLogsResponse": SyncConversationCursorPage[AuditLogListResponse],
    "ListFilesResponse": SyncCursorPage[FileObject],
    "ListMessagesResponse": SyncCursorPage[Message],
    "ListModelsResponse": SyncPage[Model],
    "ListRunStepsResponse": SyncCursorPage[RunStep],
    "ListRunsResponse": SyncCursorPage[Run],
    "ListThreadsResponse": SyncCursorPage[Thread],  # ours, of the client's threads
    "ListVectorStoreFilesResponse": SyncCursorPage[VectorStoreFile],
    "ListVectorStoresResponse": SyncCursorPage[VectorStore],
    "MessageObject": Message,
    "Model": Model,
    "OpenAIFile": FileObject,
    "Project": OrganizationProject,
    "ProjectApiKey": ProjectAPIKey,
    "ProjectApiKeyDeleteResponse": APIKeyDeleteResponse,
    "ProjectApiKeyListResponse": SyncConversationCursorPage[ProjectAPIKey],
    "ProjectListResponse": SyncConversationCursorPage[OrganizationProject],
    "ProjectRateLimit": ProjectRateLimit,
    "ProjectRateLimitListResponse": SyncConversationCursorPage[ProjectRateLimit],
    "ProjectSpendLimit": dict[str, Any],  # the client's own type knows no project without a hard one
    "ProjectSpendLimitDeleted": ProjectSpendLimitDeleted,
    "ProjectServiceAccount": ProjectServiceAccount,
    "ProjectServiceAccountCreateResponse": ServiceAccountCreateResponse,
    "ProjectServiceAccountDeleteResponse": ServiceAccountDeleteResponse,
    "ProjectServiceAccountListResponse": SyncConversationCursorPage[ProjectServiceAccount],
    "RunObject": Run,
    "RunStepObject": RunStep,
    "ServiceAccountApiKeyBody": APIKeyCreateResponse,
    "ThreadObject": Thread,
    "Upload": Upload,
    "UploadPart": UploadPart,
    "UsageResponse": UsageCompletionsResponse,  # the types of all kinds of usage, and of costs, are the same
    "VectorStoreFileBatchObject": VectorStoreFileBatch,
    "VectorStoreFileContentResponse": SyncPage[FileContentResponse],
    "VectorStoreFileObject": VectorStoreFile,
    "VectorStoreObject": VectorStore,
    "VectorStoreSearchResultsPage": SyncPage[VectorStoreSearchResponse],
}

FORGOTTEN = {
    "AssistantFileObject",
    "DeleteAssistantFileResponse",
    "ListAssistantFilesResponse",
    "ListMessageFilesResponse",
    "MessageFileObject",
}
"""Of v1 alone: the newest client has no types for these. The oldest one, which has, is run against us as a program."""

AMENDED: list[tuple[str, Any]] = [
    # OpenAI's description lets `evals` be asked for, and what was asked for is answered; the types haven't heard of it
    ("purpose", "evals"),
    # the original's audit log tells of fewer deletions
    *(("type", event) for event in get_args(EventOfOurs)),
]
"""Fields and values that we show although the types don't have them, each with its reason."""


def judge_answer(name: str, body: Any) -> list[str]:
    """An answer that the description calls so: what its type finds wrong. Raises KeyError for an answer without one."""
    return [] if name in FORGOTTEN else _judge(_adapter(name), body)


def judge_event(event: str, data: Any) -> list[str]:
    """An event of a stream, as the client's decoder hands it to its type. Raises KeyError for one without."""
    return _judge(_events()[event], {"event": event, "data": data})


def events() -> set[str]:
    """The names of the events that the client knows."""
    return set(_events())


def _judge(adapter: TypeAdapter[Any], instance: Any) -> list[str]:
    try:
        adapter.validate_python(_in_words_of_v2(instance), strict=True)
    except ValidationError as error:
        return [
            f"{'.'.join(map(str, one['loc']))}: {one['msg']} (the client's type)"
            for one in error.errors()
            if (one["loc"][-1], one["input"]) not in AMENDED
        ]
    return []


def _in_words_of_v2(body: Any) -> Any:
    """What v1 calls `retrieval` is `file_search` to the newest client; all else of v1 its types know, or may carry."""
    match body:
        case {"type": "retrieval", **fields}:
            named: dict[str, Any] = {"file_search" if key == "retrieval" else key: fields[key] for key in fields}
            return {"type": "file_search", **named}
        case dict():
            return {key: _in_words_of_v2(value) for key, value in cast("dict[str, Any]", body).items()}
        case list():
            return [_in_words_of_v2(one) for one in cast("list[Any]", body)]
        case _:
            return body


@functools.cache
def _adapter(name: str) -> TypeAdapter[Any]:
    return TypeAdapter(TYPES[name])


@functools.cache
def _events() -> dict[str, TypeAdapter[Any]]:
    """The types of events by their names. To pydantic their union has no discriminator: it would try each of them."""
    union, _ = get_args(AssistantStreamEvent)
    types: tuple[type[BaseModel], ...] = get_args(union)
    return {name: TypeAdapter(kind) for kind in types for name in get_args(kind.model_fields["event"].annotation)}
