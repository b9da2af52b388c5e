"""What each POST is asked with: bodies that would do, and between them every field that takes an id.

`{names}` stand for ids of what is on a stage (`tests/organization/stage.py`).
"""

from typing import Any, NamedTuple

CODE = {"code_interpreter": {"file_ids": ["{loose_file_id}"]}}
SEARCHED = {"file_search": {"vector_store_ids": ["{vector_store_id}"]}}
DESCRIBED = {"file_search": {"vector_stores": [{"file_ids": ["{loose_file_id}"]}]}}
WITH_FILES = {
    "role": "user",
    "content": [{"type": "text", "text": "x"}, {"type": "image_file", "image_file": {"file_id": "{loose_file_id}"}}],
    "attachments": [
        {"file_id": "{loose_file_id}", "tools": [{"type": "file_search"}]},
        {"file_id": "{loose_file_id}", "tools": [{"type": "code_interpreter"}]},
    ],
}
OF_V1 = {"role": "user", "content": "x", "file_ids": ["{loose_file_id}"]}
TOOLS = [{"type": "code_interpreter"}, {"type": "file_search"}]


class Body(NamedTuple):
    """An object, or a form's bytes; None where none is taken. v1 has fields that v2 refuses."""

    content: Any = None
    v1: bool = False


NO_BODY = Body()


def _form(name: str, **fields: str) -> Body:
    parts = [f'--b\r\ncontent-disposition: form-data; name="{key}"\r\n\r\n{value}\r\n' for key, value in fields.items()]
    file = f'--b\r\ncontent-disposition: form-data; name="{name}"; filename="a.txt"\r\n\r\nx\r\n'
    return Body("".join([*parts, file, "--b--\r\n"]).encode())


BODIES: dict[str, tuple[Body, ...]] = {
    "/assistants": (
        Body({"model": "x", "tools": TOOLS, "tool_resources": {**CODE, **SEARCHED}}),
        Body({"model": "x", "tools": TOOLS, "tool_resources": DESCRIBED}),
        Body({"model": "x", "tools": [{"type": "retrieval"}], "file_ids": ["{loose_file_id}"]}, v1=True),
    ),
    "/assistants/{assistant_id}": (
        Body({"tool_resources": {**CODE, **SEARCHED}}),
        Body({"tools": [{"type": "retrieval"}], "file_ids": ["{loose_file_id}"]}, v1=True),
    ),
    "/assistants/{assistant_id}/files": (Body({"file_id": "{loose_file_id}"}, v1=True),),
    "/threads": (
        Body({"messages": [WITH_FILES], "tool_resources": {**CODE, **SEARCHED}}),
        Body({"messages": [WITH_FILES], "tool_resources": DESCRIBED}),
        Body({"messages": [OF_V1]}, v1=True),
    ),
    "/threads/{thread_id}": (Body({"tool_resources": {**CODE, **SEARCHED}}),),
    "/threads/{thread_id}/messages": (Body(WITH_FILES), Body(OF_V1, v1=True)),
    "/threads/{thread_id}/messages/{message_id}": (Body({"metadata": {}}),),
    "/threads/{thread_id}/runs": (
        Body({"assistant_id": "{assistant_id}", "additional_messages": [WITH_FILES]}),
        Body({"assistant_id": "{assistant_id}", "additional_messages": [OF_V1]}, v1=True),
    ),
    "/threads/{thread_id}/runs/{run_id}": (Body({"metadata": {}}),),
    "/threads/{thread_id}/runs/{run_id}/cancel": (NO_BODY,),
    "/threads/{thread_id}/runs/{run_id}/submit_tool_outputs": (
        Body({"tool_outputs": [{"tool_call_id": "{call_id}", "output": "x"}]}),
    ),
    "/threads/runs": (
        Body(
            {
                "assistant_id": "{assistant_id}",
                "thread": {"messages": [WITH_FILES], "tool_resources": {**CODE, **SEARCHED}},
                "tool_resources": {**CODE, **SEARCHED},
            }
        ),
        Body({"assistant_id": "{assistant_id}", "thread": {"messages": [WITH_FILES], "tool_resources": DESCRIBED}}),
        Body({"assistant_id": "{assistant_id}", "thread": {"messages": [WITH_FILES]}, "tool_resources": DESCRIBED}),
        Body({"assistant_id": "{assistant_id}", "thread": {"messages": [OF_V1]}}, v1=True),
    ),
    "/files": (_form("file", purpose="assistants"),),
    "/uploads": (Body({"filename": "a.txt", "bytes": 1, "mime_type": "text/plain", "purpose": "assistants"}),),
    "/uploads/{upload_id}/parts": (_form("data"),),
    "/uploads/{upload_id}/complete": (Body({"part_ids": ["{part_id}"]}),),
    "/uploads/{upload_id}/cancel": (NO_BODY,),
    "/vector_stores": (Body({"file_ids": ["{loose_file_id}"]}),),
    "/vector_stores/{vector_store_id}": (Body({"name": "x"}),),
    "/vector_stores/{vector_store_id}/search": (Body({"query": "x"}),),
    "/vector_stores/{vector_store_id}/files": (Body({"file_id": "{loose_file_id}"}),),
    "/vector_stores/{vector_store_id}/files/{file_id}": (Body({"attributes": {}}),),
    "/vector_stores/{vector_store_id}/file_batches": (
        Body({"file_ids": ["{loose_file_id}"]}),
        Body({"files": [{"file_id": "{loose_file_id}"}]}),
    ),
    "/vector_stores/{vector_store_id}/file_batches/{batch_id}/cancel": (NO_BODY,),
    "/organization/projects": (Body({"name": "{new_name}"}),),
    "/organization/projects/{project_id}": (Body({"name": "{new_name}"}),),
    "/organization/projects/{project_id}/archive": (NO_BODY,),
    "/organization/projects/{project_id}/rate_limits/{rate_limit_id}": (
        Body({"max_requests_per_1_minute": 2147483647}),
    ),
    "/organization/projects/{project_id}/service_accounts": (Body({"name": "x"}),),
    "/organization/projects/{project_id}/service_accounts/{service_account_id}": (Body({"name": "x"}),),
    "/organization/projects/{project_id}/service_accounts/{service_account_id}/api_keys": (Body({}),),
    "/organization/admin_api_keys": (Body({"name": "x"}),),
    "/organization/projects/{project_id}/spend_limit": (Body({"threshold_amount": 100}),),
}
"""By path, of each POST there is."""
