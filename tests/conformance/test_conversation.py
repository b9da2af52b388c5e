"""Polling, functions and cancelling, through each SDK's own helpers."""

from tests.conformance.conftest import Programs
from tests.scripted_model import CallFunctions, Hang, Say, ScriptedModel

TEMPERATURE = "get_current_temperature"


async def test_a_polling_program(programs: Programs, model: ScriptedModel) -> None:
    answering = model.script(Say("x is 1, Jane."))
    calling = model.script(
        CallFunctions([(TEMPERATURE, {"location": "Oslo"})]),
        CallFunctions([(TEMPERATURE, {"location": "Rome"}), (TEMPERATURE, {"location": "Bonn"})], interleaved=True),
        Say("Warm."),
    )
    hanging = model.script(Hang())

    facts = await programs.run("conversation", answering, model.script(Say("Good morning.")), calling, hanging)

    assert facts["version"] == programs.client.version
    question = "I need to solve the equation `3x + 11 = 14`. Can you help me?"
    assert facts["assistant"]["name"] == "Math Tutor"
    assert facts["message"]["content"] == [{"type": "text", "text": {"value": question, "annotations": []}}]
    assert facts["run"]["status"] == "completed"
    assert facts["messages"] == [["assistant", "x is 1, Jane."], ["user", question]]
    assert facts["steps"] == [facts["step"]]
    instructions = "Please address the user as Jane Doe. The user has a premium account."
    assert model.requests(answering)[0].messages == [
        {"role": "system", "content": instructions},
        {"role": "user", "content": question},
    ]
    assert (facts["greeted"], facts["greeting"]) == ("completed", ["Good morning."])
    assert facts["calls"] == [
        [[TEMPERATURE, {"location": "Oslo"}]],
        [[TEMPERATURE, {"location": "Rome"}], [TEMPERATURE, {"location": "Bonn"}]],
    ]
    assert facts["answered"] == "completed"
    outputs = [m["content"] for m in model.requests(calling)[2].messages if m["role"] == "tool"]
    assert outputs == ["20", "20", "21"]
    assert facts["cancelling"] in {"cancelling", "cancelled"}
    assert facts["cancelled"]["status"] == "cancelled"
    assert facts["cancelled"]["cancelled_at"] is not None
    await model.disconnected(hanging)


async def test_an_asynchronous_program(programs: Programs, model: ScriptedModel) -> None:
    answering = model.script(*[Say("I am here.")] * 6)
    calling = model.script(CallFunctions([("look", {"at": "a"}), ("look", {"at": "b"})]), Say("Both seen."))

    facts = await programs.run("asynchronous", answering, calling)

    assert facts["polled"] == ["completed"] * 3
    assert "".join(facts["texts"]) == "".join(facts["at once"]) == "I am here."
    assert facts["ended"] == 1
    assert facts["final"] == [facts["newest"]]
    assert facts["raw"][0] == "thread.run.created"
    assert facts["raw"][-1] == "thread.run.completed"
    assert facts["calls"] == [["look", {"at": "a"}], ["look", {"at": "b"}]]
    assert facts["done"] == "completed"
    assert "".join(facts["said"]) == "Both seen."
    assert len(set(facts["pages"])) == len(facts["pages"]) == 3
