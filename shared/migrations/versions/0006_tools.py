"""What runs need to know of tools that the server carries out itself."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("runs", sa.Column("include_contents", sa.Boolean(), server_default="false", nullable=False))


def downgrade() -> None:
    op.drop_column("runs", "include_contents")
