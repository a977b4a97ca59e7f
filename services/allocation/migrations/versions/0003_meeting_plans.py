"""Plans of a hub's meeting: which teams were proposed for which cases, and which were accepted."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Ids of cases and workers, sentences about workers; nothing about a person referred.
    op.execute("""
    CREATE TABLE meeting_plan (
      plan text PRIMARY KEY, agency text NOT NULL, worker text, made_at timestamptz NOT NULL, body jsonb NOT NULL,
      accepted_at timestamptz
    )
    """)


def downgrade() -> None:
    raise NotImplementedError("a migration only adds: go back by restoring a backup")
