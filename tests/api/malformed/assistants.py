"""Assistants that can't be made or changed."""

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
    no_match,
    not_found,
    unknown,
    unsupported,
    wrong_id,
)
from tests.api.malformed.request import post

TOOLS = ("code_interpreter", "file_search", "retrieval", "function")
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
V1 = {"openai_beta": "assistants=v1"}
RANKING = "tools[0].file_search.ranking_options"
CODE_FILES = "tool_resources.code_interpreter.file_ids"


TOO_DEEP = Refusal(
    "Invalid 'tools[0].function.parameters': nested too deeply. Expected at most 64 levels.",
    "tools[0].function.parameters",
    "invalid_value",
)


def function(**fields: Any) -> Any:
    return {"type": "function", "function": {"name": "f", **fields}}


def search(**options: Any) -> Any:
    return {"type": "file_search", "file_search": options}


def schema(**fields: Any) -> Any:
    return {"type": "json_schema", "json_schema": {"name": "n", **fields}}


def nested(levels: int) -> Any:
    inner: Any = 1
    for _ in range(levels):
        inner = {"a": inner}
    return inner


# Fields beside a good model. They are refused alike by POST /assistants and POST /assistants/{assistant_id}.
FIELDS: list[tuple[dict[str, Any], Refusal]] = [
    ({"model": 4}, expected("model", "a string", "an integer")),
    ({"model": ["m"]}, expected("model", "a string", "an array")),
    ({"model": {}}, expected("model", "a string", "an object")),
    ({"model": True}, expected("model", "a string", "a boolean")),
    ({"model": 0.5}, expected("model", "a string", "a decimal number")),
    ({"model": ""}, empty("model", "string")),
    ({"model": "m" * 257}, long_string("model", 256, 257)),
    ({"model": "m\0"}, NULL_CHARACTER),
    ({"colour": "red"}, unknown("colour")),
    ({"Name": "n"}, unknown("Name")),
    ({"id": "asst_mine"}, unknown("id")),
    ({"file_ids": []}, unknown("file_ids")),  # v1's
    ({"name": 4}, expected("name", "a string", "an integer")),
    ({"name": "n" * 257}, long_string("name", 256, 257)),
    ({"description": "d" * 513}, long_string("description", 512, 513)),
    ({"description": []}, expected("description", "a string", "an array")),
    ({"instructions": "i" * 256_001}, long_string("instructions", 256_000, 256_001)),
    ({"instructions": {"text": "i"}}, expected("instructions", "a string", "an object")),
    ({"temperature": 9}, above("temperature", "decimal", 2, "9")),
    ({"temperature": 2.1}, above("temperature", "decimal", 2, "2.1")),
    ({"temperature": -1}, below("temperature", "decimal", 0, "-1")),
    ({"temperature": "hot"}, expected("temperature", "a decimal", "a string")),
    ({"temperature": "0.5"}, expected("temperature", "a decimal", "a string")),
    ({"temperature": True}, expected("temperature", "a decimal", "a boolean")),
    ({"top_p": 1.5}, above("top_p", "decimal", 1, "1.5")),
    ({"top_p": -0.1}, below("top_p", "decimal", 0, "-0.1")),
    ({"top_p": []}, expected("top_p", "a decimal", "an array")),
    ({"reasoning_effort": "huge"}, unsupported("reasoning_effort", "huge", *EFFORTS)),
    (
        {"reasoning_effort": 3},
        Refusal(
            "Invalid type for 'reasoning_effort': expected one of 'none', 'minimal', 'low', 'medium', 'high', 'xhigh', "
            "or 'max', but got an integer instead.",
            "reasoning_effort",
            "invalid_type",
        ),
    ),
    ({"metadata": []}, expected("metadata", "an object", "an array")),
    ({"metadata": "a=b"}, expected("metadata", "an object", "a string")),
    ({"metadata": {"a": 1}}, expected("metadata.a", "a string", "an integer")),
    ({"metadata": {"word": 1}}, expected("metadata.word", "a string", "an integer")),  # our own names of branches
    ({"metadata": {"phrase": 1}}, expected("metadata.phrase", "a string", "an integer")),
    ({"metadata": {"a": None}}, expected("metadata.a", "a string", "null")),
    ({"metadata": {"k" * 65: "v"}}, long_string(f"metadata.{'k' * 65}", 64, 65)),
    ({"metadata": {"a": "v" * 513}}, long_string("metadata.a", 512, 513)),
    ({"metadata": {"a": "b\0"}}, NULL_CHARACTER),
    ({"metadata": {str(number): "x" for number in range(17)}}, many_properties("metadata", 17)),
    ({"tools": {}}, expected("tools", "an array", "an object")),
    ({"tools": "function"}, expected("tools", "an array", "a string")),
    ({"tools": ["function"]}, expected("tools[0]", "an object", "a string")),
    ({"tools": [None]}, expected("tools[0]", "an object", "null")),
    ({"tools": [{}]}, missing("tools[0].type")),
    ({"tools": [{"type": "magic"}]}, unsupported("tools[0].type", "magic", *TOOLS)),
    ({"tools": [function(), {"type": "function"}]}, missing("tools[1].function")),
    ({"tools": [{"type": "function", "function": {}}]}, missing("tools[0].function.name")),
    ({"tools": [function(name="a b")]}, no_match("tools[0].function.name")),
    ({"tools": [function(name="")]}, empty("tools[0].function.name", "string")),
    ({"tools": [function(name="n" * 65)]}, long_string("tools[0].function.name", 64, 65)),
    ({"tools": [function(name=None)]}, expected("tools[0].function.name", "a string", "null")),
    ({"tools": [function(code="x")]}, unknown("tools[0].function.code")),
    ({"tools": [function(description=1)]}, expected("tools[0].function.description", "a string", "an integer")),
    ({"tools": [function(parameters=[])]}, expected("tools[0].function.parameters", "an object", "an array")),
    ({"tools": [function(parameters="{}")]}, expected("tools[0].function.parameters", "an object", "a string")),
    ({"tools": [function(strict="yes")]}, expected("tools[0].function.strict", "a boolean", "a string")),
    *(({"tools": [function(parameters=nested(levels))]}, TOO_DEEP) for levels in (100, 252, 300)),
    (
        {"tools": [{"type": "retrieval"}, function(name="file_search")]},
        Refusal(
            "Invalid 'tools': a function can't be named 'file_search' beside the tool of that name.",
            "tools",
            "invalid_value",
        ),
    ),
    ({"tools": [function()] * 129}, long_array("tools", 128, 129)),
    ({"tools": [{"type": "code_interpreter", "function": {}}]}, unknown("tools[0].function")),
    ({"tools": [{"type": "retrieval", "retrieval": {}}]}, unknown("tools[0].retrieval")),
    ({"tools": [search(max_num_results=51)]}, above("tools[0].file_search.max_num_results", "integer", 50, "51")),
    ({"tools": [search(max_num_results=0)]}, below("tools[0].file_search.max_num_results", "integer", 1, "0")),
    (
        {"tools": [search(max_num_results=1.5)]},
        expected("tools[0].file_search.max_num_results", "an integer", "a decimal number"),
    ),
    ({"tools": [search(ranking_options={})]}, missing(f"{RANKING}.score_threshold")),
    (
        {"tools": [search(ranking_options={"score_threshold": 2})]},
        above(f"{RANKING}.score_threshold", "decimal", 1, "2"),
    ),
    (
        {"tools": [search(ranking_options={"score_threshold": 0, "ranker": "best"})]},
        unsupported(f"{RANKING}.ranker", "best", "auto", "default_2024_08_21"),
    ),
    ({"tools": [search(ranking_options={"score_threshold": 0, "weight": 1})]}, unknown(f"{RANKING}.weight")),
    ({"tool_resources": []}, expected("tool_resources", "an object", "an array")),
    ({"tool_resources": {"web": {}}}, unknown("tool_resources.web")),
    ({"tool_resources": {"code_interpreter": {"file_ids": ["file-a"] * 21}}}, long_array(CODE_FILES, 20, 21)),
    ({"tool_resources": {"code_interpreter": {"file_ids": "file-a"}}}, expected(CODE_FILES, "an array", "a string")),
    (
        {"tool_resources": {"code_interpreter": {"file_ids": [1]}}},
        expected(f"{CODE_FILES}[0]", "a string", "an integer"),
    ),
    (
        {"tool_resources": {"code_interpreter": {"file_ids": ["asst_x"]}}},
        wrong_id(f"{CODE_FILES}[0]", "asst_x", "file"),
    ),
    ({"tool_resources": {"code_interpreter": {"file_ids": ["file-none"]}}}, not_found("file", "file-none")),
    ({"response_format": "json"}, unsupported("response_format", "json", "auto")),
    ({"response_format": 4}, expected("response_format", "an object", "an integer")),
    ({"response_format": {}}, missing("response_format.type")),
    (
        {"response_format": {"type": "yaml"}},
        unsupported("response_format.type", "yaml", "text", "json_object", "json_schema"),
    ),
    ({"response_format": {"type": "text", "schema": {}}}, unknown("response_format.schema")),
    ({"response_format": {"type": "json_schema"}}, missing("response_format.json_schema")),
    (
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}},
        missing("response_format.json_schema.name"),
    ),
    ({"response_format": schema(name="a b")}, no_match("response_format.json_schema.name")),
    ({"response_format": schema(name="n" * 65)}, long_string("response_format.json_schema.name", 64, 65)),
    ({"response_format": schema(schema=[])}, expected("response_format.json_schema.schema", "an object", "an array")),
    ({"response_format": schema(strict=1)}, expected("response_format.json_schema.strict", "a boolean", "an integer")),
]

ASSISTANTS = [
    *(post("/assistants", {"model": "m", **fields}, refusal) for fields, refusal in FIELDS),
    *(post("/assistants/{assistant}", fields, refusal) for fields, refusal in FIELDS),
    post("/assistants", {}, missing("model")),
    post("/assistants", {"name": "n"}, missing("model")),
    post("/assistants", {"colour": "red"}, unknown("colour")),  # what is unknown is named before what is missing
    post("/assistants", {"model": None}, expected("model", "a string", "null")),
    post("/assistants", [], NO_OBJECT),
    post("/assistants", [{"model": "m"}], NO_OBJECT),
    post("/assistants", "model", NO_OBJECT),
    post("/assistants", 4, NO_OBJECT),
    post("/assistants", None, NO_OBJECT),
    post("/assistants/{assistant}", [], NO_OBJECT),
    post("/assistants", {"model": "m", "file_ids": ["file-a"] * 21}, long_array("file_ids", 20, 21), **V1),
    post("/assistants", {"model": "m", "file_ids": "file-a"}, expected("file_ids", "an array", "a string"), **V1),
    post("/assistants", {"model": "m", "file_ids": ["x"]}, wrong_id("file_ids[0]", "x", "file"), **V1),
    post("/assistants", {"model": "m", "file_ids": ["file-none"]}, not_found("file", "file-none"), **V1),
]
