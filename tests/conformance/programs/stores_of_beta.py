"""Keep files in a vector store and empty it, as clients did that had stores under `beta`."""

# pyright: basic, reportOptionalMemberAccess=false, reportAttributeAccessIssue=false, reportArgumentType=false, reportCallIssue=false
# written as users write, who check no types

import json

from openai import NotFoundError, OpenAI

client = OpenAI()
stores = client.beta.vector_stores
facts = {}

store = stores.create(name="Fruit", expires_after={"anchor": "last_active_at", "days": 7}, metadata={"shelf": "top"})
facts["created"] = {"name": store.name, "days": store.expires_after.days, "metadata": store.metadata}
facts["updated"] = stores.update(store.id, name="Fruits").name
facts["listed"] = [one.id == store.id for one in stores.list(limit=1)]

notes = ("apples.md", b"# Apples\n\nApples keep for months.")
apples = stores.files.upload_and_poll(vector_store_id=store.id, file=notes)
facts["uploaded"] = apples.status
batch = stores.file_batches.upload_and_poll(
    store.id, files=[("pears.txt", b"Pears keep for weeks."), ("plums.txt", b"Plums are dried.")]
)
facts["batch"] = [batch.status, batch.file_counts.completed]
pdf = client.files.create(file=("a.pdf", b"%PDF-1.7"), purpose="assistants")
failed = stores.files.create(store.id, file_id=pdf.id)
failed = stores.files.poll(failed.id, vector_store_id=store.id)
facts["failed"] = [failed.status, failed.last_error.code]
counts = stores.retrieve(store.id).file_counts
facts["counts"] = [counts.completed, counts.failed, counts.total]

resources = {"file_search": {"vector_store_ids": [store.id]}}
assistant = client.beta.assistants.create(model="m", tools=[{"type": "file_search"}], tool_resources=resources)
facts["assistant"] = assistant.tool_resources.file_search.vector_store_ids == [store.id]

stores.files.delete(apples.id, vector_store_id=store.id)
facts["removed"] = stores.retrieve(store.id).file_counts.total
facts["deleted"] = stores.delete(store.id).object
try:
    stores.retrieve(store.id)
except NotFoundError as error:
    facts["gone"] = f"No vector store found with id '{store.id}'." in str(error)

print(json.dumps(facts))
