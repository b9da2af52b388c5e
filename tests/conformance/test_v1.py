"""Programs for openai 1.2.3, the client of the Assistants API's first days, which speaks v1."""

from pathlib import Path
from typing import Any

from tests.conformance.conftest import Programs
from tests.conformance.pdf import pdf
from tests.scripted_model import CallFunctions, Hang, Say, ScriptedModel
from tests.system import Project

MODEL = "gpt-4-1106-preview"  # stands in the article; scripted like any other name
INSTRUCTIONS = "You are a chatbot. Use your knowledge base to best respond to customer queries."


async def test_the_program_of_the_articles(
    v1_programs: Programs, project: Project, model: ScriptedModel, tmp_path: Path
) -> None:
    model.script(Say("About 290,000."), Say("How many people live in Bergen."), name=MODEL)
    document = tmp_path / "bergen.pdf"
    document.write_bytes(pdf("Bergen has 290 000 inhabitants."))

    facts = await v1_programs.run("article", str(document))

    assert [turn["run"]["status"] for turn in facts["turns"]] == ["completed", "completed"]
    questions = ["How many people live in Bergen?", "And what did I ask before?"]
    answers = ["About 290,000.", "How many people live in Bergen."]
    assert facts["messages"] == [answers[1], questions[1], answers[0], questions[0]]  # the newest first
    first, second = (received.messages for received in model.requests(MODEL))
    assert first == [{"role": "system", "content": INSTRUCTIONS}, {"role": "user", "content": questions[0]}]
    assert second == [
        *first,
        {"role": "assistant", "content": answers[0]},
        {"role": "user", "content": questions[1]},
    ]
    check_shapes_of_v1(facts)
    await check_shapes_of_v2(project, facts)


def check_shapes_of_v1(facts: Any) -> None:
    """What 1.2.3 is shown has the fields of its time."""
    files = [facts["file"]["id"]]
    assert facts["file"]["filename"] == "bergen.pdf"
    assert facts["assistant"]["file_ids"] == []
    assert facts["updated"]["file_ids"] == files
    for assistant in (facts["assistant"], facts["updated"]):
        assert assistant["tools"] == [{"type": "retrieval"}]
    for turn in facts["turns"]:
        for run in (turn["created"], turn["run"]):
            assert run["tools"] == [{"type": "retrieval"}]
            assert run["file_ids"] == files
        assert turn["message"]["file_ids"] == turn["answer"]["file_ids"] == []
        assert [step["type"] for step in turn["steps"]] == ["message_creation"]


async def check_shapes_of_v2(project: Project, facts: Any) -> None:
    """The same objects, shown to a client of today."""
    assistant = await project.client.beta.assistants.retrieve(facts["assistant"]["id"])
    run = await project.client.beta.threads.runs.retrieve(
        facts["turns"][0]["run"]["id"], thread_id=facts["thread"]["id"]
    )
    messages = await project.client.beta.threads.messages.list(facts["thread"]["id"])
    for shown in (assistant, run, *messages.data):
        assert "file_ids" not in shown.to_dict()
    for shown in (assistant, run):
        assert [tool.type for tool in shown.tools] == ["file_search"]


async def test_functions_cancelling_and_mistakes(v1_programs: Programs, model: ScriptedModel) -> None:
    weather = "getCurrentWeather"
    calling = model.script(
        CallFunctions([(weather, {"location": "Oslo"})]),
        CallFunctions([(weather, {"location": "Rome"}), (weather, {"location": "Bonn"})]),
        Say("Rain."),
    )

    facts = await v1_programs.run("conversation", calling, model.script(Hang()))

    assert facts["calls"] == [
        [[weather, {"location": "Oslo"}]],
        [[weather, {"location": "Rome"}], [weather, {"location": "Bonn"}]],
    ]
    assert facts["status"] == "completed"
    assert [step["type"] for step in facts["steps"]] == ["tool_calls", "tool_calls", "message_creation"]
    assert [call["function"]["output"] for call in facts["steps"][1]["step_details"]["tool_calls"]] == [
        "output 0",
        "output 1",
    ]
    thread, run = facts["sleeping"]["thread"], facts["sleeping"]["run"]
    busy = {name: (fact["type"], fact["body"]["error"]["message"]) for name, fact in facts["busy"].items()}
    assert busy == {
        "second run": ("BadRequestError", f"Thread {thread} already has an active run {run}."),
        "message": ("BadRequestError", f"Can't add messages to {thread} while a run {run} is active."),
    }
    assert facts["cancelled"] == "cancelled"
    assert {name: fact["type"] for name, fact in facts["errors"].items()} == {
        "no assistant": "NotFoundError",
        "no thread": "NotFoundError",
        "two roles": "BadRequestError",
        "wrong key": "AuthenticationError",
    }


async def test_paging_modifying_and_deleting(v1_programs: Programs) -> None:
    facts = await v1_programs.run("keeping")

    a = facts["created"]
    assert facts["assistants asc"] == [a[:2], a[2:], []]  # this client goes on until a page is empty
    assert facts["assistants desc"] == [[a[3], a[2], a[1]], [a[0]], []]
    assert facts["before"][0] == a[:2]
    assert facts["iterated"] == a
    assert facts["messages"] == ["message 3", "message 2", "message 1", "message 0"]
    assert facts["files"] == ["3.txt", "2.txt", "1.txt"]
    assert len(facts["attached"]["file_ids"]) == 1
    assert [tool["type"] for tool in facts["assistant"]["tools"]] == ["retrieval", "code_interpreter"]
    assert len(facts["assistant"]["file_ids"]) == 3
    assert facts["emptied"] == []
    check_files_of_v1(facts, assistant=a[1])
    assert facts["metadata"] == [{"a": "1"}, {"b": "2"}, {"c": "3"}]
    assert (facts["file"]["bytes"], facts["content"]) == (10, "text text ")
    assert [answer["object"] for answer in facts["deleted"]] == ["file", "thread.deleted", "assistant.deleted"]
    assert facts["gone"] == [True, True, True]


def check_files_of_v1(facts: Any, assistant: str) -> None:
    """What hangs on assistants and messages, in the shapes of the time."""
    times = {file["id"]: file["created_at"] for file in facts["made"]}
    f = list(times)
    shown = [
        {"id": file, "object": "assistant.file", "created_at": at, "assistant_id": assistant}
        for file, at in times.items()
    ]
    assert facts["assistant files"] == {
        "added": shown,
        "pages": [f[:2], f[2:], []],
        "before": [f[:1], []],
        "retrieved": shown[1],
        "deleted": {"id": f[0], "object": "assistant.file.deleted", "deleted": True},
        "gone": True,
        "left": f[1:],
    }
    message = facts["message files"]["message"]
    assert facts["message files"] == {
        "pages": [f[:1], []],
        "retrieved": {"id": f[0], "object": "thread.message.file", "created_at": times[f[0]], "message_id": message},
        "none": [[]],
        "message": message,
    }
