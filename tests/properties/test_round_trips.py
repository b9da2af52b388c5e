"""What goes in comes out: from the request through the row to the answer, and again when it is asked for."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import http
from tests.properties.conftest import chosen
from tests.system import Project, System

JsonObject = dict[str, Any]

text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
word = st.text("abcXYZ019_-", min_size=1, max_size=20)
metadata = st.dictionaries(text, text, max_size=4)
number = st.integers(-(2**53), 2**53) | st.floats(-1e15, 1e15)  # beyond which decimals are no longer exact
anything = st.recursive(
    st.none() | st.booleans() | number | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)
schema = st.dictionaries(text, anything, max_size=4)
share = st.floats(0, 1)


def fields(required: dict[str, st.SearchStrategy[Any]], **optional: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries(required, optional=optional)


function = fields({"name": word}, description=text, parameters=schema, strict=st.booleans())
tool = st.one_of(
    st.just({"type": "code_interpreter"}),
    st.just({"type": "file_search"}),
    fields(
        {"type": st.just("file_search")},
        file_search=fields(
            {},
            max_num_results=st.integers(1, 50),
            ranking_options=fields({"score_threshold": share}, ranker=st.sampled_from(["auto", "default_2024_08_21"])),
        ),
    ),
    fields({"type": st.just("function"), "function": function}),
)
answer_format = st.one_of(
    st.sampled_from(["auto", {"type": "text"}, {"type": "json_object"}]),
    fields(
        {"type": st.just("json_schema")},
        json_schema=fields({"name": word}, description=text, schema=schema, strict=st.booleans()),
    ).filter(lambda value: "json_schema" in value),
)
common: dict[str, st.SearchStrategy[Any]] = {
    "instructions": text,
    "tools": st.lists(tool, max_size=3),
    "temperature": st.floats(0, 2) | st.integers(0, 2),
    "top_p": share,
    "response_format": answer_format,
    "metadata": metadata,
    "reasoning_effort": st.sampled_from(["none", "minimal", "low", "medium", "high", "xhigh", "max"]),
}
assistants = fields({"model": word}, name=text, description=text, **common)
content = st.one_of(
    text.filter(bool),
    st.lists(
        st.one_of(
            fields({"type": st.just("text"), "text": text.filter(bool)}),
            fields(
                {
                    "type": st.just("image_url"),
                    "image_url": fields(
                        {"url": word.map("https://{}".format)}, detail=st.sampled_from(["auto", "low", "high"])
                    ),
                }
            ),
        ),
        min_size=1,
        max_size=4,
    ),
)
messages = fields({"role": st.sampled_from(["user", "assistant"]), "content": content}, metadata=metadata)


@pytest.fixture(scope="module")
async def client(system: System) -> AsyncIterator[httpx2.AsyncClient]:
    async with Project.of(system) as project, http.session(project) as session:
        yield session


async def made(client: httpx2.AsyncClient, path: str, body: JsonObject) -> JsonObject:
    """The object that was made, after a look at it from outside."""
    answer = await client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    shown = answer.json()
    found = await client.get(f"{path}/{shown['id']}")
    assert found.json() == shown
    return shown


@chosen()
@given(body=assistants)
async def test_assistants(client: httpx2.AsyncClient, body: JsonObject) -> None:
    shown = await made(client, "/assistants", body)

    assert {name: shown[name] for name in body} == body


@chosen()
@given(body=assistants, changes=assistants)
async def test_modified_assistants(client: httpx2.AsyncClient, body: JsonObject, changes: JsonObject) -> None:
    before = await made(client, "/assistants", body)

    after = (await client.post(f"/assistants/{before['id']}", json=changes)).json()

    assert after == before | changes


@chosen()
@given(body=messages)
async def test_messages(client: httpx2.AsyncClient, body: JsonObject) -> None:
    thread = (await client.post("/threads")).json()["id"]

    shown = await made(client, f"/threads/{thread}/messages", body)

    assert shown["role"] == body["role"]
    assert shown["metadata"] == body.get("metadata", {})
    assert shown["content"] == [as_shown(part) for part in parts_of(body["content"])]


def parts_of(content: Any) -> list[JsonObject]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def as_shown(part: JsonObject) -> JsonObject:
    """A part as the original shows it: a text with its annotations, an image with its detail."""
    if part["type"] == "text":
        return {"type": "text", "text": {"value": part["text"], "annotations": []}}
    return {"type": "image_url", "image_url": {"detail": "auto", **part["image_url"]}}


@chosen()
@given(body=fields({"model": word}, **common), data=st.data())
async def test_runs(client: httpx2.AsyncClient, body: JsonObject, data: st.DataObject) -> None:
    """Without `body`'s fields, a run has those of its assistant."""
    own = data.draw(st.sets(st.sampled_from(sorted(body))), label="own")
    assistant = await made(client, "/assistants", {"model": "m"} | body)
    thread = (await client.post("/threads")).json()["id"]
    asked = {"assistant_id": assistant["id"], **{name: body[name] for name in own}}

    run = (await client.post(f"/threads/{thread}/runs", json=asked)).json()

    inherited = {name: value for name, value in assistant.items() if name in body and name != "metadata"}
    assert {name: run[name] for name in inherited} == inherited
    assert run["metadata"] == asked.get("metadata", {})
