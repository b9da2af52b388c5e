"""Where ids stand, by our own OpenAPI: in paths, queries and bodies. A field that takes one can't be added unseen.

A place in a path is spelt `{thread_id}`, one in a query `?after`, and one in a body by its fields, `files[].file_id`.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tests.conformance.coverage import our_openapi

Json = Mapping[str, Any]

CURSORS = ("after", "before")
BEGINS_WITH = re.compile(r"\^[a-z_]+[-_]")
"""The pattern of what begins with the prefix of a kind of ids (`shared/wire/fields.py`)."""
_NESTED = ("$ref", "anyOf", "oneOf", "allOf", "properties", "items")


def places(method: str, path: str) -> set[str]:
    """All of an operation's; `path` is without its version."""
    document = our_openapi()
    operation, schemas = document["paths"][f"/v1{path}"][method.lower()], document["components"]["schemas"]
    return {*_of_parameters(operation), *_of_body(operation, schemas)}


def _of_parameters(operation: Json) -> Iterator[str]:
    for parameter in operation.get("parameters", ()):
        name, schema = parameter["name"], parameter["schema"]
        if parameter["in"] == "path":
            yield f"{{{name}}}"
        elif any(_is_id(name, one) for one in [schema, *schema.get("anyOf", ())]):
            yield f"?{name}" if parameter["in"] == "query" else name


def _of_body(operation: Json, schemas: Json) -> Iterator[str]:
    for content in operation.get("requestBody", {}).get("content", {}).values():
        for where, schema in _leaves(content["schema"], schemas, "", ()):
            if _is_id(where.rpartition(".")[2], schema):
                yield where


def _leaves(schema: Json, schemas: Json, where: str, within: tuple[str, ...]) -> Iterator[tuple[str, Json]]:
    """What holds no further objects. What is found within itself, as filters are, is looked at once."""
    reference = schema.get("$ref")
    if reference in within:
        return
    if reference is not None:
        yield from _leaves(schemas[reference.rpartition("/")[2]], schemas, where, (*within, reference))
    for one in (one for word in ("anyOf", "oneOf", "allOf") for one in schema.get(word, ())):
        yield from _leaves(one, schemas, where, within)
    for name, field in schema.get("properties", {}).items():
        yield from _leaves(field, schemas, f"{where}.{name}" if where else name, within)
    if "items" in schema:
        yield from _leaves(schema["items"], schemas, f"{where}[]", within)
    if schema.keys().isdisjoint(_NESTED) and schema.get("type") != "null":
        yield where, schema


def _is_id(name: str, schema: Json) -> bool:
    stem = name.removesuffix("[]")
    by_name = stem in (*CURSORS, "id", "ids") or stem.endswith(("_id", "_ids", "-id"))
    return by_name or BEGINS_WITH.fullmatch(schema.get("pattern", "")) is not None
