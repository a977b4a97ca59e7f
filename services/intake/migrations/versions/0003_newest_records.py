"""The newest records of a person, in their order: without it in the index, the planner reads the whole table backwards."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE INDEX party_newest_record ON party (person, id) WHERE record IS NOT NULL")
    op.execute("DROP INDEX party_record")


def downgrade() -> None:
    message = "a migration only adds: go back by restoring a backup"
    raise NotImplementedError(message)
