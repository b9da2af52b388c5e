"""Runs whose model writes Python: the code runs in the real sandbox, its outputs and files are what clients see."""

import io
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from openai import AsyncAssistantEventHandler
from openai.types.beta import Assistant, AssistantStreamEvent, Thread

from infra.embedded.postgres import Postgres
from tests.api.test_runs import run_to_end
from tests.sandbox.service import SandboxService, lent
from tests.scripted_model import CallFunctions, Say, ScriptedModel
from tests.system import Project, System, create_database, redis_apart, until
from tests.tools.test_file_search import answer_of, steps_of
from tests.vector_stores import POLL_MS, upload

TOOL: Any = {"type": "code_interpreter"}
CSV = "city,rain\nBergen,2250\nOslo,763\n"
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def service() -> Iterator[SandboxService]:
    with lent(warm=1, memory_mb=512) as started:
        yield started


@pytest.fixture(scope="module")
def system(
    room: Path, postgres: Postgres, redis_url: str, model: ScriptedModel, service: SandboxService
) -> Iterator[System]:
    root = room / "interpreter"
    root.mkdir()
    url = create_database(postgres.url, "interpreter")
    settings = {**service.told, "ASSISTANTD_LEASE_DURATION": "2"}
    made = System(root, url, redis_apart(redis_url), model.base_url, settings)
    made.start()
    yield made
    made.stop()


@pytest.fixture
async def project(system: System) -> AsyncIterator[Project]:
    async with Project.of(system) as tenant:
        yield tenant


def runs(code: str, **more: Any) -> CallFunctions:
    return CallFunctions([("code_interpreter", {"code": code})], **more)


async def begin(project: Project, model: str, *file_ids: str, question: str = "Well?") -> tuple[Assistant, Thread]:
    resources: Any = {"code_interpreter": {"file_ids": list(file_ids)}}
    made = await project.client.beta.assistants.create(model=model, tools=[TOOL], tool_resources=resources)
    return made, await project.client.beta.threads.create(messages=[{"role": "user", "content": question}])


async def call_of(project: Project, run: Any, place: int = 0) -> Any:
    return (await steps_of(project, run))[place].step_details.tool_calls[0]


def logs(call: Any) -> str:
    return "".join(output.logs for output in call.code_interpreter.outputs if output.type == "logs")


def told(model: ScriptedModel, name: str, request: int = 1) -> str:
    """What the model was told of the last call."""
    return model.requests(name)[request].messages[-1]["content"]


def shown(part: Any) -> Any:
    """A part without its place, which deltas have and messages don't."""
    plain = part.to_dict()
    annotations = plain.get("text", {}).get("annotations") or []
    for one in (plain, *annotations):
        one.pop("index", None)
    return plain


async def test_a_csv_is_analysed(project: Project, model: ScriptedModel) -> None:
    """Statistics and a figure, both as the original shows them, and a file to take away."""
    code = (
        "import pandas as pd, matplotlib.pyplot as plt\n"
        "table = pd.read_csv('/mnt/data/rain.csv')\n"
        "table.plot.bar(x='city'); plt.show()\n"
        "table.describe().to_csv('/mnt/data/statistics.csv')\n"
        "print(table.rain.mean())"
    )
    said = "It is 1506.5; see [the table](sandbox:/mnt/data/statistics.csv)."
    name = model.script(runs(code), Say(list(said)))
    file_id = await upload(project.client, CSV, "rain.csv")
    assistant, thread = await begin(project, name, file_id)

    run = await run_to_end(project, assistant, thread)

    assert run.status == "completed", run.last_error
    call = await call_of(project, run)
    assert call.code_interpreter.input == code
    assert logs(call) == "1506.5\n"
    assert "rain.csv" in model.requests(name)[0].body["tools"][0]["function"]["description"]
    assert told(model, name).endswith("Files written: /mnt/data/statistics.csv")
    (message,) = (await project.client.beta.threads.messages.list(thread.id, limit=1)).data
    image, text = message.content
    assert image.type == "image_file"
    (shown,) = [output for output in call.code_interpreter.outputs if output.type == "image"]
    assert image.image_file.file_id == shown.image.file_id
    assert (await project.client.files.content(image.image_file.file_id)).content.startswith(PNG)
    assert text.type == "text"
    (path,) = text.text.annotations
    assert path.type == "file_path"
    assert text.text.value[path.start_index : path.end_index] == path.text == "sandbox:/mnt/data/statistics.csv"
    table = (await project.client.files.content(path.file_path.file_id)).content.decode()
    assert "1506.5" in table
    assert (await project.client.files.retrieve(path.file_path.file_id)).purpose == "assistants_output"


@pytest.mark.parametrize("spelt", ["my book.xlsx", "my%20book.xlsx"])
async def test_an_excel_file_is_written(project: Project, model: ScriptedModel, spelt: str) -> None:
    code = "import openpyxl\nbook = openpyxl.Workbook()\nbook.active['A1'] = 42\nbook.save('/mnt/data/my book.xlsx')"
    name = model.script(runs(code), Say(f"[Here](sandbox:/mnt/data/{spelt})"))
    assistant, thread = await begin(project, name)

    await run_to_end(project, assistant, thread)

    (path,) = (await answer_of(project, thread)).annotations
    content = (await project.client.files.content(path.file_path.file_id)).content
    assert openpyxl.load_workbook(io.BytesIO(content)).active["A1"].value == 42  # type: ignore[index]


async def test_variables_are_kept_over_calls_and_runs(project: Project, model: ScriptedModel, system: System) -> None:
    name = model.script(runs("x = 41"), runs("x += 1; x"), Say("So."), runs("print(x)"), Say("So."))
    assistant, thread = await begin(project, name)
    await run_to_end(project, assistant, thread)
    await project.client.beta.threads.messages.create(thread.id, role="user", content="And?")

    run = await run_to_end(project, assistant, thread)

    assert logs(await call_of(project, run)) == "42\n"
    assert told(model, name, 1) == "The code has run, and printed nothing."
    assert told(model, name, 2) == "42"
    sessions = "SELECT count(*) FROM code_interpreter_sessions WHERE thread_id = %s"
    assert system.query(sessions, thread.id) == [(1,)]


async def test_a_stream_tells_input_and_outputs_as_they_come(project: Project, model: ScriptedModel) -> None:
    code = 'print("one\\t\u20ac \\U0001f600")\n1 / 0'
    name = model.script(runs(code, pieces=40), Say("So."))
    assistant, thread = await begin(project, name)
    events: list[AssistantStreamEvent] = []

    class Handler(AsyncAssistantEventHandler):
        async def on_event(self, event: AssistantStreamEvent) -> None:
            events.append(event)

    handler = Handler()
    async with project.client.beta.threads.runs.stream(
        thread_id=thread.id, assistant_id=assistant.id, event_handler=handler
    ) as stream:
        await stream.until_done()

    step = (await handler.get_final_run_steps())[0]
    (run,) = [event.data for event in events if event.event == "thread.run.completed"]
    stored = await call_of(project, run)
    accumulated = step.step_details.tool_calls[0].code_interpreter  # type: ignore[union-attr]
    assert accumulated.input == stored.code_interpreter.input == code  # type: ignore[union-attr]
    assert [output.logs for output in accumulated.outputs] == [logs(stored)]  # type: ignore[union-attr]
    assert logs(stored).startswith("one\t\u20ac \U0001f600\n")
    assert logs(stored).rstrip().endswith("ZeroDivisionError: division by zero")
    deltas = [event for event in events if event.event == "thread.run.step.delta"]
    assert len(deltas) > 3


async def test_a_stream_shows_figures_before_the_words_about_them(project: Project, model: ScriptedModel) -> None:
    code = (
        "from PIL import Image\ndisplay(Image.new('L', (2, 2)))\nopen('/mnt/data/a.txt', 'w').write('a')\n"
        "display(Image.new('L', (3, 3)))"
    )
    name = model.script(runs(code), Say(["Two, and a [file](sand", "box:/mnt/data/a", ".txt)."]))
    assistant, thread = await begin(project, name)

    async with project.client.beta.threads.runs.stream(thread_id=thread.id, assistant_id=assistant.id) as stream:
        await stream.until_done()
        (heard,) = await stream.get_final_messages()

    (stored,) = (await project.client.beta.threads.messages.list(thread.id, limit=1)).data
    assert [part.type for part in stored.content] == ["image_file", "image_file", "text"]
    assert [shown(part) for part in heard.content] == [shown(part) for part in stored.content]
    assert len(stored.content[2].text.annotations) == 1  # type: ignore[union-attr]


async def test_figures_are_not_told_the_model_again_as_images(project: Project, model: ScriptedModel) -> None:
    """Chat completions know no images of an assistant."""
    name = model.script(runs("from PIL import Image\ndisplay(Image.new('L', (2, 2)))"), Say("One."), Say("As I said."))
    assistant, thread = await begin(project, name)
    await run_to_end(project, assistant, thread)
    await project.client.beta.threads.messages.create(thread.id, role="user", content="Sure?")

    await run_to_end(project, assistant, thread)

    said = [message["content"] for message in model.requests(name)[2].messages if message["role"] == "assistant"]
    assert said[-1] == "One."


async def test_bare_code_is_taken_as_it_is(project: Project, model: ScriptedModel) -> None:
    name = model.script(CallFunctions([("code_interpreter", "print(6 * 7)")]), Say("So."))
    assistant, thread = await begin(project, name)

    run = await run_to_end(project, assistant, thread)

    call = await call_of(project, run)
    assert (call.code_interpreter.input, logs(call)) == ("print(6 * 7)", "42\n")


async def test_files_of_messages_are_found_under_names_of_their_own(project: Project, model: ScriptedModel) -> None:
    first, second = await upload(project.client, "1", "data.csv"), await upload(project.client, "2", "data.csv")
    code = "import pathlib\nfor p in sorted(pathlib.Path('/mnt/data').iterdir()): print(p.name, p.read_text())"
    name = model.script(runs(code), Say("So."))
    assistant, thread = await begin(project, name, first)
    attached: Any = [{"file_id": second, "tools": [TOOL]}]
    await project.client.beta.threads.messages.create(thread.id, role="user", content="And this?", attachments=attached)

    run = await run_to_end(project, assistant, thread)

    assert logs(await call_of(project, run)) == "data (2).csv 2\ndata.csv 1\n"


async def test_a_lost_session_is_restored_with_its_files(
    project: Project, model: ScriptedModel, service: SandboxService, system: System
) -> None:
    name = model.script(
        runs("x = 1; open('/mnt/data/made.txt', 'w').write('mine')"),
        runs("import os; os.kill(os.getpid(), 9)"),
        runs("print(open('/mnt/data/made.txt').read(), 'x' in globals())"),
        Say("So."),
    )
    assistant, thread = await begin(project, name)

    run = await run_to_end(project, assistant, thread)

    assert run.status == "completed", run.last_error
    assert logs(await call_of(project, run, 2)) == "mine False\n"
    assert "The session ended with it" in told(model, name, 2)
    assert told(model, name, 3).startswith("This is a new session: variables of earlier calls are gone.")
    (ended, open_) = system.query(
        "SELECT seconds, ended_at FROM code_interpreter_sessions WHERE thread_id = %s ORDER BY started_at", thread.id
    )
    assert ended[0] > 0
    assert open_ == (None, None)
    assert service.pid


async def test_a_deleted_file_is_not_put_back(project: Project, model: ScriptedModel) -> None:
    file_id = await upload(project.client, CSV, "rain.csv")
    name = model.script(
        runs("import os; os.kill(os.getpid(), 9)"), Say("Oh."), runs("import os; os.listdir('/mnt/data')"), Say("So.")
    )
    assistant, thread = await begin(project, name, file_id)
    await run_to_end(project, assistant, thread)
    await project.client.files.delete(file_id)
    await project.client.beta.threads.messages.create(thread.id, role="user", content="And?")

    run = await run_to_end(project, assistant, thread)

    assert run.status == "completed", run.last_error
    assert logs(await call_of(project, run)).strip() == "[]"


async def test_a_call_that_never_ends_is_cancelled_with_its_run(
    project: Project, model: ScriptedModel, system: System
) -> None:
    name = model.script(runs("print('begun', flush=True)\nwhile True: pass"))
    assistant, thread = await begin(project, name)
    run = await project.client.beta.threads.runs.create(thread.id, assistant_id=assistant.id)
    waiting = "SELECT 1 FROM run_steps WHERE run_id = %s AND status = 'in_progress'"
    await until(lambda: system.query(waiting, run.id) != [])

    await project.client.beta.threads.runs.cancel(run.id, thread_id=thread.id)
    ended = await project.client.beta.threads.runs.poll(run.id, thread_id=thread.id, poll_interval_ms=POLL_MS)

    assert ended.status == "cancelled"
    assert ended.cancelled_at is not None
    assert [step.status for step in await steps_of(project, run)] == ["cancelled"]
    following = model.script(runs("1 + 1"), Say("So."))
    again = await run_to_end(project, assistant, thread, model=following)
    assert logs(await call_of(project, again)) == "2\n"


async def test_a_worker_that_dies_over_a_call_leaves_it_running(
    project: Project, model: ScriptedModel, system: System, service: SandboxService
) -> None:
    """The next worker joins it: the code has run once."""
    code = (
        "import time, pathlib\n"
        "log = pathlib.Path('/tmp/log.txt')\n"
        "log.write_text((log.read_text() if log.exists() else '') + 'run')\n"
        "pathlib.Path('/mnt/data/early.txt').write_text('early')\n"
        "print('begun', flush=True)\n"
        "while not pathlib.Path('/mnt/data/go').exists(): time.sleep(0.05)\n"
        "print(log.read_text())"
    )
    name = model.script(runs(code), Say("So."))
    assistant, thread = await begin(project, name)
    run = await project.client.beta.threads.runs.create(thread.id, assistant_id=assistant.id)
    async with service.client() as sandbox:
        kept = "SELECT 1 FROM code_interpreter_sessions WHERE thread_id = %s"
        await until(lambda: system.query(kept, thread.id) != [])
        session = await sandbox.open(thread.id)
        calls = f"/sessions/{thread.id}"
        while not (await sandbox.ask("GET", calls))["calls"]:
            pass
        next(process for process in system.processes if process.log.name.startswith("worker")).kill()
        system.spawn_worker().wait_until_ready()
        again = "SELECT 1 FROM runs WHERE id = %s AND attempts = 1 AND status = 'in_progress'"
        await until(lambda: system.query(again, run.id) != [])
        await session.put("go", b"")

    ended = await project.client.beta.threads.runs.poll(run.id, thread_id=thread.id, poll_interval_ms=POLL_MS)

    assert ended.status == "completed", ended.last_error
    assert logs(await call_of(project, run)) == "begun\nrun\n"
    assert "/mnt/data/early.txt" in told(model, name)


async def test_a_service_that_dies_over_a_call_and_comes_back_executes_it_anew(
    project: Project, model: ScriptedModel, service: SandboxService
) -> None:
    """Who listens is told of the step from its beginning."""
    code = (
        "import pathlib, time\n"
        "print('begun', flush=True)\n"
        "while not pathlib.Path('/mnt/data/go').exists(): time.sleep(0.05)\n"
        "print('done')"
    )
    assistant, thread = await begin(project, model.script(runs(code), Say("So.")))
    handler = AsyncAssistantEventHandler()
    steps: list[Any] = []
    stream = project.client.beta.threads.runs.stream(
        thread_id=thread.id, assistant_id=assistant.id, event_handler=handler
    )
    async with stream, service.client() as sandbox:
        async for event in handler:
            if event.event == "thread.run.step.delta" and '"logs": "begun' in event.to_json():
                steps.append(event)
                if len(steps) == 1:
                    service.kill()
                    service.start()
                else:
                    await (await sandbox.open(thread.id)).put("go", b"")
        run, told_steps = handler.current_run, await handler.get_final_run_steps()

    assert run is not None
    assert run.status == "completed", run.last_error
    assert len(steps) == 2
    assert logs(await call_of(project, run)) == "begun\ndone\n"
    shown = [step.step_details for step in told_steps if step.step_details.type == "tool_calls"]
    assert [logs(details.tool_calls[0]) for details in shown] == ["begun\ndone\n"]


async def test_much_output_is_cut_with_a_mark(project: Project, model: ScriptedModel) -> None:
    name = model.script(runs("for i in range(200_000): print(i)"), Say("So."))
    assistant, thread = await begin(project, name)

    run = await run_to_end(project, assistant, thread)

    shown = logs(await call_of(project, run))
    assert "left out" in shown[-100:]
    assert len(shown) < 110_000
    assert len(told(model, name)) < 13_000


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (
            {"ASSISTANTD_SANDBOX_URL": "http://127.0.0.1:9", "ASSISTANTD_SANDBOX_SECRET": "x" * 20},  # nobody is there
            "The code interpreter's service does not answer.",
        ),
        ({}, "The code interpreter is not configured on this server (ASSISTANTD_SANDBOX_URL)."),
    ],
)
async def test_without_a_sandbox_the_run_fails_and_says_so(
    project: Project, model: ScriptedModel, system: System, tmp_path: Path, settings: dict[str, str], says: str
) -> None:
    other = System(tmp_path, system.database_url, redis_apart(system.redis_url), model.base_url, settings)
    other.start()
    try:
        async with Project.known(other, project.key) as tenant:
            assistant, thread = await begin(tenant, model.script(runs("1")))
            run = await run_to_end(tenant, assistant, thread)
    finally:
        other.stop()

    assert run.status == "failed"
    assert run.last_error is not None
    assert run.last_error.message == says
    assert [step.status for step in await steps_of(project, run)] == ["failed"]


async def test_a_project_has_as_many_sessions_as_it_may(project: Project, model: ScriptedModel, system: System) -> None:
    """Another thread's code waits until there is a place again."""
    name = model.script(runs("print(1)"), Say("One."), runs("print(2)"), Say("Two."))
    assistant, first = await begin(project, name)
    its_project = "id = (SELECT project_id FROM threads WHERE id = %s)"
    system.query(f"UPDATE projects SET max_sandbox_sessions = 1 WHERE {its_project}", first.id)
    assert (await run_to_end(project, assistant, first)).status == "completed"
    second = await project.client.beta.threads.create()
    run = await project.client.beta.threads.runs.create(second.id, assistant_id=assistant.id)
    await model.answered(name, 3)
    called = "SELECT count(*) FROM run_steps WHERE run_id = %s AND status = 'in_progress'"
    await until(lambda: system.query(called, run.id) == [(1,)])
    assert model.remaining(name) == 1

    system.query("UPDATE sandbox_places SET until = now() WHERE thread_id = %s", first.id)
    done = await project.client.beta.threads.runs.poll(run.id, thread_id=second.id, poll_interval_ms=POLL_MS)

    assert done.status == "completed", done.last_error
    assert logs(await call_of(project, done)) == "2\n"
    assert system.query("SELECT thread_id FROM sandbox_places") == [(second.id,)]
