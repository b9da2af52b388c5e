"""What people have of OpenAI's own API: objects as it returned them, in whatever files they were put into."""

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from openai import AsyncOpenAI

from tests import http
from tests.scripted_model import Say, ScriptedModel
from tests.system import Project, System, until
from tests.transfer import command, project_of, said
from tests.vector_stores import POLL_MS

ASSISTANT, THREAD, FILE, STORE = "asst_abc123", "thread_Q7m", "file-AbC123xyz", "vs_67f0a1"
AT = 1_712_000_000


def message(number: int, role: str, text: str, at: int, **more: Any) -> dict[str, Any]:
    part = {"type": "text", "text": {"value": text, "annotations": more.pop("annotations", [])}}
    return {
        "id": f"msg_{number}",
        "object": "thread.message",
        "created_at": at,
        "thread_id": THREAD,
        "role": role,
        "content": [part],
        "assistant_id": None,
        "run_id": None,
        "attachments": [],
        "metadata": {},
        **more,
    }


CITED = {
    "type": "file_citation",
    "text": "【4:0†rain.txt】",
    "start_index": 5,
    "end_index": 20,
    "file_citation": {"file_id": FILE},
}
RUN = {
    "id": "run_1",
    "object": "thread.run",
    "created_at": AT + 1,
    "assistant_id": ASSISTANT,
    "thread_id": THREAD,
    "status": "requires_action",
    "started_at": AT + 1,
    "expires_at": AT + 601,
    "cancelled_at": None,
    "failed_at": None,
    "completed_at": None,
    "required_action": {
        "type": "submit_tool_outputs",
        "submit_tool_outputs": {
            "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
        },
    },
    "last_error": None,
    "model": "gpt-4o",
    "instructions": "Be brief.",
    "tools": [{"type": "retrieval"}],
    "metadata": {},
    "incomplete_details": None,
    "usage": None,
    "temperature": 1.0,
    "top_p": 1.0,
    "max_prompt_tokens": None,
    "max_completion_tokens": None,
    "truncation_strategy": {"type": "auto"},
    "response_format": "auto",
    "tool_choice": "auto",
    "parallel_tool_calls": True,
}
STEP = {
    "id": "step_1",
    "object": "thread.run.step",
    "created_at": AT + 1,
    "run_id": "run_1",
    "assistant_id": ASSISTANT,
    "thread_id": THREAD,
    "type": "tool_calls",
    "status": "completed",
    "completed_at": AT + 2,
    "cancelled_at": None,
    "expired_at": None,
    "failed_at": None,
    "last_error": None,
    "expires_at": AT + 600,
    "colour": "blue",
    "step_details": {
        "type": "tool_calls",
        "tool_calls": [
            {"id": "call_2", "type": "code_interpreter", "code_interpreter": {"input": "1+1", "outputs": []}},
            {"id": "call_3", "type": "file_search", "file_search": {}},
        ],
    },
    "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
}


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    """Lists, pages and lines; the newest message first, as lists come; a file by its name and one by its id."""
    (tmp_path / "assistants.json").write_text(
        json.dumps(
            [
                {
                    "id": ASSISTANT,
                    "object": "assistant",
                    "created_at": AT - 5,
                    "name": "Ada",
                    "description": None,
                    "model": "gpt-4o",
                    "instructions": "Be brief.",
                    "tools": [{"type": "file_search"}],
                    "top_p": 1.0,
                    "temperature": 1.0,
                    "tool_resources": {"file_search": {"vector_store_ids": [STORE]}},
                    "metadata": {},
                    "response_format": "auto",
                    "owner": "somebody",
                }
            ]
        )
    )
    thread = {"id": THREAD, "object": "thread", "created_at": AT, "metadata": {"k": "v"}, "tool_resources": {}}
    (tmp_path / "threads.jsonl").write_text(f"{json.dumps(thread)}\n\n")
    messages = [
        message(1, "assistant", "Done.", AT + 9, annotations=[CITED]),
        message(8, "user", "third of a second", AT),
        message(3, "user", "second of a second", AT),
        message(5, "user", "first of a second", AT),
    ]
    page = {"object": "list", "data": messages, "first_id": "msg_1", "last_id": "msg_5", "has_more": False}
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "messages.json").write_text(json.dumps(page, indent=1))
    (tmp_path / "more" / "runs.jsonl").write_text(
        "\n".join(json.dumps(one) for one in (RUN, STEP, {"id": "x", "object": "organization.user"}))
    )
    named = {"object": "file", "bytes": 19, "created_at": AT - 9, "purpose": "assistants", "status": "processed"}
    files = [
        {"id": FILE, "filename": "rain.txt", **named},
        {"id": "file-gone", "filename": "gone.txt", **named},
        {"id": "file-json", "filename": "data.json", **named, "bytes": 12},
    ]
    (tmp_path / "files.json").write_text(json.dumps(files))
    (tmp_path / "rain.txt").write_text("It rains in Bergen.")
    (tmp_path / "file-json.json").write_text('{"hot": [1]}')
    store = {"id": STORE, "object": "vector_store", "created_at": AT, "name": None, "usage_bytes": 5, "metadata": None}
    inside = {"id": FILE, "object": "vector_store.file", "created_at": AT, "vector_store_id": STORE}
    (tmp_path / "stores.json").write_text(json.dumps({"stores": [store], "inside": [inside]}))
    return tmp_path


async def imported(there: System, dump: Path) -> tuple[str, str, str]:
    name = f"from-openai-{uuid4().hex[:8]}"
    key = await there.key(name)
    done = await command(there, "import", "--project", project_of(there, name), dump)
    return key, done.stdout, done.stderr


async def test_it_goes_on_here(there: System, dump: Path, model: ScriptedModel) -> None:
    key, told, warned = await imported(there, dump)

    assert told.splitlines() == [
        (
            "added: 2 files  1 vector_stores  1 vector_store_files  1 assistants  1 threads  4 messages  1 runs"
            "  1 run_steps"
        ),
        "there already: nothing",
        "refused: 1 files",
    ]
    assert warned.splitlines() == [
        "file-gone: refused: its content is missing (gone.txt, 19 bytes)",
        "run_1: was requires_action; it is kept as expired, and is not gone on with",
        "assistant: unknown field 'owner' is not kept (1 times)",
        "thread.run.step: unknown field 'colour' is not kept (1 times)",
        "objects of kind 'organization.user' are not kept (1 times)",
        "file-json.json: holds no objects; taken for the content of a file",
    ]
    await until(
        lambda: there.query("SELECT id FROM vector_store_files WHERE id = %s AND status = 'completed'", FILE) != []
    )
    async with Project.known(there, key) as tenant, http.session(tenant, openai_beta="assistants=v1") as v1:
        client, beta = tenant.client, tenant.client.beta
        assistant = await beta.assistants.retrieve(ASSISTANT)
        assert (assistant.created_at, assistant.name, assistant.temperature) == (AT - 5, "Ada", 1.0)
        assert (await beta.threads.retrieve(THREAD)).metadata == {"k": "v"}
        said_there = [m async for m in beta.threads.messages.list(THREAD, order="asc", limit=1)]
        assert [(m.id, m.created_at) for m in said_there] == [
            ("msg_5", AT),
            ("msg_3", AT),
            ("msg_8", AT),
            ("msg_1", AT + 9),
        ]
        run = await beta.threads.runs.retrieve("run_1", thread_id=THREAD)
        assert (run.status, run.required_action, [t.type for t in run.tools]) == ("expired", None, ["file_search"])
        (step,) = (await beta.threads.runs.steps.list("run_1", thread_id=THREAD)).data
        assert step.completed_at == AT + 2
        assert (await client.files.content(FILE)).read() == b"It rains in Bergen."
        assert (await client.files.content("file-json")).read() == b'{"hot": [1]}'
        found = await client.vector_stores.search(STORE, query="rain")
        assert [result.file_id for result in found.data] == [FILE]
        assert (await v1.get(f"/threads/{THREAD}/messages")).status_code == 200
        assert (await v1.get(f"/threads/{THREAD}/runs/run_1/steps")).status_code == 200

        script = model.script(Say("Still here."))
        ended = await beta.threads.runs.create_and_poll(
            thread_id=THREAD, assistant_id=ASSISTANT, model=script, poll_interval_ms=POLL_MS
        )
        assert ended.status == "completed", ended.last_error
        asked = model.requests(script)[0].messages
        assert [m["content"] for m in asked if m["role"] == "user"] == [
            "first of a second",
            "second of a second",
            "third of a second",
        ]
        await client.files.delete("file-json")
    assert list((there.root / "data" / "files").glob("*/file-json")) == []


async def test_what_was_missing_is_added_later(there: System, dump: Path) -> None:
    for name in ("assistants.json", "threads.jsonl", "stores.json", "more/messages.json", "more/runs.jsonl"):
        (dump / name).unlink()
    files = json.loads((dump / "files.json").read_text())
    fresh = [{**file, "id": f"file-{uuid4().hex}"} for file in files[:2]]
    (dump / "files.json").write_text(json.dumps(fresh))
    name = f"from-openai-{uuid4().hex[:8]}"
    await there.key(name)
    target = project_of(there, name)
    assert (await command(there, "import", "--project", target, dump)).returncode == 1

    (dump / "gone.txt").write_text("It was here before.")

    assert await said(there, "import", "--project", target, dump) == (
        "added: 1 files\nthere already: 1 files\nrefused: nothing\n"
    )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"content": "words"}, "refused: content: Input should be a valid list"),
        ({"content": [{"type": "text"}]}, "refused: content.0."),
        ({"created_at": 10**30}, "is no time"),
        ({"created_at": "noon"}, "refused: created_at: "),
        ({"id": "msg_../../x"}, "is no id of this kind"),
        ({"id": 7}, "refused: id: "),
        ({"role": "system"}, "refused: role: "),
        ({"metadata": {"nul": "\0"}}, "the database does not take it"),
        ({"thread_id": "thread_none"}, "the thread that it belongs to is not in this project"),
    ],
)
async def test_what_can_not_be_kept_is_refused_by_name_and_the_rest_is_kept(
    there: System, tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    thread = {"id": f"thread_{uuid4().hex}", "object": "thread", "created_at": AT, "metadata": {}}
    well = [message(0, "user", "Hello", AT, thread_id=thread["id"], id=f"msg_{uuid4().hex}") for _ in range(2)]
    ill = message(0, "user", "Hello", AT, thread_id=thread["id"], id="msg_ill") | change
    (tmp_path / "all.json").write_text(json.dumps([well[0], ill, thread, well[1]]))

    _, told, warned = await imported(there, tmp_path)

    assert told.splitlines()[0] == "added: 1 threads  2 messages"
    assert says in warned
    assert warned.startswith(str(ill["id"]))


@pytest.mark.parametrize(
    "text",
    ["{thread}\n{cut}", "[{thread}", "[{thread},", '{{"object": "list", "data": [{thread}, {cut}', "{cut}", "[{cut}"],
)
async def test_a_dump_that_ends_in_the_middle_is_refused_whole(there: System, tmp_path: Path, text: str) -> None:
    thread = json.dumps({"id": f"thread_{uuid4().hex}", "object": "thread", "created_at": AT})
    (tmp_path / "threads.json").write_text(text.format(thread=thread, cut=thread[:-12]))

    _, told, warned = await imported(there, tmp_path)

    assert told == ""
    assert "threads.json can't be read to its end" in warned


async def test_files_that_v1_searched_by_themselves_are_named(there: System, tmp_path: Path) -> None:
    """A client makes the store for them that they need now, by giving them again."""
    (tmp_path / "file.txt").write_text("content")
    file: dict[str, Any] = {
        "id": f"file-{uuid4().hex}",
        "object": "file",
        "created_at": AT,
        "filename": "file.txt",
        "bytes": 7,
    }
    assistant: dict[str, Any] = {
        "id": f"asst_{uuid4().hex}",
        "object": "assistant",
        "created_at": AT,
        "model": "m",
        "tools": [{"type": "retrieval"}],
        "file_ids": [file["id"]],
    }
    dumped = [{**file, "purpose": "assistants"}, assistant]
    (tmp_path / "dump.jsonl").write_text("\n".join(map(json.dumps, dumped)))

    key, _, warned = await imported(there, tmp_path)

    assert f"{assistant['id']}: its file_ids are not searched before" in warned
    async with AsyncOpenAI(base_url=there.base_url, api_key=key) as client:
        change: Any = {"extra_headers": {"openai-beta": "assistants=v1"}, "extra_body": {"file_ids": [file["id"]]}}
        await client.beta.assistants.update(assistant["id"], **change)
        shown = await client.beta.assistants.retrieve(assistant["id"])
    assert shown.tool_resources is not None
    assert shown.tool_resources.file_search is not None
