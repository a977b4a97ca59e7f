"""Which mailbox a self-referral's message goes to, as a keyed hash: nobody has a flood of them sent to somebody else."""

from __future__ import annotations

from alembic import op

from shared.runtime.migrations import small_samples

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the hash. Self-referrals from before have none, and are counted nowhere."""
    op.execute("ALTER TABLE self_referral ADD COLUMN mailbox bytea")
    op.execute("CREATE INDEX self_referral_written ON self_referral (mailbox) WHERE state = 'written'")
    small_samples(op)


def downgrade() -> None:
    """Refuse."""
    message = "a migration only adds: go back by restoring a backup"
    raise NotImplementedError(message)
