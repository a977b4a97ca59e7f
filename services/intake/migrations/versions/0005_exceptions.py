"""A withdrawal from everything, and the cases that the person has asked to take part in since."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.execute(
        """CREATE TABLE withdrawal_exception (
             withdrawal uuid NOT NULL REFERENCES withdrawal, person text NOT NULL, case_id text NOT NULL,
             PRIMARY KEY (withdrawal, person, case_id))"""
    )


def downgrade() -> None:
    """Refuse."""
    message = "a migration only adds: go back by restoring a backup"
    raise NotImplementedError(message)
