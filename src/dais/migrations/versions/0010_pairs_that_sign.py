"""pairs of an access key and a sealed secret, which sign requests"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("tokens", sa.Column("access_key", sa.String(length=20), nullable=True))
    op.add_column("tokens", sa.Column("sealed", sa.Text(), nullable=True))
    op.create_index("ix_tokens_access_key", "tokens", ["access_key"], unique=True)
