"""Policies that people propose and publish, beside those that ship with the program."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TABLES = (
    # Never deleted: who proposed and who published a policy is asked for years later. `base` is the version in force that
    # the draft was written against, `reference` what cases that begin under it keep.
    """
    CREATE TABLE policy_draft (
      draft text PRIMARY KEY, policy text NOT NULL, file text NOT NULL, text text NOT NULL, base text NOT NULL,
      reference text NOT NULL, proposed_agency text NOT NULL, proposed_worker text NOT NULL,
      proposed_at timestamptz NOT NULL, published_agency text, published_worker text, published_at timestamptz
    )
    """,
    "CREATE INDEX policy_draft_policy ON policy_draft (policy, proposed_at)",
    "CREATE INDEX policy_draft_published ON policy_draft (file, published_at) WHERE published_at IS NOT NULL",
)


def upgrade() -> None:
    for statement in TABLES:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a migration only adds: go back by restoring a backup")
