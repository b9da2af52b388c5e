"""What migrations say of the wall between projects (`shared/walls.py`): who may see which rows of a table.

A table is walled off in the migration that makes it, or is named in `OF_THE_SYSTEM` (tests/tenancy) with a reason.
Tenants are restricted; everybody else is as free as their privileges let them be. That is how the system sees all rows,
be it as the tables' owner or as another role that serves, and how code of the release before, which knows no wall, goes
on working. FORCE ROW LEVEL SECURITY, which would have owners obey policies too, would change nothing.
"""

from alembic import op

from shared.walls import SETTING, TENANT

# Once for a statement, and not for each row that is looked at. What nobody has set is null, or empty after a
# transaction in which it was; neither is a project.
PROJECT = f"(SELECT nullif(current_setting('{SETTING}', true), ''))"

OURS = f"project_id = {PROJECT}"

# Roles belong to the server, which may have several databases of ours: whichever is migrated first makes it. Postgres
# lets a role's members take its place. INHERIT FALSE: who inherited its privileges would be restricted as it is. It is
# sent at each migration, because a database may have been restored on another server, or be migrated by another role.
MAKE_ROLE = f"""
DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{TENANT}') THEN
    BEGIN
      CREATE ROLE {TENANT} NOLOGIN NOINHERIT;
    EXCEPTION
      WHEN duplicate_object OR unique_violation THEN NULL;  -- another database's migration was quicker
      WHEN insufficient_privilege THEN
        RAISE insufficient_privilege USING MESSAGE = format(
          'The role {TENANT} is missing, and %I may not create it. Have an administrator of the server execute: '
          'CREATE ROLE {TENANT} NOLOGIN NOINHERIT; GRANT {TENANT} TO %I WITH INHERIT FALSE, SET TRUE', current_user,
          current_user);
    END;
  END IF;
  IF NOT pg_has_role(current_user, '{TENANT}', 'SET') THEN
    BEGIN
      EXECUTE format('GRANT {TENANT} TO %I WITH INHERIT FALSE, SET TRUE', current_user);
    EXCEPTION
      WHEN unique_violation THEN NULL;
      WHEN insufficient_privilege THEN
        RAISE insufficient_privilege USING MESSAGE = format(
          '%I is no member of the role {TENANT}. Have an administrator of the server execute: '
          'GRANT {TENANT} TO %I WITH INHERIT FALSE, SET TRUE', current_user, current_user);
    END;
  END IF;
  IF NOT has_schema_privilege('{TENANT}', current_schema(), 'USAGE') THEN
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO {TENANT}', current_schema());
  END IF;
END $$"""


_ALL = "SELECT, INSERT, UPDATE, DELETE"

MAY = {
    "assistants": _ALL,
    "threads": _ALL,
    "threads_of_tenant": "SELECT",
    "thread_activity": _ALL,
    "messages": _ALL,
    "runs": _ALL,
    "run_steps": "SELECT, INSERT, UPDATE",
    "files": "SELECT, INSERT, DELETE",
    "uploads": "SELECT, INSERT, UPDATE",
    "upload_parts": "SELECT, INSERT, DELETE",
    "idempotency_keys": "SELECT, INSERT, UPDATE",
    "vector_stores": _ALL,
    "vector_store_batches": "SELECT, INSERT, UPDATE",
    "vector_store_files": _ALL,
    "vector_store_files_removed": "SELECT, INSERT, UPDATE",
    "chunks": "SELECT, INSERT, DELETE",
    "chunks_of_tenant": "SELECT",
    "passages": "SELECT, INSERT, DELETE",
    "embedding_spaces": "SELECT, INSERT",
    "code_interpreter_sessions": "SELECT, INSERT, UPDATE",
    "code_interpreter_hours": "SELECT, INSERT, UPDATE",
    "sandbox_places": _ALL,
    "removals": "SELECT, INSERT",
    "projects": "SELECT (id, max_sandbox_sessions, events_kept_s, sessions_kept_s)",
    "usage_facts": "SELECT, INSERT",
    "usage_of_assistants": "SELECT",
    "audit_entries": "INSERT",
}
"""What requests and runs do; nothing else is granted. Rows that go with others (ON DELETE CASCADE) are deleted by
Postgres on behalf of the tables' owner.
"""

# After each migration, since a dump may have come without privileges; where there is no wall yet, there are none.
GRANT = f"""
DO $$ BEGIN
  IF to_regclass('threads_of_tenant') IS NOT NULL THEN
    {" ".join(f"GRANT {may} ON {table} TO {TENANT};" for table, may in MAY.items())}
  END IF;
END $$"""


def wall_off(table: str, rows: str = OURS) -> None:
    """Let tenants see and write those `rows` of a table alone, by a condition that holds for a project's own."""
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY everybody ON {table} USING (true) WITH CHECK (true)")
    op.execute(f"CREATE POLICY tenant ON {table} AS RESTRICTIVE TO {TENANT} USING ({rows}) WITH CHECK ({rows})")


def pull_down(table: str) -> None:
    """Undo `wall_off`."""
    op.execute(f"REVOKE ALL ON {table} FROM {TENANT}")
    for policy in ("tenant", "everybody"):
        op.execute(f"DROP POLICY {policy} ON {table}")
    op.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")
