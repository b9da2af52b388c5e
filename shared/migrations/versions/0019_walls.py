"""Row-level security between projects, and the two views by which a project looks rows up in an index."""

from alembic import op

from shared.migrations.walls import OURS, PROJECT, pull_down, wall_off
from shared.walls import TENANT

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

TABLES = (
    "assistants",
    "threads",
    "thread_activity",
    "messages",
    "runs",
    "run_steps",
    "files",
    "uploads",
    "upload_parts",
    "idempotency_keys",
    "vector_stores",
    "vector_store_batches",
    "vector_store_files",
    "vector_store_files_removed",
    "chunks",
    "passages",
    "code_interpreter_sessions",
    "sandbox_places",
    "usage_facts",
    "usage_of_assistants",
    "usage_minutes",
    "usage_bytes",
    "budgets",
    "rate_limits",
    "service_accounts",
    "api_keys",
    "data_keys",
    "audit_entries",
)

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
    for table in TABLES:
        wall_off(table)
    wall_off("projects", rows=f"id = {PROJECT}")
    of_thread = "EXISTS (SELECT FROM threads WHERE threads.id = thread_id)"  # of those that the tenant sees
    wall_off("code_interpreter_hours", rows=of_thread)
    for view, (table, columns) in VIEWS.items():
        op.execute(f"CREATE VIEW {view} AS SELECT {columns} FROM {table} WHERE {OURS}")


def downgrade() -> None:
    for view in VIEWS:
        op.execute(f"DROP VIEW {view}")
    op.execute(f"REVOKE ALL ON embedding_spaces FROM {TENANT}")
    for table in (*TABLES, "projects", "code_interpreter_hours"):
        pull_down(table)
