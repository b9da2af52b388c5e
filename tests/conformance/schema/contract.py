"""The frozen OpenAPI descriptions of the Assistants API as JSON Schema, sealed: a key that they don't know is an error.

`assistants-v2.json` is OpenAI's description of 2026-08-21 without its prose (openai/openai-openapi at f85dbe2, MIT),
`assistants-v1.json` that of 2024-03-28 (5717410). An answer in v1 has to be what v1's clients know, and may carry what
v2 has beyond that: v1's required keys, enums and types are held, and of the keys that v1 doesn't know, v2's are.

`administration.json` is the part of the newest about the organization, which has no dialects: it is counted to v2.

Where the live API differed from these, or we add to it on purpose, amendments.py says so and why.
"""

import functools
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import best_match

from shared.wire.fields import Dialect
from tests.conformance.schema import amendments, sdk
from tests.conformance.schema.amendments import NULL, Schema

HERE = Path(__file__).parent
DONE = "[DONE]"


class Contract:
    """Judges answers and events. A judgement is a list of sentences, empty for what conforms."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        schemas: Schema = document["components"]["schemas"]
        self._schemas: Schema = {name: sealed(schema) for name, schema in schemas.items()}
        self._operations = list(_operations(document["paths"]))
        self._events = dict(_events(schemas))
        self.operations = {(method.upper(), path) for path, verbs in document["paths"].items() for method in verbs}

    def judge_answer(self, method: str, path: str, status: int, body: Any) -> list[str]:
        """An answer with a JSON body; `path` begins behind `/v1`."""
        if status >= 400:
            return self._judge_named("ErrorResponse", body)
        for verb, pattern, name in self._operations:
            if verb == method and pattern.fullmatch(path):
                return self._judge_named(name, body)
        return [f"{method} {path} is no operation of the API"]

    def judge_event(self, event: str, data: Any) -> list[str]:
        """An event of a stream, its data parsed unless they are `[DONE]`."""
        if event not in self._events:
            return [f"there is no event {event!r}"]
        typed = [] if data == DONE else sdk.judge_event(event, data)
        return self._judge(self._events[event], data) + typed

    @property
    def events(self) -> set[str]:
        """The names of all events."""
        return set(self._events)

    @property
    def answers(self) -> set[str]:
        """The names of all answers, errors included."""
        return {"ErrorResponse"} | {name for _, _, name in self._operations}

    def _judge_named(self, name: str, body: Any) -> list[str]:
        return self._judge(amendments.ref(name), body) + sdk.judge_answer(name, body)

    def _judge(self, schema: Schema, instance: Any) -> list[str]:
        found = self._validator(json.dumps(schema)).iter_errors(instance)
        return [_sentence(error) for error in sorted(found, key=str)]

    @functools.cache  # noqa: B019 - there are two contracts, and they live as long as the tests
    def _validator(self, schema: str) -> Draft202012Validator:
        whole = {**sealed(json.loads(schema)), "components": {"schemas": self._schemas}}
        return Draft202012Validator(whole, format_checker=FormatChecker())


@functools.cache
def described(dialect: Dialect) -> Schema:
    """OpenAI's own description of that dialect, untouched; not to be changed by its readers."""
    document: Schema = json.loads((HERE / f"assistants-{dialect}.json").read_bytes())
    if dialect == "v2":
        administration: Schema = json.loads((HERE / "administration.json").read_bytes())
        document["paths"] |= administration["paths"]
        document["components"]["schemas"] |= administration["components"]["schemas"]
    return document


@functools.cache
def contract(dialect: Dialect = "v2") -> Contract:
    """The contract of the API in that dialect, amended."""
    today = json.loads(json.dumps(described("v2")))
    document = _superset(json.loads(json.dumps(described("v1"))), today) if dialect == "v1" else today
    amendments.apply(document, dialect)
    return Contract(document)


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


def _superset(older: Schema, newer: Schema) -> Schema:
    """The older description, with the newer one's operations, schemas and keys where the older has nothing to say."""
    schemas = newer["components"]["schemas"]
    merged = {
        name: _with_more_keys(schema, schemas.get(name)) for name, schema in older["components"]["schemas"].items()
    }
    paths = {path: {**newer["paths"].get(path, {}), **verbs} for path, verbs in older["paths"].items()}
    return {"paths": {**newer["paths"], **paths}, "components": {"schemas": {**schemas, **merged}}}


def _with_more_keys(older: Schema, newer: Schema | None) -> Schema:
    """The older schema with what the newer one has beyond it, at any depth."""
    if newer is None or "properties" not in older or "properties" not in newer:
        return older
    more: Schema = newer["properties"]
    known = {name: _with_more_keys(schema, more.get(name)) for name, schema in older["properties"].items()}
    return {**older, "properties": {**more, **known}}


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


def pattern(path: str) -> re.Pattern[str]:
    """What a path with `{names}` in it matches; names of models alone, and ids made of them, may contain slashes."""
    return re.compile(re.sub(r"\{\w+\}", "[^/]+", re.sub(r"\{(model|rate_limit_id)\}", ".+", path)))


def _operations(paths: Mapping[str, Any]) -> Iterator[tuple[str, re.Pattern[str], str]]:
    """Verb, path and name of the schema of every JSON answer; literal paths before those with ids in them."""
    for path in sorted(paths, key=lambda path: path.count("{")):
        for verb, operation in paths[path].items():
            schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
            if "$ref" in schema:  # what a file holds has no schema
                yield verb.upper(), pattern(path), schema["$ref"].rpartition("/")[2]


def _events(schemas: Schema) -> Iterator[tuple[str, Schema]]:
    """Name and schema of the data of every event."""
    for union in schemas["AssistantStreamEvent"]["oneOf"]:
        event = schemas[union["$ref"].rpartition("/")[2]]
        for one in event.get("oneOf", [event]):
            yield one["properties"]["event"]["enum"][0], one["properties"]["data"]
