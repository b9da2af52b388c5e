"""Which scope each route asks of a key. The first word of its path decides, and whether it changes anything."""

from collections.abc import Iterable

PREFIX = "/v1"
GROUPS = {
    "assistants": "assistants",
    "threads": "threads",
    "files": "files",
    "uploads": "files",
    "vector_stores": "vector_stores",
    "models": "model",
    "organization": "management",
}
READING = {"GET", "HEAD"}
READING_POSTS = {"/vector_stores/{vector_store_id}/search"}


def scope_of(path: str, methods: Iterable[str]) -> str:
    """The scope of a route, in OpenAI's words. Raises KeyError for a group that there is none for."""
    path = path.removeprefix(PREFIX)
    reads = READING.issuperset(methods) or path in READING_POSTS
    return f"api.{GROUPS[path.split('/')[1]]}.{'read' if reads else 'write'}"
