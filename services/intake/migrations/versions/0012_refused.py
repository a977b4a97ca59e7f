"""What waited for a second person may have been refused."""

from __future__ import annotations

from alembic import op

from shared.runtime.migrations import small_samples

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add whether it was."""
    op.execute("ALTER TABLE second_person ADD COLUMN refused boolean NOT NULL DEFAULT false")
    small_samples(op)


def downgrade() -> None:
    """Refuse."""
    message = "a migration only adds: go back by restoring a backup"
    raise NotImplementedError(message)
