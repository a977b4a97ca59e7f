"""Versions that a later one overtook before they were matched keep nobody's details: see store/arrivals.py."""

from __future__ import annotations

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Delete what was kept of them so far."""
    op.execute(
        """DELETE FROM party AS p WHERE NOT EXISTS (
             SELECT FROM party AS q WHERE q.referral = p.referral AND q.version = p.version AND q.person IS NOT NULL)
           AND EXISTS (
             SELECT FROM party AS q WHERE q.referral = p.referral AND q.version > p.version AND q.person IS NOT NULL)"""
    )


def downgrade() -> None:
    """Refuse."""
    message = "a migration only adds: go back by restoring a backup"
    raise NotImplementedError(message)
