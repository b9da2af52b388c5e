"""Page through, modify and delete everything that can be. Argument: a model."""

# pyright: basic, reportOptionalMemberAccess=false, reportAttributeAccessIssue=false, reportArgumentType=false, reportCallIssue=false
# written as users write, who check no types

import hashlib
import io
import json
import sys

from openai import NotFoundError, OpenAI

client = OpenAI()
(model,) = sys.argv[1:]


def is_gone(retrieve, *args, **kwargs):
    """Whether there is no such object any more."""
    try:
        retrieve(*args, **kwargs)
    except NotFoundError:
        return True
    return False


def pages(list_, *args, **kwargs):
    """The ids on each page."""
    return [[item.id for item in page.data] for page in list_(*args, **kwargs).iter_pages()]


facts = {}

# Lists.
assistants = [client.beta.assistants.create(model=model, name=f"assistant {n}") for n in range(5)]
thread = client.beta.threads.create(messages=[{"role": "user", "content": f"message {n}"} for n in range(5)])
files = [client.files.create(file=(f"{n}.txt", b"text " * n), purpose="assistants") for n in range(1, 4)]
runs = [
    client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistants[0].id, poll_interval_ms=20)
    for _ in range(3)
]
ids = [assistant.id for assistant in assistants]
messages = [message.id for message in client.beta.threads.messages.list(thread.id, order="asc", limit=3)]
facts["created"] = {"assistants": ids, "files": [f.id for f in files], "runs": [run.id for run in runs]}
facts["messages"] = messages
facts["pages"] = {
    "assistants asc": pages(client.beta.assistants.list, limit=2, order="asc"),
    "assistants desc": pages(client.beta.assistants.list, limit=2),
    "after": pages(client.beta.assistants.list, limit=2, order="asc", after=ids[2]),
    "before": pages(client.beta.assistants.list, limit=3, order="asc", before=ids[2]),
    "before, desc": pages(client.beta.assistants.list, limit=3, order="desc", before=ids[2]),
    "before, the page": [a.id for a in client.beta.assistants.list(limit=2, order="asc", before=ids[4]).data],
    "before, the page, desc": [a.id for a in client.beta.assistants.list(limit=2, before=ids[0]).data],
    "between": pages(client.beta.assistants.list, limit=100, order="asc", after=ids[0], before=ids[4]),
    "empty": pages(client.beta.assistants.list, limit=2, order="asc", after=ids[4]),
    "messages desc": pages(client.beta.threads.messages.list, thread.id, limit=3),
    "messages of a run": pages(client.beta.threads.messages.list, thread.id, run_id=runs[1].id),
    "runs asc": pages(client.beta.threads.runs.list, thread.id, limit=2, order="asc"),
    "runs desc": pages(client.beta.threads.runs.list, thread.id, limit=1),
    "steps": [
        len(page) for page in pages(client.beta.threads.runs.steps.list, runs[0].id, thread_id=thread.id, limit=1)
    ],
    "files asc": pages(client.files.list, limit=2, order="asc"),
    "files of another purpose": pages(client.files.list, purpose="vision"),
}
first = client.beta.assistants.list(limit=2, order="asc")
facts["first page"] = {"has_more": first.has_more, "last_id": first.last_id}

# Modify.
modified = client.beta.assistants.update(
    ids[0],
    name="renamed",
    description="described",
    instructions="instructed",
    tools=[{"type": "code_interpreter"}],
    temperature=0,
    top_p=0.5,
    response_format={"type": "json_object"},
    metadata={"a": "1"},
)
facts["assistant"] = modified.to_dict(mode="json")
facts["assistant, retrieved"] = client.beta.assistants.retrieve(ids[0]).to_dict(mode="json")
untouched = client.beta.assistants.update(ids[0], metadata={"b": "2"})
facts["assistant, metadata"] = untouched.to_dict(mode="json")
facts["thread"] = client.beta.threads.update(thread.id, metadata={"user": "abc"}).metadata
facts["thread, retrieved"] = client.beta.threads.retrieve(thread.id).metadata
facts["message"] = client.beta.threads.messages.update(
    messages[0], thread_id=thread.id, metadata={"modified": "true"}
).metadata
facts["message, retrieved"] = client.beta.threads.messages.retrieve(messages[0], thread_id=thread.id).metadata
facts["run"] = client.beta.threads.runs.update(runs[0].id, thread_id=thread.id, metadata={"tier": "gold"}).metadata
facts["run, retrieved"] = client.beta.threads.runs.retrieve(runs[0].id, thread_id=thread.id).metadata

# Files.
upload = client.files.create(file=io.BytesIO(b"nameless"), purpose="assistants")
facts["files"] = {
    "created": files[2].to_dict(mode="json"),
    "retrieved": client.files.retrieve(files[2].id).to_dict(mode="json"),
    "content": client.files.content(files[2].id).read().decode(),
    "nameless": [upload.filename, client.files.content(upload.id).text],
}

# A file that comes in parts.
content = b"one two three four five"
arrived = client.uploads.upload_file_chunked(
    file=content,
    filename="parts.txt",
    bytes=len(content),
    mime_type="text/plain",
    purpose="assistants",
    part_size=5,
    md5=hashlib.md5(content).hexdigest(),
)
cancelled = client.uploads.cancel(
    client.uploads.create(filename="no.txt", bytes=1, mime_type="text/plain", purpose="assistants").id
)
facts["uploads"] = {
    "completed": [arrived.status, arrived.file.filename, arrived.file.bytes],
    "content": client.files.content(arrived.file.id).text,
    "cancelled": cancelled.status,
}

# Delete.
facts["deleted"] = {
    "file": client.files.delete(files[0].id).to_dict(mode="json"),
    "message": client.beta.threads.messages.delete(messages[0], thread_id=thread.id).to_dict(mode="json"),
    "thread": client.beta.threads.delete(thread.id).to_dict(mode="json"),
    "assistant": client.beta.assistants.delete(ids[0]).to_dict(mode="json"),
}
facts["gone"] = {
    "file": is_gone(client.files.retrieve, files[0].id),
    "content": is_gone(client.files.content, files[0].id),
    "message": is_gone(client.beta.threads.messages.retrieve, messages[0], thread_id=thread.id),
    "thread": is_gone(client.beta.threads.retrieve, thread.id),
    "run": is_gone(client.beta.threads.runs.retrieve, runs[0].id, thread_id=thread.id),
    "assistant": is_gone(client.beta.assistants.retrieve, ids[0]),
    "assistant, deleted again": is_gone(client.beta.assistants.delete, ids[0]),
}
facts["left"] = [assistant.id for assistant in client.beta.assistants.list(order="asc")]

print(json.dumps(facts))
