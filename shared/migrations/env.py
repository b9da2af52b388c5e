"""Alembic's entry point: one connection, one transaction, one migration at a time."""

from alembic import context
from sqlalchemy import create_engine, pool, text
from sqlalchemy.dialects.postgresql.base import ischema_names

from shared.columns import HalfVector
from shared.migrations import TABLES
from shared.migrations.walls import GRANT, MAKE_ROLE

_LOCK = 4_815_162_342  # any number that nobody else uses: two `migrate` at once take turns

# Owners have all privileges, but for those that they take from themselves. Each time, since a dump may come without.
_APPEND_ONLY = text("""
DO $$ BEGIN
  IF to_regclass('audit_links') IS NOT NULL THEN
    REVOKE UPDATE, DELETE, TRUNCATE ON audit_entries, audit_links FROM CURRENT_USER, PUBLIC;
  END IF;
END $$""")

# Otherwise a comparison with the tables would not know the type. SQLAlchemy lets dialects' types be added here.
ischema_names["halfvec"] = HalfVector  # pyright: ignore[reportArgumentType] # typed as closed

engine = create_engine(context.config.attributes["url"], poolclass=pool.NullPool)
with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=TABLES[0].metadata, transaction_per_migration=False)
    with context.begin_transaction():
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        connection.execute(text(MAKE_ROLE))
        context.run_migrations()
        connection.execute(_APPEND_ONLY)
        if context.get_context().get_current_revision() == context.get_head_revision():
            connection.execute(text(GRANT))  # of tables and columns as they are now
engine.dispose()
