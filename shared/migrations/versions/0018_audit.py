"""The audit log: entries, and their chain. Both can be read and appended to, and nothing else: by these triggers, and
by the privileges that `env.py` takes away.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

# It runs when a transaction commits, after everything else that it does. What is executed after the lock was got sees
# what was committed under it before. It has its owner's privileges: who adds entries needs none on links.
LINK = """
CREATE FUNCTION audit_link() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = "{schema}", pg_temp AS $$
DECLARE
  last audit_links;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('audit_links', 0));
  SELECT * INTO last FROM audit_links ORDER BY number DESC LIMIT 1;
  last.number := coalesce(last.number, 0) + 1;
  INSERT INTO audit_links (number, entry_id, hash)
  VALUES (last.number, NEW.id, encode(sha256(convert_to(CAST(jsonb_build_array(
    coalesce(last.hash, ''), last.number, NEW.id, CAST(extract(epoch FROM NEW.created_at) * 1000000 AS bigint),
    NEW.type, NEW.project_id, NEW.resource_id, CAST(NEW.details AS text), CAST(NEW.changed AS text),
    NEW.actor_kind, NEW.actor_id, NEW.actor_account_id, NEW.ip_address, NEW.user_agent) AS text), 'UTF8')), 'hex'));
  RETURN NULL;
END $$"""

REFUSE = """
CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'the audit log can only be appended to: % of % is refused', TG_OP, TG_TABLE_NAME
  USING ERRCODE = 'insufficient_privilege';
END $$"""


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "audit_entries",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        _text("type"),
        _text("project_id", nullable=True),
        _text("resource_id"),
        sa.Column("details", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("changed", postgresql.JSONB(none_as_null=True), nullable=True),
        _text("actor_kind"),
        _text("actor_id"),
        _text("actor_account_id", nullable=True),
        _text("ip_address", nullable=True),
        _text("user_agent", nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("audit_entries_listed", "audit_entries", ["created_at", "id"], unique=False)
    op.create_index("audit_entries_of_project", "audit_entries", ["project_id", "created_at", "id"], unique=False)
    op.create_index("audit_entries_of_resource", "audit_entries", ["resource_id"], unique=False)
    op.create_index("audit_entries_by_type", "audit_entries", ["type", "created_at", "id"], unique=False)
    op.create_table(
        "audit_links",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("entry_id", sa.Text(collation="C"), nullable=False),
        _text("hash"),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("entry_id"),
    )
    schema = op.get_bind().scalar(sa.text("SELECT current_schema()"))
    op.execute(LINK.format(schema=schema))
    op.execute(REFUSE)
    op.execute("""
CREATE CONSTRAINT TRIGGER audit_linked AFTER INSERT ON audit_entries DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION audit_link()""")
    for table in ("audit_entries", "audit_links"):
        op.execute(f"""
CREATE TRIGGER {table}_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()""")
        op.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_kept")


def downgrade() -> None:
    op.drop_table("audit_links")
    op.drop_table("audit_entries")
    op.execute("DROP FUNCTION audit_link, audit_refuse")
