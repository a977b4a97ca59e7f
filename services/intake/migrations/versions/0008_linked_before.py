"""Whoever was linked before 0007: in a transaction of its own, so that nobody who saves waits while the store is read."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Fill the table. Who is linked meanwhile is noted by the trigger."""
    op.execute(
        """INSERT INTO ever_linked SELECT key FROM stream WHERE kind = 'person' AND state -> 'links' <> '[]'
           ON CONFLICT DO NOTHING"""
    )


def downgrade() -> None:
    """Refuse."""
    message = "a migration only adds: go back by restoring a backup"
    raise NotImplementedError(message)
