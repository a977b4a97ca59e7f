"""How people reach an agency: what a message to them says."""

from __future__ import annotations

from alembic import op

from shared.runtime.migrations import small_samples

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE agency ADD COLUMN desk json")
    small_samples(op)


def downgrade() -> None:
    message = "a migration only adds: go back by restoring a backup"
    raise NotImplementedError(message)
