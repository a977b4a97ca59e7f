"""What was overtaken or taken back before it was matched keeps nobody's details: see store/arrivals.py."""

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
           AND (EXISTS (
             SELECT FROM party AS q WHERE q.referral = p.referral AND q.version > p.version AND q.person IS NOT NULL)
             OR EXISTS (SELECT FROM referral AS r WHERE r.id = p.referral AND r.status = 'retracted'))"""
    )
    op.execute(
        """UPDATE referral_version AS v SET key = NULL, sealed = ''::bytea, notes_key = NULL, notes = NULL
           FROM referral AS r WHERE r.id = v.referral AND r.status = 'retracted'
             AND NOT EXISTS (SELECT FROM party AS p WHERE p.referral = r.id)"""
    )


def downgrade() -> None:
    """Refuse."""
    message = "a migration only adds: go back by restoring a backup"
    raise NotImplementedError(message)
