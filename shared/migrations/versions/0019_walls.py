"""Row-level security between projects, and the two views by which a project looks rows up in an index."""

from alembic import op

from shared.migrations.walls import OURS, PROJECT, pull_down, wall_off
from shared.walls import TENANT

revision = "0019"
down_revision = "0017"
branch_labels = None
depends_on = None

ALL = "SELECT, INSERT, UPDATE, DELETE"

# What requests and runs do; nothing else is granted. Rows that go with others (ON DELETE CASCADE) are deleted by
# Postgres on behalf of the tables' owner.
MAY: dict[str, str | None] = {
    "assistants": ALL,
    "threads": ALL,
    "thread_activity": ALL,
    "messages": ALL,
    "runs": ALL,
    "run_steps": "SELECT, INSERT, UPDATE",
    "files": "SELECT, INSERT, DELETE",
    "uploads": "SELECT, INSERT, UPDATE",
    "upload_parts": "SELECT, INSERT, DELETE",
    "idempotency_keys": "SELECT, INSERT, UPDATE",
    "vector_stores": ALL,
    "vector_store_batches": "SELECT, INSERT, UPDATE",
    "vector_store_files": ALL,
    "vector_store_files_removed": "SELECT, INSERT, UPDATE",
    "chunks": "SELECT, INSERT, DELETE",
    "passages": "SELECT, INSERT, DELETE",
    "code_interpreter_sessions": "SELECT, INSERT, UPDATE",
    "sandbox_places": ALL,
    "usage_facts": "SELECT, INSERT",
    "usage_of_assistants": "SELECT",
    # The administration's and the sweeps' alone.
    "usage_minutes": None,
    "usage_bytes": None,
    "budgets": None,
    "rate_limits": None,
    "service_accounts": None,
    "api_keys": None,
    "data_keys": None,
}

# Postgres evaluates a policy before whatever else is asked of a row, unless it knows that the asking can't tell of rows
# that are not to be seen. It knows that of comparisons, and not of `@@`, `@>` and `?|`: these can't be looked up in
# an index by whoever is subject to a policy. A view without `security_barrier` makes its condition one among others;
# it is looked through with the rights of its owner, to whom the policy doesn't apply. Whoever asks by a function of
# their own could be told of others' rows; our statements ask by these operators.
VIEWS = {
    "threads_of_tenant": ("threads", "id, project_id, created_at, tool_resources, metadata"),
    "chunks_of_tenant": ("chunks", 'ingestion, "position", search'),
}


def upgrade() -> None:
    for table, may in MAY.items():
        wall_off(table, may)
    wall_off("projects", "SELECT (id, max_sandbox_sessions)", rows=f"id = {PROJECT}")
    of_thread = "EXISTS (SELECT FROM threads WHERE threads.id = thread_id)"  # of those that the tenant sees
    wall_off("code_interpreter_hours", "SELECT, INSERT, UPDATE", rows=of_thread)
    op.execute(f"GRANT SELECT, INSERT ON embedding_spaces TO {TENANT}")  # of models, not of projects
    for view, (table, columns) in VIEWS.items():
        op.execute(f"CREATE VIEW {view} AS SELECT {columns} FROM {table} WHERE {OURS}")
        op.execute(f"GRANT SELECT ON {view} TO {TENANT}")


def downgrade() -> None:
    for view in VIEWS:
        op.execute(f"DROP VIEW {view}")
    op.execute(f"REVOKE ALL ON embedding_spaces FROM {TENANT}")
    for table in (*MAY, "projects", "code_interpreter_hours"):
        pull_down(table)
