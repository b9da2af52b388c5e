"""What articles of November 2023 did: an assistant with a document, polled until it has answered, asked again.

Arguments: the server's address (this client doesn't read OPENAI_BASE_URL) and the document.
"""

# pyright: basic, reportOptionalMemberAccess=false, reportAttributeAccessIssue=false, reportArgumentType=false, reportCallIssue=false
# written as users write, who check no types; and for types of its time

import json
import sys
import time

from openai import OpenAI

base_url, document = sys.argv[1:]
client = OpenAI(base_url=base_url)

# Step 1: create an assistant.
assistant = client.beta.assistants.create(
    name="Knowledge Assistant",
    instructions="You are a chatbot. Use your knowledge base to best respond to customer queries.",
    model="gpt-4-1106-preview",
    tools=[{"type": "retrieval"}],
)

# Step 2: upload a file, and attach it.
with open(document, "rb") as upload:
    file = client.files.create(file=upload, purpose="assistants")
updated = client.beta.assistants.update(assistant.id, file_ids=[file.id])

# Step 3: create a thread.
thread = client.beta.threads.create()


def ask(question):
    """Add a message, run the assistant, wait for the answer."""
    message = client.beta.threads.messages.create(thread_id=thread.id, role="user", content=question)
    run = client.beta.threads.runs.create(thread_id=thread.id, assistant_id=assistant.id)
    created = run
    give_up_at = time.monotonic() + 20
    while run.status != "completed":
        assert time.monotonic() < give_up_at, run
        time.sleep(0.05)
        run = client.beta.threads.runs.retrieve(thread_id=thread.id, run_id=run.id)
    messages = client.beta.threads.messages.list(thread_id=thread.id)
    steps = client.beta.threads.runs.steps.list(thread_id=thread.id, run_id=run.id)
    return {
        "message": message.model_dump(exclude_unset=True),
        "created": created.model_dump(exclude_unset=True),
        "run": run.model_dump(exclude_unset=True),
        "answer": messages.data[0].model_dump(exclude_unset=True),
        "steps": [step.model_dump(exclude_unset=True) for step in steps.data],
    }


# Step 4: ask; and ask again.
turns = [ask("How many people live in Bergen?"), ask("And what did I ask before?")]
messages = client.beta.threads.messages.list(thread_id=thread.id)

print(
    json.dumps(
        {
            "assistant": assistant.model_dump(exclude_unset=True),
            "file": file.model_dump(exclude_unset=True),
            "updated": updated.model_dump(exclude_unset=True),
            "thread": thread.model_dump(exclude_unset=True),
            "turns": turns,
            "messages": [m.content[0].text.value for m in messages.data],
        }
    )
)
