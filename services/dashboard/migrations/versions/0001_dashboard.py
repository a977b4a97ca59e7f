"""The runtime's tables: how far the topics have been read. The dashboard has none of its own yet."""

from __future__ import annotations

from alembic import op

from shared.runtime.migrations import runtime_tables

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make them."""
    runtime_tables(op)


def downgrade() -> None:
    """Refuse: drop the database instead, and the topics are read again."""
    raise NotImplementedError("the first revision is not undone; drop the database instead")
