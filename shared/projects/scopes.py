"""What a key may be limited to: reading, or reading and changing, one group of resources; in OpenAI's words."""

from collections.abc import Iterable
from typing import Literal, get_args

Scope = Literal[
    "api.assistants.read",
    "api.assistants.write",
    "api.threads.read",
    "api.threads.write",
    "api.files.read",
    "api.files.write",
    "api.vector_stores.read",
    "api.vector_stores.write",
    "api.model.read",
]
"""Of a project's keys: `threads` has messages, runs and steps beneath it, `files` the uploads that become files."""

AdminScope = Literal["api.management.read", "api.management.write"]

OF_PROJECTS: frozenset[str] = frozenset(get_args(Scope))
OF_ADMINS: frozenset[str] = frozenset(get_args(AdminScope))


def opened(scopes: Iterable[str] | None, every: frozenset[str]) -> frozenset[str]:
    """What a key with these scopes opens, out of `every` one of its kind: whoever may write, may read.

    None means that it was never limited; an empty list opens nothing.
    """
    if scopes is None:
        return every
    given = frozenset(scopes)
    return every & (given | {scope.replace(".write", ".read") for scope in given})
