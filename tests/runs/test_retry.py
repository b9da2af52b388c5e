"""How patient a run is: with the model, with time; by the server's settings, or as its client says."""

from typing import Any

import pytest
from openai import BadRequestError

from tests.scripted_model import Empty, Fail, Garbage, Gate, Hang, Say, ScriptedModel
from tests.system import Project, System


async def run_to_end(project: Project, model: str, **extension: Any) -> Any:
    assistant = await project.client.beta.assistants.create(model=model)
    return await project.client.beta.threads.create_and_run_poll(
        assistant_id=assistant.id, poll_interval_ms=20, extra_body={"assistantd": extension}
    )


@pytest.mark.parametrize(
    ("turn", "says"),
    [
        (Fail(500, "out of order"), "out of order"),
        (Fail(429, "slow down", headers={"retry-after": "0"}), "rate limit"),
        (Garbage(), "not JSON"),
        (Empty(), "empty"),
    ],
)
async def test_a_model_is_asked_as_often_as_the_run_says(
    project: Project, model: ScriptedModel, turn: Any, says: str
) -> None:
    name = model.script(turn, turn)

    run = await run_to_end(project, name, retry={"model_attempts": 2, "pause": 0})

    assert run.status == "failed"
    assert says in run.last_error.message
    assert run.last_error.message.endswith("Tried 2 times.")
    assert len(model.requests(name)) == 2


async def test_a_model_that_never_answers_is_given_up(project: Project, model: ScriptedModel, system: System) -> None:
    """The run's own time is the total deadline."""
    name = model.script(Hang())

    run = await run_to_end(project, name, expires_after=1)

    assert run.status == "expired"
    ((took,),) = system.query("SELECT extract(epoch FROM finished_at - created_at) FROM runs WHERE id = %s", run.id)
    assert 1 <= took < 2
    await model.disconnected(name)


async def test_a_run_expires_in_the_time_that_it_is_given(project: Project, model: ScriptedModel) -> None:
    hold = Gate()
    assistant = await project.client.beta.assistants.create(model=model.script(Say(["One ", hold, "two."])))
    thread = await project.client.beta.threads.create()
    run = await project.client.beta.threads.runs.create(
        thread.id, assistant_id=assistant.id, extra_body={"assistantd": {"expires_after": 3600}}
    )
    hold.open()

    assert run.expires_at == run.created_at + 3600


@pytest.mark.parametrize(
    ("extension", "param"),
    [
        ({"expires_after": 0}, "assistantd.expires_after"),
        ({"retry": {"model_attempts": 11}}, "assistantd.retry.model_attempts"),
        ({"retry": {"worker_attempts": 0}}, "assistantd.retry.worker_attempts"),
        ({"retry": {"pause": -1}}, "assistantd.retry.pause"),
        ({"retry": {"often": True}}, "assistantd.retry.often"),
        ({"when_busy": "enqueue"}, "assistantd.when_busy"),  # a new thread is never busy
    ],
)
async def test_what_makes_no_sense_is_refused(project: Project, extension: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequestError) as refused:
        await project.client.beta.threads.create_and_run(assistant_id="asst_x", extra_body={"assistantd": extension})

    assert refused.value.param == param
