"""How each candidate of a doubt compares, not the first alone: a few hundred bytes each; hardly any doubt has several."""

from __future__ import annotations

from alembic import op

from shared.runtime.migrations import small_samples

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables of evidence of the others, by person. A review from before has none."""
    op.execute("ALTER TABLE match_review ADD COLUMN others json NOT NULL DEFAULT '{}'")
    small_samples(op)


def downgrade() -> None:
    """Refuse."""
    message = "a migration only adds: go back by restoring a backup"
    raise NotImplementedError(message)
