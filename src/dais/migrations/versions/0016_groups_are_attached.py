"""groups remember what their engine was told, and nodes what others use"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("resource_groups") as table:
        table.add_column(sa.Column("options", sa.Text(), nullable=False, server_default="{}"))
        table.add_column(sa.Column("problem", sa.Text(), nullable=True))
    with op.batch_alter_table("resource_groups") as table:
        table.alter_column("options", server_default=None)
    names = ("others_cpu_millis", "others_mem", "others_gpu")
    with op.batch_alter_table("nodes") as table:
        for name in names:
            kind = sa.Integer() if name == "others_gpu" else sa.BigInteger()
            table.add_column(sa.Column(name, kind, nullable=False, server_default="0"))
    with op.batch_alter_table("nodes") as table:
        for name in names:
            table.alter_column(name, server_default=None)
