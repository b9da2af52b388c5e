"""Paging, modifying and deleting through each SDK."""

import pytest

from tests.conformance.clients import V2
from tests.conformance.conftest import Programs
from tests.scripted_model import Say, ScriptedModel


# Not the oldest: it doesn't page through files, and goes on until a page is empty, as 1.2.3 does in test_v1.py.
@pytest.mark.parametrize("programs", V2[1:], ids=lambda client: client.name, indirect=True)
async def test_a_program_that_keeps_things(programs: Programs, model: ScriptedModel) -> None:
    name = model.script(*[Say("Noted.")] * 3)

    facts = await programs.run("keeping", name)

    a = facts["created"]["assistants"]
    f = facts["created"]["files"]
    r = facts["created"]["runs"]
    pages = facts["pages"]
    assert pages["assistants asc"] == [a[0:2], a[2:4], a[4:]]
    assert pages["assistants desc"] == [[a[4], a[3]], [a[2], a[1]], [a[0]]]
    assert pages["after"] == [a[3:]]
    assert pages["before"][0] == a[:2]
    assert pages["before, desc"][0] == [a[4], a[3]]
    assert pages["before, the page"] == a[2:4]  # "the previous page" ends where the one at hand begins
    assert pages["before, the page, desc"] == [a[2], a[1]]
    assert pages["between"] == [a[1:4]]
    assert pages["empty"] == [[]]
    assert facts["first page"] == {"has_more": True, "last_id": a[1]}
    assert [len(page) for page in pages["messages desc"]] == [3, 3, 2]
    assert facts["messages"] == [message for page in pages["messages desc"] for message in page][::-1]
    assert [len(page) for page in pages["messages of a run"]] == [1]
    assert pages["runs asc"] == [r[:2], r[2:]]
    assert pages["runs desc"] == [[run] for run in r[::-1]]
    assert pages["steps"] == [1]
    assert pages["files asc"] == [f[:2], f[2:]]
    assert pages["files of another purpose"] == [[]]

    changed = facts["assistant"]
    assert changed == facts["assistant, retrieved"]
    assert {
        "name": "renamed",
        "description": "described",
        "instructions": "instructed",
        "model": name,
        "tools": [{"type": "code_interpreter"}],
        "temperature": 0,
        "top_p": 0.5,
        "response_format": {"type": "json_object"},
        "metadata": {"a": "1"},
    }.items() <= changed.items()
    assert facts["assistant, metadata"] == changed | {"metadata": {"b": "2"}}
    assert facts["thread"] == facts["thread, retrieved"] == {"user": "abc"}
    assert facts["message"] == facts["message, retrieved"] == {"modified": "true"}
    assert facts["run"] == facts["run, retrieved"] == {"tier": "gold"}

    files = facts["files"]
    assert files["created"] == files["retrieved"]
    assert (files["created"]["filename"], files["created"]["bytes"]) == ("3.txt", 15)
    assert files["content"] == "text text text "
    assert files["nameless"] == ["upload", "nameless"]

    assert facts["uploads"] == {
        "completed": ["completed", "parts.txt", 23],
        "content": "one two three four five",
        "cancelled": "cancelled",
    }

    assert {what: answer["object"] for what, answer in facts["deleted"].items()} == {
        "file": "file",
        "message": "thread.message.deleted",
        "thread": "thread.deleted",
        "assistant": "assistant.deleted",
    }
    assert all(answer["deleted"] for answer in facts["deleted"].values())
    assert [what for what, gone in facts["gone"].items() if not gone] == []
    assert facts["left"] == a[1:]
