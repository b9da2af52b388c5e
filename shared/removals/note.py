"""Noting what is to be removed later, in the statement that makes it so."""

from typing import Literal

What = Literal["assistant", "file", "ingestion", "run", "session"]
"""What is left over of: an assistant, a file, a file's reading into a vector store, a run, a thread's session."""


def leave(what: What, source: str) -> str:
    """The SQL that notes the rows of `source`, by their id and project, as something to be removed."""
    return f"""
  INSERT INTO removals (kind, id, project_id) SELECT '{what}', id, project_id FROM {source}
  ON CONFLICT (kind, id) DO NOTHING"""
