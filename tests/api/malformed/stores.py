"""Vector stores, their files and batches that can't be made, changed or found, and searches that can't be made."""

from typing import Any

from tests.api.malformed.refusals import (
    NO_OBJECT,
    NULL_CHARACTER,
    Refusal,
    above,
    below,
    empty,
    expected,
    long_array,
    long_string,
    many_properties,
    missing,
    not_found,
    unknown,
    unsupported,
    wrong_id,
)
from tests.api.malformed.request import Malformed, bare, post

STORES, STORE, NONE = "/vector_stores", "/vector_stores/{store}", "/vector_stores/vs_none"
FILES, BATCHES = f"{STORE}/files", f"{STORE}/file_batches"
NO_STORE, NO_FILE = not_found("vector store", "vs_none"), not_found("file", "file-none")
NO_BATCH, OTHERS_BATCH = not_found("file batch", "vsfb_none"), not_found("file batch", "{batch}")
STATUSES = ("in_progress", "completed", "failed", "cancelled")
SIZE, OVERLAP = "chunking_strategy.static.max_chunk_size_tokens", "chunking_strategy.static.chunk_overlap_tokens"
SEARCHED = "tool_resources.file_search"
COMPARISONS = ("eq", "ne", "gt", "gte", "lt", "lte", "in", "nin")


def refused(param: str | None, sentence: str) -> Refusal:
    return Refusal(f"Invalid '{param}': {sentence}" if param else sentence, param, "invalid_value")


def static(size: Any, overlap: Any) -> Any:
    return {"type": "static", "static": {"max_chunk_size_tokens": size, "chunk_overlap_tokens": overlap}}


# Fields that are refused alike when a store is made and when it is changed.
FIELDS: list[tuple[dict[str, Any], Refusal]] = [
    ({"name": 4}, expected("name", "a string", "an integer")),
    ({"name": "n" * 257}, long_string("name", 256, 257)),
    ({"name": "n\0"}, NULL_CHARACTER),
    ({"colour": "red"}, unknown("colour")),
    ({"id": "vs_mine"}, unknown("id")),
    ({"metadata": {"a": 1}}, expected("metadata.a", "a string", "an integer")),
    ({"metadata": {str(number): "x" for number in range(17)}}, many_properties("metadata", 17)),
    ({"expires_after": 7}, expected("expires_after", "an object", "an integer")),
    ({"expires_after": {"anchor": "last_active_at"}}, missing("expires_after.days")),
    (
        {"expires_after": {"anchor": "created_at", "days": 7}},
        unsupported("expires_after.anchor", "created_at", "last_active_at"),
    ),
    (
        {"expires_after": {"anchor": "last_active_at", "days": 366}},
        above("expires_after.days", "integer", 365, "366"),
    ),
    ({"expires_after": {"anchor": "last_active_at", "days": 0}}, below("expires_after.days", "integer", 1, "0")),
]

CREATED: list[tuple[dict[str, Any], Refusal]] = [
    ({"description": "d" * 513}, long_string("description", 512, 513)),
    ({"file_ids": "file-x"}, expected("file_ids", "an array", "a string")),
    ({"file_ids": [4]}, expected("file_ids[0]", "a string", "an integer")),
    ({"file_ids": ["asst_x"]}, wrong_id("file_ids[0]", "asst_x", "file")),
    ({"file_ids": ["{file}", "file-none"]}, NO_FILE),
    ({"file_ids": ["file-x"] * 501}, long_array("file_ids", 500, 501)),
]

# Wherever files are cut into chunks.
CHUNKINGS: list[tuple[Any, Refusal]] = [
    ("auto", expected("chunking_strategy", "an object", "a string")),
    ({}, missing("chunking_strategy.type")),
    ({"type": "other"}, unsupported("chunking_strategy.type", "other", "auto", "static")),
    ({"type": "static"}, missing("chunking_strategy.static")),
    ({"type": "auto", "static": {}}, unknown("chunking_strategy.static")),
    (static(99, 40), below(SIZE, "integer", 100, "99")),
    (static(4097, 40), above(SIZE, "integer", 4096, "4097")),
    (static(100, -1), below(OVERLAP, "integer", 0, "-1")),
    (static("100", 1), expected(SIZE, "an integer", "a string")),
    (
        static(100, 51),
        refused(
            "chunking_strategy.static", "'chunk_overlap_tokens' can't be more than half of 'max_chunk_size_tokens'."
        ),
    ),
]

ATTRIBUTES: list[tuple[Any, Refusal]] = [
    ([], expected("attributes", "an object", "an array")),
    ({"k" * 65: "v"}, long_string(f"attributes.{'k' * 65}", 64, 65)),
    ({"a": "v" * 513}, long_string("attributes.a", 512, 513)),
    (
        {"a": []},
        Refusal("Invalid 'attributes.a': expected a string, a number or a boolean.", "attributes.a", "invalid_type"),
    ),
    (
        {"a": None},
        Refusal("Invalid 'attributes.a': expected a string, a number or a boolean.", "attributes.a", "invalid_type"),
    ),
    ({str(number): number for number in range(17)}, many_properties("attributes", 17)),
]

ADDED: list[tuple[Any, Refusal]] = [
    ({}, missing("file_id")),
    ({"file_id": 4}, expected("file_id", "a string", "an integer")),
    ({"file_id": "vs_x"}, wrong_id("file_id", "vs_x", "file")),
    ({"file_id": "file-none"}, NO_FILE),
    ({"file_id": "{file}", "colour": "red"}, unknown("colour")),
    *(({"file_id": "{file}", "chunking_strategy": chunking}, refusal) for chunking, refusal in CHUNKINGS),
    *(({"file_id": "{file}", "attributes": attributes}, refusal) for attributes, refusal in ATTRIBUTES),
]

BATCHED: list[tuple[Any, Refusal]] = [
    ({}, refused(None, "Give either 'file_ids' or 'files'.")),
    ({"file_ids": ["{file}"], "files": [{"file_id": "{file}"}]}, refused(None, "Give either 'file_ids' or 'files'.")),
    ({"file_ids": []}, empty("file_ids", "array", "an")),
    ({"files": []}, empty("files", "array", "an")),
    ({"file_ids": ["file-x"] * 2001}, long_array("file_ids", 2000, 2001)),
    ({"file_ids": ["thread_x"]}, wrong_id("file_ids[0]", "thread_x", "file")),
    ({"file_ids": ["{file}", "file-none"]}, NO_FILE),
    ({"files": [{"file_id": "{file}"}, {}]}, missing("files[1].file_id")),
    ({"files": ["{file}"]}, expected("files[0]", "an object", "a string")),
    ({"files": [{"file_id": "asst_x"}]}, wrong_id("files[0].file_id", "asst_x", "file")),
    ({"files": [{"file_id": "{file}", "colour": "red"}]}, unknown("files[0].colour")),
    ({"files": [{"file_id": "{file}"}] * 2}, refused(None, "'files' has '{file}' more than once.")),
    (
        {"files": [{"file_id": "{file}"}], "attributes": {"a": 1}},
        refused(None, "With 'files', 'attributes' and 'chunking_strategy' are given in each of them."),
    ),
    ({"file_ids": ["{file}"], "colour": "red"}, unknown("colour")),
]

SEARCHES: list[tuple[dict[str, Any], Refusal]] = [
    ({"query": None}, expected("query", "one of a string or array of strings", "null")),
    ({"query": ""}, empty("query", "string")),
    ({"query": []}, empty("query", "array", "an")),
    ({"query": ["x", ""]}, empty("query[1]", "string")),
    ({"query": ["x", 4]}, expected("query[1]", "a string", "an integer")),
    ({"query": "q" * 4097}, long_string("query", 4096, 4097)),
    ({"query": ["q"] * 21}, long_array("query", 20, 21)),
    ({"max_num_results": 0}, below("max_num_results", "integer", 1, "0")),
    ({"max_num_results": 51}, above("max_num_results", "integer", 50, "51")),
    ({"colour": "red"}, unknown("colour")),
    (
        {"rewrite_query": True},
        Refusal(
            "'rewrite_query' needs a model on this server, which its owner names in ASSISTANTD_REWRITE_MODEL.",
            "rewrite_query",
        ),
    ),
    ({"rewrite_query": "yes"}, expected("rewrite_query", "a boolean", "a string")),
    (
        {"ranking_options": {"ranker": "best"}},
        unsupported("ranking_options.ranker", "best", "none", "auto", "default-2024-11-15"),
    ),
    (
        {"ranking_options": {"score_threshold": 1.1}},
        above("ranking_options.score_threshold", "decimal", 1, "1.1"),
    ),
    ({"ranking_options": {"weight": 1}}, unknown("ranking_options.weight")),
    ({"filters": []}, expected("filters", "an object", "an array")),
    ({"filters": {}}, missing("filters.type")),
    ({"filters": {"type": "like", "key": "a", "value": "b"}}, unsupported("filters.type", "like", *COMPARISONS)),
    ({"filters": {"type": "eq", "value": "b"}}, missing("filters.key")),
    ({"filters": {"type": "eq", "key": "a"}}, missing("filters.value")),
    (
        {"filters": {"type": "eq", "key": "a", "value": {}}},
        refused("filters", "'eq' takes a string, a number or a boolean."),
    ),
    (
        {"filters": {"type": "gt", "key": "a", "value": True}},
        refused("filters", "'gt' takes a string or a number."),
    ),
    (
        {"filters": {"type": "in", "key": "a", "value": "b"}},
        refused("filters", "'in' takes a list of 1 to 1000 strings or numbers."),
    ),
    ({"filters": {"type": "and", "filters": []}}, empty("filters.filters", "array", "an")),
    ({"filters": {"type": "or", "filters": [{"type": "eq", "key": "a"}]}}, missing("filters.filters[0].value")),
    ({"filters": {"type": "eq", "key": "a", "value": 1, "colour": "red"}}, unknown("filters.colour")),
]

# Where assistants and threads name stores.
RESOURCES: list[tuple[dict[str, Any], Refusal]] = [
    (
        {"vector_store_ids": ["file-x"]},
        wrong_id(f"{SEARCHED}.vector_store_ids[0]", "file-x", "vs"),
    ),
    ({"vector_store_ids": ["vs_x", "vs_y"]}, long_array(f"{SEARCHED}.vector_store_ids", 1, 2)),
    ({"vector_store_ids": ["vs_none"]}, NO_STORE),
]

RESOURCES_MADE: list[tuple[dict[str, Any], Refusal]] = [
    (
        {"vector_stores": [{"file_ids": ["asst_x"]}]},
        wrong_id(f"{SEARCHED}.vector_stores[0].file_ids[0]", "asst_x", "file"),
    ),
    ({"vector_stores": [{"file_ids": ["file-none"]}]}, NO_FILE),
    ({"vector_stores": [{"name": "n"}]}, unknown(f"{SEARCHED}.vector_stores[0].name")),
    (
        {"vector_stores": [{}], "vector_store_ids": ["{store}"]},
        refused(SEARCHED, "give either 'vector_store_ids' or 'vector_stores', not both."),
    ),
]

UNKNOWN: list[Malformed] = [
    *(bare(method, NONE, NO_STORE) for method in ("GET", "DELETE")),
    post(NONE, {}, NO_STORE),
    post(f"{NONE}/search", {"query": "q"}, NO_STORE),
    *(bare("GET", f"{NONE}/{path}", NO_STORE) for path in ("files", "files/{file}", "files/{file}/content")),
    post(f"{NONE}/files", {"file_id": "{file}"}, NO_STORE),
    post(f"{NONE}/files/{{file}}", {"attributes": {}}, NO_STORE),
    bare("DELETE", f"{NONE}/files/{{file}}", NO_STORE),
    post(f"{NONE}/file_batches", {"file_ids": ["{file}"]}, NO_STORE),
    *(bare("GET", f"{NONE}/file_batches/{{batch}}{path}", OTHERS_BATCH) for path in ("", "/files")),
    bare("POST", f"{NONE}/file_batches/{{batch}}/cancel", OTHERS_BATCH),
    *(bare(method, f"{FILES}/file-none", NO_FILE) for method in ("GET", "DELETE")),
    bare("GET", f"{FILES}/file-none/content", NO_FILE),
    post(f"{FILES}/file-none", {"attributes": {}}, NO_FILE),
    bare("GET", f"{BATCHES}/vsfb_none", NO_BATCH),
    bare("GET", f"{BATCHES}/vsfb_none/files", NO_BATCH),
    bare("POST", f"{BATCHES}/vsfb_none/cancel", NO_BATCH),
]

MIXED_UP: list[Malformed] = [
    *(
        bare(method, f"{STORES}/undefined", wrong_id("vector_store_id", "undefined", "vs"))
        for method in ("GET", "DELETE")
    ),
    post(f"{STORES}/vsfb_x", {}, wrong_id("vector_store_id", "vsfb_x", "vs")),
    post(f"{STORES}/file-x/search", {"query": "q"}, wrong_id("vector_store_id", "file-x", "vs")),
    bare("GET", f"{STORES}/file-x/files/vs_x", wrong_id("vector_store_id", "file-x", "vs")),
    bare("GET", f"{FILES}/vs_x", wrong_id("file_id", "vs_x", "file")),
    bare("DELETE", f"{FILES}/undefined", wrong_id("file_id", "undefined", "file")),
    bare("GET", f"{FILES}/undefined/content", wrong_id("file_id", "undefined", "file")),
    bare("GET", f"{BATCHES}/vs_x", wrong_id("batch_id", "vs_x", "vsfb")),
    bare("GET", f"{BATCHES}/file-x/files", wrong_id("batch_id", "file-x", "vsfb")),
    bare("POST", f"{BATCHES}/undefined/cancel", wrong_id("batch_id", "undefined", "vsfb")),
]

VECTOR_STORES: list[Malformed] = [
    *UNKNOWN,
    *MIXED_UP,
    *(post(path, fields, refusal) for path in (STORES, STORE) for fields, refusal in FIELDS),
    *(post(STORES, fields, refusal) for fields, refusal in CREATED),
    *(post(STORES, {"chunking_strategy": chunking}, refusal) for chunking, refusal in CHUNKINGS),
    *(post(STORE, {name: value}, unknown(name)) for name, value in (("file_ids", []), ("description", "d"))),
    *(post(path, [], NO_OBJECT) for path in (STORES, STORE, FILES, BATCHES, f"{STORE}/search")),
    *(post(FILES, body, refusal) for body, refusal in ADDED),
    post(f"{FILES}/{{file}}", {}, missing("attributes")),
    *(post(f"{FILES}/{{file}}", {"attributes": attributes}, refusal) for attributes, refusal in ATTRIBUTES),
    post(f"{FILES}/{{file}}", {"attributes": {}, "colour": "red"}, unknown("colour")),
    *(post(BATCHES, body, refusal) for body, refusal in BATCHED),
    bare(
        "POST",
        f"{BATCHES}/{{batch}}/cancel",
        Refusal("Cannot cancel file batch {batch}: none of its files is in progress."),
    ),
    post(f"{STORE}/search", {}, missing("query")),
    *(post(f"{STORE}/search", {"query": "q", **fields}, refusal) for fields, refusal in SEARCHES),
    *(
        bare("GET", f"{path}?filter=read", unsupported("filter", "read", *STATUSES))
        for path in (FILES, f"{BATCHES}/{{batch}}/files")
    ),
    *(bare("GET", f"{path}?colour=red", unknown("colour")) for path in (STORE, f"{FILES}/{{file}}/content")),
    post(f"{STORE}/search?limit=5", {"query": "q"}, unknown("limit")),
    bare(
        "GET",
        f"{STORES}?after={{thread}}",
        Refusal("Invalid 'after': no object with id '{thread}' in this list.", "after"),
    ),
    *(
        post(path, {**more, "tool_resources": {"file_search": resources}}, refusal)
        for path, more in (("/assistants", {"model": "m"}), ("/assistants/{assistant}", {}), ("/threads", {}))
        for resources, refusal in RESOURCES
    ),
    *(
        post(path, {**more, "tool_resources": {"file_search": resources}}, refusal)
        for path, more in (("/assistants", {"model": "m"}), ("/threads", {}))
        for resources, refusal in RESOURCES_MADE
    ),
]
