"""Who co-ordinates each case: only they may export or erase the people in it. Cases from before: whoever is a hub."""

from __future__ import annotations

from alembic import op

from shared.runtime.migrations import small_samples

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the agencies."""
    op.execute("ALTER TABLE case_status ADD COLUMN hubs text[]")
    small_samples(op)


def downgrade() -> None:
    """Refuse."""
    message = "a migration only adds: go back by restoring a backup"
    raise NotImplementedError(message)
