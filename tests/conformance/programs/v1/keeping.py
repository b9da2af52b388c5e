"""Page, modify and delete through the oldest client, which pages until a page is empty. Argument: the address."""

# pyright: basic, reportOptionalMemberAccess=false, reportAttributeAccessIssue=false, reportArgumentType=false, reportCallIssue=false
# written as users write, who check no types; and for types of its time

import json
import sys

from openai import NotFoundError, OpenAI

(base_url,) = sys.argv[1:]
client = OpenAI(base_url=base_url, _strict_response_validation=True)  # by the types of its time


def is_gone(retrieve, *args):
    """Whether there is no such object any more."""
    try:
        retrieve(*args)
    except NotFoundError:
        return True
    return False


def pages(list_, *args, **kwargs):
    """The ids on each page."""
    return [[item.id for item in page.data] for page in list_(*args, **kwargs).iter_pages()]


files = [client.files.create(file=(f"{n}.txt", b"text " * n), purpose="assistants") for n in range(1, 4)]
assistants = [client.beta.assistants.create(model="gpt-4", name=f"assistant {n}") for n in range(4)]
thread = client.beta.threads.create(messages=[{"role": "user", "content": f"message {n}"} for n in range(4)])
ids = [assistant.id for assistant in assistants]
messages = client.beta.threads.messages.list(thread.id, order="asc").data

facts = {
    "created": ids,
    "assistants asc": pages(client.beta.assistants.list, limit=2, order="asc"),
    "assistants desc": pages(client.beta.assistants.list, limit=3),
    "before": pages(client.beta.assistants.list, limit=2, order="asc", before=ids[2]),
    "iterated": [assistant.id for assistant in client.beta.assistants.list(limit=3, order="asc")],
    "messages": [m.content[0].text.value for m in client.beta.threads.messages.list(thread.id, limit=3)],
    "files": [f.filename for f in client.files.list(purpose="assistants")],
}

attached = client.beta.threads.messages.create(thread.id, role="user", content="Read this.", file_ids=[files[0].id])
facts["attached"] = attached.model_dump(exclude_unset=True)
facts["assistant"] = client.beta.assistants.update(
    ids[0], tools=[{"type": "retrieval"}, {"type": "code_interpreter"}], file_ids=[f.id for f in files]
).model_dump(exclude_unset=True)
facts["emptied"] = client.beta.assistants.update(ids[0], file_ids=[]).file_ids

# Files of an assistant, and those that came with a message.
assistant_files = client.beta.assistants.files
added = [assistant_files.create(ids[1], file_id=f.id) for f in files]
facts["assistant files"] = {
    "added": [f.model_dump(exclude_unset=True) for f in added],
    "pages": pages(assistant_files.list, ids[1], limit=2, order="asc"),
    "before": pages(assistant_files.list, ids[1], order="asc", before=files[1].id),
    "retrieved": assistant_files.retrieve(files[1].id, assistant_id=ids[1]).model_dump(exclude_unset=True),
    "deleted": assistant_files.delete(files[0].id, assistant_id=ids[1]).model_dump(exclude_unset=True),
    "gone": is_gone(lambda: assistant_files.retrieve(files[0].id, assistant_id=ids[1])),
    "left": client.beta.assistants.retrieve(ids[1]).file_ids,
}
message_files = client.beta.threads.messages.files
facts["message files"] = {
    "pages": pages(message_files.list, attached.id, thread_id=thread.id),
    "retrieved": message_files.retrieve(files[0].id, thread_id=thread.id, message_id=attached.id).model_dump(
        exclude_unset=True
    ),
    "none": pages(message_files.list, messages[0].id, thread_id=thread.id),
    "message": attached.id,
}
facts["made"] = [f.model_dump(exclude_unset=True) for f in files]

facts["metadata"] = [
    client.beta.assistants.update(ids[0], metadata={"a": "1"}).metadata,
    client.beta.threads.update(thread.id, metadata={"b": "2"}).metadata,
    client.beta.threads.messages.update(messages[0].id, thread_id=thread.id, metadata={"c": "3"}).metadata,
]
facts["file"] = client.files.retrieve(files[1].id).model_dump(exclude_unset=True)
facts["content"] = client.files.retrieve_content(files[1].id)
facts["deleted"] = [
    client.files.delete(files[0].id).model_dump(exclude_unset=True),
    client.beta.threads.delete(thread.id).model_dump(exclude_unset=True),
    client.beta.assistants.delete(ids[0]).model_dump(exclude_unset=True),
]
facts["gone"] = [
    is_gone(client.files.retrieve, files[0].id),
    is_gone(client.beta.threads.retrieve, thread.id),
    is_gone(client.beta.assistants.retrieve, ids[0]),
]

print(json.dumps(facts))
