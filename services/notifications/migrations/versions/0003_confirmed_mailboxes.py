"""A mailbox is told nothing before it has agreed. Subscriptions that are there already count as confirmed."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # `asked`: how many confirmations have been asked for; `asked_at`: when the last one was.
    op.execute(
        """ALTER TABLE subscription ADD COLUMN confirmed boolean NOT NULL DEFAULT true,
        ADD COLUMN asked int NOT NULL DEFAULT 0, ADD COLUMN asked_at timestamptz"""
    )
    # The version before, running beside this one, sends whatever is active and knows nothing of confirming: what is not
    # confirmed is therefore never active, and cannot be made so by it either.
    op.execute("ALTER TABLE subscription ADD CONSTRAINT active_if_confirmed CHECK (confirmed OR NOT active)")
    # Counts what was asked for in a day, also by subscriptions that are gone. Keyed hashes: no address.
    op.execute(
        """CREATE TABLE confirmation_asked (
          mailbox bytea NOT NULL,
          agency text NOT NULL,
          at timestamptz NOT NULL
        )"""
    )
    op.execute("CREATE INDEX confirmation_asked_mailbox ON confirmation_asked (mailbox, at)")
    op.execute("CREATE INDEX confirmation_asked_agency ON confirmation_asked (agency, at)")
    op.execute("CREATE INDEX confirmation_asked_at ON confirmation_asked (at)")


def downgrade() -> None:
    message = "a migration only adds: go back by restoring a backup"
    raise NotImplementedError(message)
