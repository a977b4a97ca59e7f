"""Who co-ordinates each case: only they may export or erase the people in it. Cases from before: whoever is a hub."""

from __future__ import annotations

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the agencies."""
    op.execute("ALTER TABLE case_status ADD COLUMN hubs text[]")


def downgrade() -> None:
    """Refuse."""
    message = "a migration only adds: go back by restoring a backup"
    raise NotImplementedError(message)
