"""What a feed's numbers stand for, so that a reader is never given one in place of another."""

from __future__ import annotations

from alembic import op

from shared.runtime.migrations import small_samples

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Entries from before, and those of the version before while it runs beside this one, have none: a reader is given their
    # number alone, as it was.
    op.execute("ALTER TABLE feed ADD COLUMN witness bigint")
    op.execute("ALTER TABLE feed_counter ADD COLUMN witness bigint NOT NULL DEFAULT 0")
    small_samples(op)


def downgrade() -> None:
    message = "a migration only adds: go back by restoring a backup"
    raise NotImplementedError(message)
