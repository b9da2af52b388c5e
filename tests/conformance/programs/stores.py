"""Keep files in a vector store, search in it, empty it."""

# pyright: basic, reportOptionalMemberAccess=false, reportAttributeAccessIssue=false, reportArgumentType=false, reportCallIssue=false
# written as users write, who check no types

import json

from openai import NotFoundError, OpenAI

client = OpenAI()
stores = client.vector_stores
facts = {}

store = stores.create(name="Fruit", expires_after={"anchor": "last_active_at", "days": 7}, metadata={"shelf": "top"})
facts["created"] = {"name": store.name, "days": store.expires_after.days, "metadata": store.metadata}
facts["updated"] = stores.update(store.id, name="Fruits").name
facts["listed"] = [one.id == store.id for one in stores.list()]

# One file, and several.
notes = ("apples.md", b"# Apples\n\nApples keep for months.")
apples = stores.files.upload_and_poll(vector_store_id=store.id, file=notes)
facts["uploaded"] = apples.status
batch = stores.file_batches.upload_and_poll(
    store.id, files=[("pears.txt", b"Pears keep for weeks."), ("plums.txt", b"Plums are dried.")]
)
facts["batch"] = [batch.status, batch.file_counts.completed]
pdf = client.files.create(file=("a.pdf", b"%PDF-1.7"), purpose="assistants")
failed = stores.files.create_and_poll(pdf.id, vector_store_id=store.id)
facts["failed"] = [failed.status, failed.last_error.code, failed.last_error.message]
again = stores.file_batches.create_and_poll(store.id, file_ids=[apples.id], poll_interval_ms=20)
facts["batch files"] = [
    file.id == apples.id for file in stores.file_batches.list_files(again.id, vector_store_id=store.id)
]

# What is in them.
labelled = stores.files.update(apples.id, vector_store_id=store.id, attributes={"color": "red", "weight": 150})
facts["attributes"] = labelled.attributes
facts["content"] = [part.text for part in stores.files.content(apples.id, vector_store_id=store.id)]
found = stores.search(store.id, query="How long do apples keep?")
facts["found"] = [[hit.filename, hit.attributes, hit.content[0].text] for hit in found]
red = {"type": "eq", "key": "color", "value": "red"}
facts["red"] = [hit.filename for hit in stores.search(store.id, query="What keeps?", filters=red)]
counts = stores.retrieve(store.id).file_counts
facts["counts"] = [counts.completed, counts.failed, counts.total]

# An assistant that is to search in it.
resources = {"file_search": {"vector_store_ids": [store.id]}}
assistant = client.beta.assistants.create(model="m", tools=[{"type": "file_search"}], tool_resources=resources)
facts["assistant"] = assistant.tool_resources.file_search.vector_store_ids == [store.id]

# Out again.
for file in stores.files.list(store.id, limit=1):
    stores.files.delete(file.id, vector_store_id=store.id)
facts["left"] = stores.retrieve(store.id).file_counts.total
facts["kept"] = client.files.retrieve(apples.id).filename
facts["deleted"] = stores.delete(store.id).object
try:
    stores.retrieve(store.id)
except NotFoundError as error:
    facts["gone"] = f"No vector store found with id '{store.id}'." in str(error)

print(json.dumps(facts))
