"""What is not finished yet is looked for every second: indexes that hold those alone, however many there ever were."""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the indexes."""
    op.execute("CREATE INDEX withdrawal_recorded ON withdrawal (id) WHERE state = 'recorded'")
    op.execute(
        "CREATE INDEX self_referral_open ON self_referral (id) WHERE state IN ('to_write', 'confirmed')"
    )
    op.execute(
        """CREATE INDEX self_referral_expires ON self_referral (expires_at)
           WHERE state IN ('to_write', 'waits', 'written')"""
    )


def downgrade() -> None:
    """Refuse."""
    message = "a migration only adds: go back by restoring a backup"
    raise NotImplementedError(message)
