"""Decisions about who is who: every one is kept, undone ones too, with a second person's opinion of a sample."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # `asked_at`: nobody could tell, and the agency was asked. `second`: somebody else is to look as well, without knowing.
    # `barred`: who has decided it before and does not decide it again, because two reviewers differed.
    op.execute(
        """ALTER TABLE match_review ADD COLUMN asked_at timestamptz, ADD COLUMN second boolean NOT NULL DEFAULT false,
           ADD COLUMN barred text[] NOT NULL DEFAULT '{}'"""
    )
    op.execute("CREATE INDEX match_review_second ON match_review (id) WHERE second")
    op.execute("CREATE INDEX match_review_hold ON match_review (hold)")
    # Append-only. `act`: decision, second, undo.
    op.execute(
        """CREATE TABLE review_opinion (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, review uuid NOT NULL, act text NOT NULL,
            answer text NOT NULL, chosen text, reason text NOT NULL, agency text NOT NULL, worker text,
            model text NOT NULL, at timestamptz NOT NULL)"""
    )
    op.execute("CREATE INDEX review_opinion_review ON review_opinion (review, id)")


def downgrade() -> None:
    message = "a migration only adds: go back by restoring a backup"
    raise NotImplementedError(message)
