"""What handlers may ask for; a handler's signature says all that it can touch.

All of them are coroutines, though they wait for nothing: FastAPI calls plain functions in threads, one after the other,
where what they bind for the log is lost besides.
"""

from typing import Annotated, Literal

import structlog
from fastapi import Depends, Header, Path, Query, Request
from pydantic.config import JsonDict

from api.admission import Admission, admission_of
from api.auth import Caller
from api.services import Services
from shared import ids
from shared.audit.actor import Actor
from shared.errors import InvalidRequest
from shared.table import Page
from shared.wire import limits
from shared.wire.fields import Dialect, begins_with
from shared.wire.steps import INCLUDABLE, Includable


async def _services(request: Request) -> Services:
    """Those of the request: within its project, or its own transaction. The administration has the process's."""
    return getattr(request.state, "services", None) or request.app.state.services


TheServices = Annotated[Services, Depends(_services)]


_DIALECTS: JsonDict = {"enum": ["assistants=v1", "assistants=v2"]}


async def _dialect(openai_beta: Annotated[str | None, Header(json_schema_extra=_DIALECTS)] = None) -> Dialect:
    """v2 unless the client says v1: OpenAI refused calls without the header, which helped nobody."""
    match openai_beta:
        case None | "assistants=v2":
            return "v2"
        case "assistants=v1":
            return "v1"
        case _:
            wanted = "'OpenAI-Beta: assistants=v2'"
            raise InvalidRequest(
                f"Invalid 'OpenAI-Beta' header. Please try again by setting {wanted}.", code="invalid_beta"
            )


ADDRESS = 64  # characters of an address or a client's name that are kept
USER_AGENT = 256


async def _actor(request: Request) -> Actor:
    """The key that `JsonRoute` has recognised, and where the request comes from: the address at the other end of the
    connection, or what a proxy says in `X-Forwarded-For`, if it is one that uvicorn trusts (`FORWARDED_ALLOW_IPS`).
    """
    key = request.state.key
    return Actor(
        "admin_key" if key.project_id is None else "api_key",
        key.id,
        key.account_id,
        _storable(request.client.host if request.client else None, ADDRESS),
        _storable(request.headers.get("user-agent"), USER_AGENT),
    )


def _storable(said: str | None, at_most: int) -> str | None:
    """What a header says, as Postgres can keep it."""
    return None if said is None else said.replace("\0", "")[:at_most]


TheActor = Annotated[Actor, Depends(_actor)]


async def _caller(
    request: Request,
    actor: TheActor,
    dialect: Annotated[Dialect, Depends(_dialect)],
    authorization: Annotated[str | None, Header()] = None,
) -> Caller:
    """`JsonRoute` has looked the key up already: the header stands here for our OpenAPI."""
    del authorization
    key = request.state.key
    if key.project_id is None:
        raise LookupError("a route of a project was opened by a key to the administration")
    named = {name: value for name, value in request.path_params.items() if ids.is_id(value)}
    structlog.contextvars.bind_contextvars(project_id=key.project_id, **named)  # for logs, until the request's end
    return Caller(key.project_id, key.id, actor, key.exhausted, dialect, request.state.limits)


TheCaller = Annotated[Caller, Depends(_caller)]


async def _admission(request: Request) -> Admission:
    return admission_of(request)


TheAdmission = Annotated[Admission, Depends(_admission)]


AssistantId = Annotated[str, Path(), begins_with("asst")]
ThreadId = Annotated[str, Path(), begins_with("thread")]
MessageId = Annotated[str, Path(), begins_with("msg")]
RunId = Annotated[str, Path(), begins_with("run")]
StepId = Annotated[str, Path(), begins_with("step")]
FileId = Annotated[str, Path(), begins_with("file")]
UploadId = Annotated[str, Path(), begins_with("upload")]
VectorStoreId = Annotated[str, Path(), begins_with("vs")]
FileBatchId = Annotated[str, Path(), begins_with("vsfb")]
ProjectId = Annotated[str, Path(), begins_with("proj")]
AccountId = Annotated[str, Path(), begins_with("svc_acct")]
KeyId = Annotated[str, Path(), begins_with("key")]


async def _page(
    limit: Annotated[int, Query(ge=1, le=limits.PAGE)] = 20,
    order: Literal["asc", "desc"] = "desc",
    after: str | None = None,
    before: str | None = None,
) -> Page:
    return Page(limit, order, after, before)


ThePage = Annotated[Page, Depends(_page)]


async def _page_of_organization(
    limit: Annotated[int, Query(ge=1, le=limits.PAGE)] = 20, after: str | None = None
) -> Page:
    return Page(limit, "asc", after)


ThePageOfOrganization = Annotated[Page, Depends(_page_of_organization)]
"""What the administration lists is few, and grows at its end."""


async def _contents(
    included: Annotated[list[Includable] | None, Query(alias="include[]")] = None,
) -> bool:
    return INCLUDABLE in (included or [])


Contents = Annotated[bool, Depends(_contents)]
"""Are the texts that file_search found to be shown?"""
