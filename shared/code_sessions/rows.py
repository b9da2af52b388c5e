"""Sessions of the code interpreter."""

from sqlalchemy import Column, Float, Index, Text
from sqlmodel import Field, SQLModel

from shared import columns
from shared.columns import Instant, Json


class CodeSession(SQLModel, table=True):
    """One generation of a thread's session, as the sandbox named it. `files` are those in its working directory that
    there are file objects of: by name, `file_id` and the content's `version` in the sandbox. `ended_at` and `seconds`
    are known once the sandbox has told of them, with the thread's next session. The row goes after its thread; that a
    session was used stays counted.
    """

    __tablename__ = "code_interpreter_sessions"  # pyright: ignore[reportAssignmentType] # as SQLModel documents it
    id: str = columns.primary_key()
    project_id: str = columns.project()
    thread_id: str = columns.required_text()
    files: Json = columns.json(default="{}")
    started_at: Instant = columns.required_instant()
    used_at: Instant = columns.created_at()
    ended_at: Instant | None = columns.instant()
    seconds: float | None = Field(default=None, sa_column=Column(Float))

    __table_args__ = (Index("code_interpreter_sessions_of_thread", "thread_id", "started_at"),)


class SandboxPlace(SQLModel, table=True):
    """A thread of a project that may have only so many sessions at once, and until when it counts as having one."""

    __tablename__ = "sandbox_places"  # pyright: ignore[reportAssignmentType] # as SQLModel documents it
    thread_id: str = Field(sa_column=Column(Text, primary_key=True))
    project_id: str = columns.project()
    until: Instant = columns.required_instant()

    __table_args__ = (Index("sandbox_places_of_project", "project_id"),)
