"""Where the live API differed from its own description, and what we add to it on purpose. Each with its reason.

A new key in an answer of ours, or a new operation, has to be written down here before the referee lets it pass.
"""

import copy
from typing import Any, get_args

from shared.audit.entries import EventOfOurs
from shared.ids import Kind, prefix
from shared.wire import limits
from shared.wire.fields import Dialect

Schema = dict[str, Any]

NULL: Schema = {"type": "null"}
INTEGER: Schema = {"type": "integer"}
STRING: Schema = {"type": "string"}
LISTS = (
    "ListAssistantsResponse",
    "ListFilesResponse",
    "ListMessagesResponse",
    "ListModelsResponse",
    "ListRunStepsResponse",
    "ListRunsResponse",
    "ListVectorStoreFilesResponse",
    "ListVectorStoresResponse",
)
V1_LISTS = ("ListAssistantFilesResponse", "ListMessageFilesResponse")
KINDS: dict[str, Kind] = {
    "AssistantObject": "asst",
    "ThreadObject": "thread",
    "MessageObject": "msg",
    "RunObject": "run",
    "RunStepObject": "step",
    "RunToolCallObject": "call",
    "OpenAIFile": "file",
    "Upload": "upload",
    "UploadPart": "part",
    "VectorStoreObject": "vs",
    "VectorStoreFileObject": "file",
    "VectorStoreFileBatchObject": "vsfb",
}
KINDS_OF_ORGANIZATION: dict[str, Kind] = {
    "Project": "proj",
    "ProjectServiceAccount": "svc_acct",
    "ProjectServiceAccountCreateResponse": "svc_acct",
    "ProjectApiKey": "key",
    "ProjectServiceAccountApiKey": "key",
    "ServiceAccountApiKeyBody": "key",
    "AdminApiKey": "key",
    "AuditLog": "audit_log",
}
V1_KINDS: dict[str, Kind] = {"AssistantFileObject": "file", "MessageFileObject": "file"}
WITH_KEYS = ("ProjectApiKey", "ProjectServiceAccountApiKey", "ServiceAccountApiKeyBody")


def ref(name: str) -> Schema:
    """Another schema of the description."""
    return {"$ref": f"#/components/schemas/{name}"}


def or_null(schema: Schema) -> Schema:
    """That, or null."""
    return {"anyOf": [schema, NULL]}


def identifier(kind: Kind) -> Schema:
    """An id of that kind."""
    return {"type": "string", "pattern": f"^{prefix(kind)}[0-9A-Za-z]+$"}


ATTEMPT: Schema = {
    "type": "object",
    "properties": {
        "worker": STRING,
        "started_at": INTEGER,
        "ended_at": or_null(INTEGER),
        "reason": or_null(STRING),
    },
    "required": ["worker", "started_at", "ended_at", "reason"],
}

AMOUNT: Schema = {
    "type": "object",
    "properties": {"value": {"type": "number"}, "currency": {"enum": ["usd"]}},
    "required": ["value", "currency"],
}

FACTS_OF_USAGE: Schema = {
    "type": "object",
    "properties": {
        "cost": AMOUNT,
        "line_items": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "line_item": STRING,
                    "quantity": {"type": "number"},
                    "quantity_unit": or_null(STRING),
                    "amount": AMOUNT,
                },
                "required": ["line_item", "quantity", "quantity_unit", "amount"],
            },
        },
    },
    "required": ["cost", "line_items"],
}
WITH_USAGE: Schema = {"type": "object", "properties": {"usage": FACTS_OF_USAGE}, "required": ["usage"]}

SPEND_LIMIT: Schema = {
    "type": "object",
    "properties": {
        "object": {"enum": ["project.spend_limit"]},
        "threshold_amount": or_null(INTEGER),
        "currency": {"enum": ["USD"]},
        "interval": {"enum": ["month"]},
        "enforcement": {
            "type": "object",
            "properties": {"status": {"enum": ["inactive", "enforcing"]}},
            "required": ["status"],
        },
        "assistantd": {
            "type": "object",
            "properties": {"alert_amount": or_null(INTEGER), "alerted": {"type": "boolean"}, "spent": AMOUNT},
            "required": ["alert_amount", "alerted", "spent"],
        },
    },
    "required": ["object", "threshold_amount", "currency", "interval", "enforcement", "assistantd"],
}
SPEND_LIMIT_GONE: Schema = {
    "type": "object",
    "properties": {"object": {"enum": ["project.spend_limit.deleted"]}, "deleted": {"enum": [True]}},
    "required": ["object", "deleted"],
}

FACTS_OF_A_RUN: Schema = {
    "type": "object",
    "properties": {
        "reason": or_null(STRING),
        "waiting_for_thread": {"type": "boolean"},
        "attempts": {"type": "array", "items": ATTEMPT},
        "workers_lost": INTEGER,
        "max_attempts": INTEGER,
        "term": INTEGER,
        "worker": or_null(STRING),
        "lease_expires_at": or_null(INTEGER),
        "cancel_requested_at": or_null(INTEGER),
        "history": {"type": "array", "items": {"type": "object"}},
        "usage": FACTS_OF_USAGE,
    },
    "required": ["reason", "attempts", "workers_lost", "max_attempts", "term", "worker", "history", "usage"],
}

PURPOSES = ["assistants", "assistants_output", "batch", "fine-tune", "vision", "user_data", "evals"]
CITED: Schema = {
    "type": "object",
    "properties": {"page": or_null(INTEGER), "chunk_id": STRING, "quote": STRING},
    "required": ["page", "chunk_id", "quote"],
}

FACTS_OF_A_FILE: Schema = {
    "type": "object",
    "properties": {
        "stage": STRING,
        "format": or_null(STRING),
        "pages": or_null(INTEGER),
        "pages_read": INTEGER,
        "pages_unread": INTEGER,
        "chunks": INTEGER,
        "chunks_embedded": INTEGER,
    },
    "required": ["stage", "format", "pages", "pages_read", "pages_unread", "chunks", "chunks_embedded"],
}

FACTS_OF_A_KEY: Schema = {
    "type": "object",
    "properties": {"scopes": or_null({"type": "array", "items": STRING})},
    "required": ["scopes"],
}

LIMITS = ("max_requests_per_1_minute", "max_concurrent_runs", "max_stored_bytes", "max_sandbox_sessions")
RETENTION = ("threads", "files", "outputs", "events", "sessions")
FACTS_OF_A_PROJECT: Schema = {
    "type": "object",
    "properties": {
        "limits": {
            "type": "object",
            "properties": {name: or_null(INTEGER) for name in LIMITS},
            "required": list(LIMITS),
        },
        "retention": {
            "type": "object",
            "properties": {name: or_null(INTEGER) for name in RETENTION},
            "required": list(RETENTION),
        },
    },
    "required": ["limits", "retention"],
}

FACTS_OF_AN_ENTRY: Schema = {
    "type": "object",
    "properties": {
        "via": {"enum": ["api", "command_line"]},
        "ip_address": or_null(STRING),
        "user_agent": or_null(STRING),
        "changed": or_null({"type": "array", "items": STRING}),
        "number": INTEGER,
        "hash": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
    },
    "required": ["via", "ip_address", "user_agent", "changed", "number", "hash"],
}
WHAT_IS_IN = {
    "assistant.file.deleted": "assistant_id",
    "thread.message.deleted": "thread_id",
    "vector_store.file.deleted": "vector_store_id",
}
"""What stands in an entry of ours beside the id of what is gone."""


def _gone(event: str) -> Schema:
    names = ["id", *([WHAT_IS_IN[event]] if event in WHAT_IS_IN else [])]
    return {"type": "object", "properties": dict.fromkeys(names, STRING), "required": names}


# Schema, key in its properties, and what it is to be there.
V2: list[tuple[str, str, Schema]] = [  # in v1 the quote has its own place, and there is none for the rest
    ("MessageContentTextAnnotationsFileCitationObject", "assistantd", CITED),
    ("MessageDeltaContentTextAnnotationsFileCitationObject", "assistantd", CITED),
]

BOTH: list[tuple[str, str, Schema]] = [
    # additions of ours: clients ignore keys that they don't know
    ("AssistantObject", "reasoning_effort", ref("ReasoningEffort")),  # in the description only in requests
    ("RunObject", "reasoning_effort", ref("ReasoningEffort")),
    ("RunStepObject", "expires_at", or_null(INTEGER)),  # in the examples of both descriptions, and not in their schemas
    ("RunObject", "assistantd", FACTS_OF_A_RUN),  # where `?assistantd=true` asks for it
    ("AssistantObject", "assistantd", WITH_USAGE),  # likewise
    ("ThreadObject", "assistantd", WITH_USAGE),  # likewise
    ("VectorStoreFileObject", "assistantd", FACTS_OF_A_FILE),  # likewise
    ("VectorStoreObject", "description", or_null(STRING)),  # in the description only in requests
    ("Error", "error", ref("Error")),  # of a stream: Python's SDKs look for the nested form
    ("ListModelsResponse", "has_more", {"type": "boolean"}),
    # corrections: the ids of an empty page are null, which is how the oldest clients know that it is the last
    *((name, key, or_null(STRING)) for name in LISTS for key in ("first_id", "last_id")),
    # a file that never expires, and has no trouble: the clients' own types have room for null, and so had the live API
    ("OpenAIFile", "expires_at", or_null(INTEGER)),
    ("OpenAIFile", "status_details", or_null(STRING)),
    # what code made is `assistants_output`, as in the original; `evals` may be asked for, so it is answered; a client
    # of v1 is told what there is
    ("OpenAIFile", "purpose", {"enum": PURPOSES}),
    # the description says `string`; the documentation, and every SDK's user, knows the prefixes
    *((name, "id", identifier(kind)) for name, kind in KINDS.items()),
    *((name, "id", identifier(kind)) for name, kind in KINDS_OF_ORGANIZATION.items()),
    # additions of ours
    ("Project", "assistantd", FACTS_OF_A_PROJECT),
    ("ProjectApiKey", "assistantd", FACTS_OF_A_KEY),
    ("AdminApiKey", "assistantd", FACTS_OF_A_KEY),
    ("AuditLog", "assistantd", FACTS_OF_AN_ENTRY),
    *(("AuditLog", event, _gone(event)) for event in get_args(EventOfOurs)),
    # corrections: the names of rate limits are those of models
    ("ProjectRateLimit", "id", {"type": "string", "pattern": "^rl-."}),
    # corrections: keys of projects expire too, as the newest client's types know, and this description doesn't
    *((name, "expires_at", or_null(INTEGER)) for name in WITH_KEYS),
]

V1: list[tuple[str, str, Schema]] = [
    *((name, key, or_null(STRING)) for name in V1_LISTS for key in ("first_id", "last_id")),
    *((name, "id", identifier(kind)) for name, kind in V1_KINDS.items()),
    # v1 has no word for a run that was cut off: it is shown as what it is, and `failed` would be a lie
    (
        "RunObject",
        "status",
        {
            "enum": [
                "queued",
                "in_progress",
                "requires_action",
                "cancelling",
                "cancelled",
                "failed",
                "completed",
                "incomplete",
                "expired",
            ]
        },
    ),
    # parts that a v2 client put there
    (
        "MessageObject",
        "content",
        {
            "type": "array",
            "items": {
                "oneOf": [
                    ref("MessageContentTextObject"),
                    ref("MessageContentImageFileObject"),
                    ref("MessageContentImageUrlObject"),
                ]
            },
        },
    ),
]


def apply(document: Schema, dialect: Dialect) -> None:
    """Amend the description, in place."""
    schemas = document["components"]["schemas"]
    for name, key, schema in [*BOTH, *(V1 if dialect == "v1" else V2)]:
        schemas[name]["properties"][key] = schema
    # a run that names no tools has those of its assistant, of which there may be more than a run itself may name
    schemas["RunObject"]["properties"]["tools"]["maxItems"] = limits.ASSISTANT_TOOLS
    _name_what_has_no_name(document)
    schemas["ListThreadsResponse"] = _page_of_threads(schemas)
    answer = {"200": {"content": {"application/json": {"schema": ref("ListThreadsResponse")}}}}
    document["paths"]["/threads"]["get"] = {"responses": answer}
    _add_spend_limits(document)
    schemas["AuditLogEventType"]["enum"] += get_args(EventOfOurs)  # deletions that the original's log doesn't tell of
    if dialect == "v1":
        for name in V1_LISTS:
            schemas[name]["required"].remove("items")  # no such key is described: `data` is meant, and stands there too


def _add_spend_limits(document: Schema) -> None:
    """OpenAI has them since, and this description doesn't know them; that there may be no hard one is ours."""
    document["components"]["schemas"] |= {
        "ProjectSpendLimit": SPEND_LIMIT,
        "ProjectSpendLimitDeleted": SPEND_LIMIT_GONE,
    }
    answers = {"get": "ProjectSpendLimit", "post": "ProjectSpendLimit", "delete": "ProjectSpendLimitDeleted"}
    document["paths"]["/organization/projects/{project_id}/spend_limit"] = {
        verb: {"responses": {"200": {"content": {"application/json": {"schema": ref(name)}}}}}
        for verb, name in answers.items()
    }


def _name_what_has_no_name(document: Schema) -> None:
    """Two answers of the administration: one is described in its place, the other as a sum, which can't be sealed."""
    schemas = document["components"]["schemas"]
    deletion = document["paths"]["/organization/admin_api_keys/{key_id}"]["delete"]["responses"]["200"]
    content = deletion["content"]["application/json"]
    schemas["DeleteAdminApiKeyResponse"], content["schema"] = content["schema"], ref("DeleteAdminApiKeyResponse")
    made, (_, more) = copy.deepcopy(schemas["AdminApiKey"]), schemas["AdminApiKeyCreateResponse"]["allOf"]
    made["properties"] |= more["properties"]
    made["required"] = [*made["required"], *more["required"]]
    schemas["AdminApiKeyCreateResponse"] = made


def _page_of_threads(schemas: Schema) -> Schema:
    """What goes beyond the original: threads can be listed, each with its last activity."""
    thread = copy.deepcopy(schemas["ThreadObject"])
    thread["properties"]["assistantd"] = {
        "type": "object",
        "properties": {"last_activity_at": INTEGER},
        "required": ["last_activity_at"],
    }
    thread["required"] = [*thread["required"], "assistantd"]
    page = copy.deepcopy(schemas["ListMessagesResponse"])
    page["properties"]["data"]["items"] = thread
    return page
