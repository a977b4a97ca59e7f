"""Permits, the index of leads, what must be known of agencies, corrections that wait for a second person, the door."""

from __future__ import annotations

from alembic import op

from shared.runtime.migrations import runtime_tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = (
    # A permit as it is found by its id. `person` is who is spoken to: the key of its events.
    """
    CREATE TABLE permit (
      id text PRIMARY KEY, person text NOT NULL, party text NOT NULL, case_id text NOT NULL, agency text NOT NULL,
      worker text, purpose text NOT NULL, channel text NOT NULL, fence bigint NOT NULL,
      status text NOT NULL CHECK (status IN ('granted', 'redeemed', 'ended')), how text, outcome text,
      expires timestamptz NOT NULL, redeemed_at timestamptz, use_by timestamptz, outcome_due timestamptz,
      ended_at timestamptz, unresolved boolean NOT NULL DEFAULT false
    ) WITH (fillfactor = 70)
    """,
    # The second wall: whatever a rule may get wrong, the database holds one live permit for each person spoken to.
    "CREATE UNIQUE INDEX permit_one_live ON permit (person) WHERE status IN ('granted', 'redeemed')",
    "CREATE INDEX permit_unresolved ON permit (outcome_due, id) WHERE unresolved",
    # Who leads whom, to be found by agency: succession moves all of them.
    "CREATE TABLE lead (person text PRIMARY KEY, agency text NOT NULL) WITH (fillfactor = 70)",
    "CREATE INDEX lead_agency ON lead (agency, person)",
    "CREATE TABLE agency (agency text PRIMARY KEY, successor text, since timestamptz)",
    "CREATE TABLE worker (worker text PRIMARY KEY, agency text NOT NULL, deputy text)",
    """
    CREATE TABLE correction (
      id text PRIMARY KEY, person text NOT NULL, cases text[] NOT NULL, evidence text NOT NULL,
      proposed_agency text NOT NULL, proposed_worker text NOT NULL, proposed_at timestamptz NOT NULL,
      confirmed_agency text, confirmed_worker text, confirmed_at timestamptz
    )
    """,
    # One row: when the broker was last heard, and whether this database came back from a copy and is not reconciled yet.
    """
    CREATE TABLE door (
      single boolean PRIMARY KEY DEFAULT true CHECK (single), heard_at timestamptz, restored boolean NOT NULL DEFAULT false,
      releases_after text
    )
    """,
    "INSERT INTO door DEFAULT VALUES",
)


def upgrade() -> None:
    runtime_tables(op)
    for statement in TABLES:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a migration only adds: go back by restoring a backup")
