"""Archived projects, service accounts, keys with names, scopes and ends, and keys to the administration."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

# Each key that there is gets a service account of its own, which bears its id.
OWNERS = """
WITH owners AS (
  INSERT INTO service_accounts (id, project_id, created_at, name)
  SELECT 'svc_acct_' || substr(id, length('key_') + 1), project_id, created_at, 'Secret Key' FROM api_keys)
UPDATE api_keys SET name = 'Secret Key', service_account_id = 'svc_acct_' || substr(id, length('key_') + 1)"""


def upgrade() -> None:
    op.add_column("projects", sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True))
    op.drop_constraint("projects_name_key", "projects", type_="unique")
    op.create_index(
        "projects_named", "projects", ["name"], unique=True, postgresql_where=sa.text("archived_at IS NULL")
    )
    op.create_index("projects_listed", "projects", ["created_at", "id"], unique=False)
    op.create_table(
        "service_accounts",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("service_accounts_listed", "service_accounts", ["project_id", "created_at", "id"], unique=False)
    op.create_table(
        "admin_keys",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("hint", sa.Text(), nullable=False),
        sa.Column("scopes", postgresql.JSONB(none_as_null=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("hash"),
    )
    op.create_index("admin_keys_listed", "admin_keys", ["created_at", "id"], unique=False)
    op.add_column("api_keys", sa.Column("service_account_id", sa.Text(), nullable=True))
    op.add_column("api_keys", sa.Column("name", sa.Text(), nullable=True))
    op.add_column("api_keys", sa.Column("scopes", postgresql.JSONB(none_as_null=True), nullable=True))
    op.add_column("api_keys", sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("api_keys", sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True))
    op.execute(OWNERS)
    op.alter_column("api_keys", "service_account_id", nullable=False)
    op.alter_column("api_keys", "name", nullable=False)
    op.create_foreign_key(
        "api_keys_service_account_id_fkey",
        "api_keys",
        "service_accounts",
        ["service_account_id"],
        ["id"],
        ondelete="CASCADE",
    )
    op.create_index("api_keys_listed", "api_keys", ["project_id", "created_at", "id"], unique=False)
    op.create_index("api_keys_of_account", "api_keys", ["service_account_id"], unique=False)
    op.drop_index("api_keys_of_project", table_name="api_keys")


def downgrade() -> None:
    """Fails where two projects have the same name, one of them archived."""
    op.create_index("api_keys_of_project", "api_keys", ["project_id"], unique=False)
    op.drop_index("api_keys_of_account", table_name="api_keys")
    op.drop_index("api_keys_listed", table_name="api_keys")
    for column in ("expires_at", "last_used_at", "scopes", "name", "service_account_id"):
        op.drop_column("api_keys", column)
    op.drop_index("admin_keys_listed", table_name="admin_keys")
    op.drop_table("admin_keys")
    op.drop_index("service_accounts_listed", table_name="service_accounts")
    op.drop_table("service_accounts")
    op.drop_index("projects_listed", table_name="projects")
    op.drop_index("projects_named", table_name="projects")
    op.create_unique_constraint("projects_name_key", "projects", ["name"])
    op.drop_column("projects", "archived_at")
