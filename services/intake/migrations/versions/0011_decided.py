"""What the matcher decided, beside each human of each referral; and what waits for a second person."""

from __future__ import annotations

from alembic import op

from shared.runtime.migrations import small_samples

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make both. Rows from before, and of a version that knows nothing of it, have no such decision."""
    op.execute("ALTER TABLE party ADD COLUMN decided json")
    op.execute(
        """CREATE TABLE second_person (
            person text NOT NULL, what text NOT NULL, detail text NOT NULL, reason text NOT NULL, agency text NOT NULL,
            worker text NOT NULL, at timestamptz NOT NULL, second_agency text, second_worker text, done_at timestamptz,
            PRIMARY KEY (person, what, detail))"""
    )
    small_samples(op)


def downgrade() -> None:
    """Refuse."""
    message = "a migration only adds: go back by restoring a backup"
    raise NotImplementedError(message)
