"""Statistics from smaller samples: PostgreSQL spent more on them than on clearing up what is gone."""

from __future__ import annotations

from alembic import op

from shared.runtime.migrations import small_samples

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Set the size, for every table there is."""
    small_samples(op)


def downgrade() -> None:
    """Refuse."""
    message = "a migration only adds: go back by restoring a backup"
    raise NotImplementedError(message)
