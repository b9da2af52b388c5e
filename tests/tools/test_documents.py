"""From a document to an answer with a citation, end to end: a PDF of 300 pages, one of which has what is asked for."""

from typing import Any

import pytest
from fpdf import FPDF

from tests import http
from tests.scripted_model import CallFunctions, Say, ScriptedModel
from tests.system import Project
from tests.tools.test_file_search import SEARCH, answer_of
from tests.vector_stores import POLL_MS

PAGES, ASKED = 300, 217
WORDS = "Apples keep for months in a cellar that is dry and cool, pears do not, and plums are eaten at once. " * 12


@pytest.fixture(scope="module")
def document() -> bytes:
    """Each page has a word of its own, but for the one that is asked for not the one that is looked for."""
    pdf = FPDF()
    pdf.set_font("Helvetica", size=11)
    for page in range(1, PAGES + 1):
        pdf.add_page()
        fact = "The quince is harvested in week 43. " if page == ASKED else f"Note {page} is of no use. "
        pdf.multi_cell(0, None, WORDS[: 40 * (page % 9)] + fact + WORDS)
    return bytes(pdf.output())


def script(model: ScriptedModel) -> str:
    asked = CallFunctions([("file_search", {"queries": ["When is the quince harvested?"]})])
    return model.script(asked, Say(ANSWER))


ANSWER = "The quince is harvested in week 43【1:0†source】."


def check(citation: Any, file_id: str, told: Any) -> None:
    assert citation["file_citation"]["file_id"] == file_id
    assert ANSWER[citation["start_index"] : citation["end_index"]] == citation["text"] == "【1:0†source】"
    assert told["page"] == ASKED
    assert " ".join(told["quote"].split()).endswith("The quince is harvested in week 43.")


async def test_in_v2(project: Project, model: ScriptedModel, document: bytes) -> None:
    client = project.client
    store = await client.vector_stores.create()
    file = await client.vector_stores.files.upload_and_poll(
        vector_store_id=store.id, file=("manual.pdf", document), poll_interval_ms=POLL_MS
    )
    assert file.status == "completed", file.last_error
    resources: Any = {"file_search": {"vector_store_ids": [store.id]}}
    assistant = await client.beta.assistants.create(model=script(model), tools=[SEARCH], tool_resources=resources)

    run = await client.beta.threads.create_and_run_poll(
        assistant_id=assistant.id,
        thread={"messages": [{"role": "user", "content": "When?"}]},
        poll_interval_ms=POLL_MS,
    )

    assert run.status == "completed", run.last_error
    (citation,) = (await answer_of(project, await client.beta.threads.retrieve(run.thread_id))).annotations
    shown = citation.to_dict()
    check(shown, file.id, shown["assistantd"])


async def test_in_v1(project: Project, model: ScriptedModel, document: bytes) -> None:
    """There the quote has its own place, and the first run waits until the file has been read."""
    file = await project.client.files.create(file=("manual.pdf", document), purpose="assistants")
    async with http.session(project, openai_beta="assistants=v1") as client:
        body = {"model": script(model), "tools": [{"type": "retrieval"}], "file_ids": [file.id]}
        assistant = (await client.post("/assistants", json=body)).json()
        run = (await client.post("/threads/runs", json={"assistant_id": assistant["id"]})).json()
        await project.client.beta.threads.runs.poll(run["id"], thread_id=run["thread_id"], poll_interval_ms=POLL_MS)
        messages = (await client.get(f"/threads/{run['thread_id']}/messages")).json()["data"]
    (cited,) = (await answer_of(project, await project.client.beta.threads.retrieve(run["thread_id"]))).annotations

    (citation,) = messages[0]["content"][0]["text"]["annotations"]
    check(citation, file.id, {"page": cited.assistantd["page"], "quote": citation["file_citation"]["quote"]})
