"""Who leads for a person: indexes that only their own question fits, so that no other one is read through for it."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE INDEX part_of_person ON part (person) WHERE person IS NOT NULL")
    op.execute("CREATE INDEX part_of_party ON part (about) WHERE role = 'lead' AND about <> ''")
    op.execute("DROP INDEX part_person")
    op.execute("DROP INDEX part_party")


def downgrade() -> None:
    message = "a migration only adds: go back by restoring a backup"
    raise NotImplementedError(message)
