"""OpenAPI's links: which operations the ids in an answer are for, so that programs can find their way by themselves.

A link leads from every answer that makes an object, or lists objects, to every operation whose path those ids complete;
and to those whose body has room for them.
"""

from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_origin

from api.errors import OK
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
from shared.wire.shapes.assistants import AssistantFileObject, AssistantObject
from shared.wire.shapes.files import FileObject, ModelObject, UploadObject, UploadPartObject
from shared.wire.shapes.lists import ListObject
from shared.wire.shapes.runs import RunObject
from shared.wire.shapes.steps import RunStepObject
from shared.wire.shapes.threads import MessageFileObject, MessageObject, ThreadObject
from shared.wire.shapes.vector_stores import FileBatchObject, VectorStoreFileObject, VectorStoreObject

Json = dict[str, Any]

NAMED: dict[Any, dict[str, str]] = {
    AssistantObject: {"assistant_id": "id"},
    AssistantFileObject: {"assistant_id": "assistant_id", "file_id": "id"},
    ThreadObject: {"thread_id": "id"},
    MessageObject: {"thread_id": "thread_id", "message_id": "id"},
    MessageFileObject: {"thread_id": "$request.path.thread_id", "message_id": "message_id", "file_id": "id"},
    RunObject: {"thread_id": "thread_id", "run_id": "id"},
    RunStepObject: {"thread_id": "thread_id", "run_id": "run_id", "step_id": "id"},
    FileObject: {"file_id": "id"},
    ModelObject: {"model": "id"},
    UploadObject: {"upload_id": "id"},
    UploadPartObject: {"upload_id": "upload_id", "part_id": "id"},
    VectorStoreObject: {"vector_store_id": "id"},
    VectorStoreFileObject: {"vector_store_id": "vector_store_id", "file_id": "id"},
    FileBatchObject: {"vector_store_id": "vector_store_id", "batch_id": "id"},
    ProjectObject: {"project_id": "id"},
    RateLimitObject: {"project_id": "$request.path.project_id", "rate_limit_id": "id"},
    AccountObject: {"project_id": "$request.path.project_id", "service_account_id": "id"},
    MadeAccountObject: {"project_id": "$request.path.project_id", "service_account_id": "id"},
    MadeKeyObject: {"project_id": "$request.path.project_id", "api_key_id": "id"},
    ProjectKeyObject: {"project_id": "$request.path.project_id", "api_key_id": "id"},
    AdminKeyObject: {"key_id": "id"},
    MadeAdminKeyObject: {"key_id": "id"},
}
"""Fields that say where an object is, under the names that paths have for them; or expressions of OpenAPI's."""

LISTED = {"file_id": "file_ids", "part_id": "part_ids"}
"""Ids of which bodies have lists."""


def add(document: Json, shapes: Mapping[tuple[str, str], Any]) -> None:
    """Give every answer that makes or lists objects its links; `shapes` are those of the answers in JSON."""
    for (method, path), shape in shapes.items():
        lists = get_origin(shape) is ListObject
        fields = NAMED.get(get_args(shape)[0] if lists else shape, {})
        own = next((name for name, field in fields.items() if field == "id"), "")
        if fields and (lists or (method == "post" and f"{{{own}}}" not in path)):
            pointer = "$response.body#/data/0/" if lists else "$response.body#/"
            known = {name: field if field.startswith("$") else pointer + field for name, field in fields.items()}
            found = dict(_from(document, known))
            document["paths"][path][method]["responses"][str(OK)]["links"] = found


def _from(document: Json, known: Mapping[str, str]) -> Iterator[tuple[str, Json]]:
    """Links to whatever these ids are enough for, and are of use to."""
    for methods in document["paths"].values():
        for operation in methods.values():
            needed = {one["name"] for one in operation.get("parameters", []) if one["in"] == "path"}
            body = _body(document, operation, {name: at for name, at in known.items() if name not in needed})
            if needed <= known.keys() and (needed or body):
                link: Json = {"operationId": operation["operationId"]}
                link |= {"parameters": {name: known[name] for name in sorted(needed)}} if needed else {}
                link |= {"requestBody": body} if body else {}
                yield operation["operationId"], link


def _body(document: Json, operation: Json, known: Mapping[str, str]) -> Json:
    """What of a body these ids can say."""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    fields = _fields(document, content.get("schema", {}))
    single = {name: at for name, at in known.items() if name in fields}
    several = {LISTED[name]: [at] for name, at in known.items() if LISTED.get(name) in fields}
    return single | several


def _fields(document: Json, schema: Json) -> set[str]:
    """The names of a body's fields; one that may be absent is among alternatives."""
    if reference := schema.get("$ref"):
        schema = document["components"]["schemas"][reference.rpartition("/")[2]]
    inner = (_fields(document, one) for one in schema.get("anyOf", []))
    return set(schema.get("properties", {})).union(*inner)
