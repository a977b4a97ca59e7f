"""The runtime's tables, and one for effects."""

from alembic import op

from shared.runtime.migrations import runtime_tables

revision = "0001"
down_revision = None


def upgrade() -> None:
    runtime_tables(op)
    op.execute("CREATE TABLE effect (key text, sequence bigint, name text, PRIMARY KEY (key, sequence))")
