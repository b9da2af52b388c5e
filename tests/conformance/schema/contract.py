"""The frozen OpenAPI description of the Assistants API as JSON Schema, sealed: a key that it doesn't know is an error.

`assistants-v2.json` is OpenAI's description of 2026-08-21 without its prose (openai/openai-openapi at f85dbe2, MIT).
Where the live API differed from it, or we add to it on purpose, AMENDMENTS says so and why.
"""

import copy
import functools
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

Schema = dict[str, Any]

SOURCE = Path(__file__).parent / "assistants-v2.json"
NULL: Schema = {"type": "null"}
IDENTIFIER: Schema = {"type": "string"}
EMPTY_LIST = (
    *("ListAssistantsResponse", "ListMessagesResponse", "ListRunsResponse", "ListRunStepsResponse"),
    *("ListVectorStoresResponse", "ListVectorStoreFilesResponse"),
)

# Schema, path of properties in it, and what it is to be there.
AMENDMENTS: list[tuple[str, str, Schema]] = [
    # additions of ours: clients ignore keys that they don't know
    ("AssistantObject", "reasoning_effort", {"$ref": "#/components/schemas/ReasoningEffort"}),  # only in requests
    ("RunObject", "reasoning_effort", {"$ref": "#/components/schemas/ReasoningEffort"}),
    ("Error", "error", {"$ref": "#/components/schemas/Error"}),  # of a stream: Python's SDKs look for the nested form
    ("VectorStoreObject", "description", {"anyOf": [{"type": "string"}, NULL]}),  # only in requests
    ("ListModelsResponse", "first_id", {"anyOf": [IDENTIFIER, NULL]}),
    ("ListModelsResponse", "last_id", {"anyOf": [IDENTIFIER, NULL]}),
    ("ListModelsResponse", "has_more", {"type": "boolean"}),
    # corrections: the ids of an empty page are null, which is how the oldest clients know that it is the last
    *(
        (name, key, {"anyOf": [IDENTIFIER, NULL]})
        for name in (*EMPTY_LIST, "ListFilesResponse")
        for key in ("first_id", "last_id")
    ),
    # a file that never expires, and has no trouble: the clients' own types have room for null, and so had the live API
    ("OpenAIFile", "expires_at", {"anyOf": [{"type": "integer"}, NULL]}),
    ("OpenAIFile", "status_details", {"anyOf": [{"type": "string"}, NULL]}),
    # `evals` may be asked for, so it is answered
    ("OpenAIFile", "purpose", {"enum": ["assistants", "batch", "fine-tune", "vision", "user_data", "evals"]}),
]


# The same for v1's description, of 2024-03-28 (openai/openai-openapi at 5717410, MIT).
V1_LISTS = ("ListAssistantFilesResponse", "ListMessageFilesResponse")
V1_AMENDMENTS = [(name, key, {"anyOf": [IDENTIFIER, NULL]}) for name in V1_LISTS for key in ("first_id", "last_id")]


class Contract:
    """Judges answers and events. A judgement is a list of sentences, empty for what conforms."""

    def __init__(self, document: Mapping[str, Any], amendments: Sequence[tuple[str, str, Schema]] = AMENDMENTS) -> None:
        schemas: Schema = document["components"]["schemas"]
        for name, key, schema in amendments:
            schemas[name]["properties"][key] = schema
        self._schemas: Schema = {name: sealed(schema) for name, schema in schemas.items()}
        self._operations = [*_operations(document["paths"]), *_ours(schemas)]
        self._events = dict(_events(schemas))

    def judge_answer(self, method: str, path: str, status: int, body: Any) -> list[str]:
        """An answer with a JSON body; `path` begins behind `/v1`."""
        if status >= 400:
            return self._judge({"$ref": "#/components/schemas/ErrorResponse"}, body)
        for verb, pattern, schema in self._operations:
            if verb == method and pattern.fullmatch(path):
                return self._judge(schema, body)
        return [f"{method} {path} is no operation of the API"]

    def judge_event(self, event: str, data: Any) -> list[str]:
        """An event of a stream, its data parsed unless they are `[DONE]`."""
        if event not in self._events:
            return [f"there is no event {event!r}"]
        return self._judge(self._events[event], data)

    @property
    def events(self) -> set[str]:
        """The names of all events."""
        return set(self._events)

    def _judge(self, schema: Schema, instance: Any) -> list[str]:
        found = self._validator(json.dumps(schema)).iter_errors(instance)
        return [_sentence(error) for error in sorted(found, key=str)]

    @functools.cache  # noqa: B019 - there is one contract, and it lives as long as the tests
    def _validator(self, schema: str) -> Draft202012Validator:
        return Draft202012Validator({**sealed(json.loads(schema)), "components": {"schemas": self._schemas}})


@functools.cache
def contract() -> Contract:
    """The contract of the API."""
    return Contract(json.loads(SOURCE.read_bytes()))


@functools.cache
def v1_contract() -> Contract:
    """The contract of the API's first days, for what v2 has no more."""
    document = json.loads((SOURCE.parent / "assistants-v1.json").read_bytes())
    schemas = document["components"]["schemas"]
    for name in V1_LISTS:
        schemas[name]["required"].remove(
            "items"
        )  # no such property is described: `data` is meant, and stands there too
    schemas["ErrorResponse"] = {"properties": {"error": {"$ref": "#/components/schemas/Error"}}, "required": ["error"]}
    return Contract(document, V1_AMENDMENTS)


def sealed(schema: Any) -> Any:
    """The schema with OpenAPI's `nullable` spelt in JSON Schema, and every object closed that lists its properties."""
    match schema:
        case list():
            return [sealed(part) for part in cast("list[Any]", schema)]
        case {"allOf": [only, {"nullable": True}]}:
            return {"anyOf": [sealed(only), NULL]}
        case dict():
            plain = _closed(cast("Schema", schema))
            return {"anyOf": [plain, NULL]} if plain.pop("nullable", False) else plain
        case _:
            return schema


def _closed(schema: Schema) -> Schema:
    if "properties" not in schema:
        return {key: sealed(value) for key, value in schema.items()}
    properties = {name: sealed(part) for name, part in schema["properties"].items()}
    others = {key: sealed(value) for key, value in schema.items() if key != "properties"}
    return {"additionalProperties": False, **others, "properties": properties}


def _sentence(error: Any) -> str:
    """What is wrong and where; of alternatives, the one that came closest."""
    closest = best_match([error])
    return f"{closest.json_path}: {closest.message}"


def _operations(paths: Mapping[str, Any]) -> Any:
    """Verb, path and schema of every JSON answer; literal paths before those with ids in them."""
    for path in sorted(paths, key=lambda path: path.count("{")):
        pattern = re.compile(re.sub(r"\{model\}", ".+", path).replace("{", "(?P<").replace("}", ">[^/]+)"))
        for verb, operation in paths[path].items():
            schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
            yield verb.upper(), pattern, schema


def _ours(schemas: Schema) -> Any:
    """The same of what goes beyond the original: threads can be listed, each with its last activity."""
    thread = copy.deepcopy(schemas["ThreadObject"])
    thread["properties"]["assistantd"] = {
        "type": "object",
        "properties": {"last_activity_at": {"type": "integer"}},
        "required": ["last_activity_at"],
    }
    thread["required"] = [*thread["required"], "assistantd"]
    page = copy.deepcopy(schemas["ListMessagesResponse"])
    page["properties"]["data"]["items"] = thread
    yield "GET", re.compile("/threads"), page


def _events(schemas: Schema) -> Any:
    """Name and schema of the data of every event."""
    for union in schemas["AssistantStreamEvent"]["oneOf"]:
        event = schemas[union["$ref"].rpartition("/")[2]]
        for one in event.get("oneOf", [event]):
            yield one["properties"]["event"]["enum"][0], one["properties"]["data"]
