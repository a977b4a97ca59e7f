"""Whoever was ever linked with somebody, so that the matcher reads the streams of those alone: hardly anybody is."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table, and have the database keep it."""
    op.execute("CREATE TABLE ever_linked (person text PRIMARY KEY)")
    # A trigger, because an older release that runs beside this one links people too. An index on `stream` that holds the
    # linked alone would do without one, but then every change of any state would be a new row in each of its indexes.
    # Nobody is ever taken out: whom somebody is linked with is still asked of the stream.
    op.execute(
        """CREATE FUNCTION note_linked() RETURNS trigger LANGUAGE plpgsql AS
           $$ BEGIN INSERT INTO ever_linked VALUES (NEW.key) ON CONFLICT DO NOTHING; RETURN NULL; END $$"""
    )
    op.execute(
        """CREATE TRIGGER note_linked AFTER INSERT OR UPDATE ON stream FOR EACH ROW
           WHEN (NEW.kind = 'person' AND NEW.state -> 'links' <> '[]') EXECUTE FUNCTION note_linked()"""
    )


def downgrade() -> None:
    """Refuse."""
    message = "a migration only adds: go back by restoring a backup"
    raise NotImplementedError(message)
