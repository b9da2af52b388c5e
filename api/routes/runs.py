"""/v1/threads/{thread_id}/runs and their steps."""

from typing import Annotated

from fastapi import APIRouter, Header

from api import launch, searched_files
from api.auth import Caller
from api.dependencies import Contents, RunId, StepId, TheAdmission, TheCaller, ThePage, TheServices, ThreadId
from api.filters import TheMetadata
from api.json_route import JsonRoute
from api.launch import RunStream
from api.replies import Reply, reply
from api.services import Services
from shared import ids, table
from shared.assistants import commands as assistants
from shared.errors import NoQuota
from shared.files import commands as files
from shared.runs import commands as runs
from shared.runs.rows import Run, RunStep
from shared.runs.status import TERMINAL
from shared.threads import commands as threads
from shared.usage import owners
from shared.usage.budgets import NO_QUOTA
from shared.wire.fields import refuse_v1_fields, stored_tools
from shared.wire.objects import listing
from shared.wire.runs import CreateRun, CreateThreadAndRun, SubmitToolOutputs, run_facts, run_object
from shared.wire.shapes.lists import ListObject
from shared.wire.shapes.runs import RunObject
from shared.wire.shapes.steps import RunStepObject
from shared.wire.steps import step_object
from shared.wire.threads import CreateThread, ModifyMetadata

router = APIRouter(route_class=JsonRoute)


@router.post("/threads/runs")
async def create_thread_and_run(
    body: CreateThreadAndRun, caller: TheCaller, services: TheServices, admission: TheAdmission
) -> Reply[RunObject] | RunStream:
    """Create a thread and run it; streamed, if asked for."""
    _require_quota(caller)
    thread = body.thread or CreateThread()
    for message in thread.messages or []:
        refuse_v1_fields(message, caller.dialect, "file_ids")
    await admission.of_run(services.executor, body.model, body.assistant_id)
    await files.require(services.executor, caller.project_id, body.referred_files())
    await _require_choice(services, caller, body)
    makes_stores = any(resources and resources.stores_to_make() for resources in body.resources())
    if makes_stores or thread.searched_files():
        await assistants.get(services.executor, caller.project_id, body.assistant_id)  # or stores would be left over
    body.thread = thread
    await searched_files.settle_thread(services, caller, thread, body)
    params = body.params()
    row = await runs.create_with_thread(
        services.executor,
        caller.project_id,
        ids.new("run"),
        params,
        dialect=caller.dialect,
        defaults=_defaults(services),
        api_key_id=caller.key_id,
    )
    made = launch.new_thread(row, params)
    return await launch.started(services, row, caller.dialect, stream=bool(body.stream), thread=made)


@router.post("/threads/{thread_id}/runs")
async def create_run(
    thread_id: ThreadId,
    body: CreateRun,
    caller: TheCaller,
    services: TheServices,
    contents: Contents,
    admission: TheAdmission,
) -> Reply[RunObject] | RunStream:
    """Create a run; streamed, if asked for."""
    _require_quota(caller)
    for message in body.additional_messages or []:
        refuse_v1_fields(message, caller.dialect, "file_ids")
    await admission.of_run(services.executor, body.model, body.assistant_id)
    await files.require(services.executor, caller.project_id, body.referred_files())
    await _require_choice(services, caller, body)
    when_busy = body.assistantd.when_busy if body.assistantd else "reject"
    attached = body.searched_files()
    if attached or when_busy == "cancel_active":  # a refusal cancels nothing, and has nothing searched
        await runs.require_possible(services.executor, caller.project_id, thread_id, body.assistant_id, when_busy)
    if when_busy == "cancel_active":
        cancelled = await runs.make_way(services.executor, caller.project_id, thread_id)
        if cancelled is not None:
            await launch.cancelled(services, cancelled, caller.dialect)
    await searched_files.put(services, caller, "threads", thread_id, attached)
    row = await runs.create(
        services.executor,
        caller.project_id,
        ids.new("run"),
        thread_id,
        {**body.params(), "include_contents": contents},
        dialect=caller.dialect,
        defaults=_defaults(services),
        when_busy=when_busy,
        api_key_id=caller.key_id,
    )
    return await launch.started(services, row, caller.dialect, stream=bool(body.stream))


@router.get("/threads/{thread_id}/runs")
async def list_runs(
    thread_id: ThreadId, caller: TheCaller, services: TheServices, page: ThePage, metadata: TheMetadata
) -> Reply[ListObject[RunObject]]:
    """List the thread's runs; `metadata[…]`, which is ours, leaves those that have it."""
    keys = {"thread_id": thread_id, "project_id": caller.project_id}
    found = await table.page(services.executor, Run, keys, page, table.with_metadata(metadata))
    if not found.rows:
        await threads.get(services.executor, caller.project_id, thread_id)
    return reply(listing(found, lambda row: run_object(row, caller.dialect)))


@router.get("/threads/{thread_id}/runs/{run_id}")
async def get_run(
    thread_id: ThreadId,
    run_id: RunId,
    caller: TheCaller,
    services: TheServices,
    assistantd: bool = False,  # noqa: FBT001, FBT002 # a query parameter
) -> Reply[RunObject]:
    """Retrieve a run; this is what clients poll. `assistantd=true` adds what else is known of it, and what it cost."""
    row = await runs.get(services.executor, caller.project_id, thread_id, run_id)
    shown = run_object(row, caller.dialect)
    if assistantd:
        shown["assistantd"] = run_facts(row, owners.of_run(services.prices, row))
    return reply(shown, launch.POLL_AFTER)


@router.get("/threads/{thread_id}/runs/{run_id}/events")
async def follow_run(
    thread_id: ThreadId,
    run_id: RunId,
    caller: TheCaller,
    services: TheServices,
    last_event_id: Annotated[str | None, Header()] = None,
) -> RunStream:
    """Stream the run's events from the beginning, or from after `Last-Event-ID`; ours, beyond the original."""
    row = await runs.get(services.executor, caller.project_id, thread_id, run_id)
    return launch.joined(services, row, last_event_id)


@router.post("/threads/{thread_id}/runs/{run_id}")
async def modify_run(
    thread_id: ThreadId, run_id: RunId, body: ModifyMetadata, caller: TheCaller, services: TheServices
) -> Reply[RunObject]:
    """Modify a run's metadata."""
    row = await runs.modify(services.executor, caller.project_id, thread_id, run_id, body.columns())
    return reply(run_object(row, caller.dialect))


@router.post("/threads/{thread_id}/runs/{run_id}/cancel")
async def cancel_run(thread_id: ThreadId, run_id: RunId, caller: TheCaller, services: TheServices) -> Reply[RunObject]:
    """Cancel a run: at once if nobody works on it, else its worker is told to stop."""
    row = await runs.cancel(services.executor, caller.project_id, thread_id, run_id)
    if row["status"] in TERMINAL and row["has_next"]:
        launch.promoted(services, await runs.promote(services.executor, thread_id))
    return await launch.cancelled(services, row, caller.dialect)


@router.post("/threads/{thread_id}/runs/{run_id}/submit_tool_outputs")
async def submit_tool_outputs(
    thread_id: ThreadId, run_id: RunId, body: SubmitToolOutputs, caller: TheCaller, services: TheServices
) -> Reply[RunObject] | RunStream:
    """Give the run the outputs it waits for; streamed, if asked for."""
    row, step = await runs.submit_tool_outputs(services.executor, caller.project_id, thread_id, run_id, body.outputs())
    return await launch.resumed(services, row, step, caller.dialect, stream=bool(body.stream))


@router.get("/threads/{thread_id}/runs/{run_id}/steps")
async def list_steps(
    thread_id: ThreadId, run_id: RunId, caller: TheCaller, services: TheServices, page: ThePage, contents: Contents
) -> Reply[ListObject[RunStepObject]]:
    """List what the run did."""
    keys = {"run_id": run_id, "thread_id": thread_id, "project_id": caller.project_id}
    found = await table.page(services.executor, RunStep, keys, page)
    if not found.rows:
        await runs.get(services.executor, caller.project_id, thread_id, run_id)
    return reply(listing(found, lambda row: step_object(row, caller.dialect, contents=contents)))


@router.get("/threads/{thread_id}/runs/{run_id}/steps/{step_id}")
async def get_step(
    thread_id: ThreadId, run_id: RunId, step_id: StepId, caller: TheCaller, services: TheServices, contents: Contents
) -> Reply[RunStepObject]:
    """Retrieve one step."""
    row = await runs.get_step(services.executor, caller.project_id, thread_id, run_id, step_id)
    return reply(step_object(row, caller.dialect, contents=contents))


def _require_quota(caller: Caller) -> None:
    """Raises NoQuota."""
    if caller.exhausted:
        raise NoQuota(NO_QUOTA)


async def _require_choice(services: Services, caller: Caller, body: CreateRun | CreateThreadAndRun) -> None:
    """A tool that is to be called has to be among the run's. Raises InvalidRequest, and NotFound for the assistant."""
    if not body.forces_a_call():
        return
    if body.tools is None:
        assistant = await assistants.get(services.executor, caller.project_id, body.assistant_id)
        body.require_choice(assistant["tools"])
    else:
        body.require_choice(stored_tools(body.tools))


def _defaults(services: Services) -> runs.Defaults:
    return runs.Defaults(services.settings.run_expires_after, services.settings.run_max_attempts)
