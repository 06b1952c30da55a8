"""members of an organization see its environments, which are asked for like everything else"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        sa.text(
            "UPDATE policies SET statements = statements || :line || organization_id || :rest WHERE role_id IN "
            "(SELECT id FROM roles WHERE parent_type = 'organization' AND name = 'user' AND predefined = 1)"
        ).bindparams(line="\nenvironment:get@", rest=":environment:*")
    )
