"""Releases in doubt are looked for every two seconds: an index that holds those alone."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE INDEX release_in_doubt ON release (asked_at) WHERE state = 'asked'")


def downgrade() -> None:
    message = "a migration only adds: go back by restoring a backup"
    raise NotImplementedError(message)
