"""Cases as they are searched and measured, who may see them, checks, agencies, workers and their hours, the queue."""

from __future__ import annotations

from alembic import op

from shared.runtime.migrations import runtime_tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = (
    """
    CREATE TABLE case_row (
      case_id text PRIMARY KEY, status text NOT NULL, reason text, incident text NOT NULL, partnership text,
      policy_version text, rule text, area text, offence text, stage text, initiated_by text, hub text,
      co_ordinator text, funder text, due timestamptz, received_at timestamptz NOT NULL, allocated_at timestamptz,
      closed_at timestamptz, changed_at timestamptz NOT NULL
    ) WITH (fillfactor = 70)
    """,
    "CREATE INDEX case_row_received ON case_row (received_at, case_id)",
    # Who may see a case, and as what. An agency's list is read from here.
    """
    CREATE TABLE case_agency (
      agency text NOT NULL, case_id text NOT NULL, relation text NOT NULL, PRIMARY KEY (agency, case_id, relation)
    )
    """,
    "CREATE INDEX case_agency_case ON case_agency (case_id)",
    """
    CREATE TABLE case_party (
      case_id text NOT NULL, party text NOT NULL, person text NOT NULL, role text NOT NULL, place text NOT NULL,
      agency text, worker text, PRIMARY KEY (case_id, party)
    ) WITH (fillfactor = 70)
    """,
    "CREATE INDEX case_party_person ON case_party (person)",
    "CREATE INDEX case_party_party ON case_party (party)",
    """
    CREATE TABLE case_check (
      check_id text PRIMARY KEY, case_id text NOT NULL, kind text NOT NULL, of_agency text NOT NULL, about text[] NOT NULL,
      question text NOT NULL, due timestamptz, asked_at timestamptz NOT NULL, answered_at timestamptz,
      satisfied boolean, overdue boolean NOT NULL DEFAULT false
    )
    """,
    "CREATE INDEX case_check_case ON case_check (case_id)",
    "CREATE INDEX case_check_open ON case_check (of_agency, due) WHERE satisfied IS NULL",
    # Why, in full, each time that policy decided otherwise than before. Never changed: an old decision keeps its reasons.
    """
    CREATE TABLE case_decision (
      case_id text NOT NULL, at timestamptz NOT NULL, policy_version text NOT NULL, rule text NOT NULL,
      explanation text NOT NULL, PRIMARY KEY (case_id, at)
    )
    """,
    # Kilobytes each, and the same for many cases: nothing in them is about a person.
    "CREATE TABLE explanation (digest text PRIMARY KEY, why text NOT NULL)",
    # What measures count and the case's own row does not say: each fact once.
    """
    CREATE TABLE case_fact (
      case_id text NOT NULL, fact text NOT NULL, key text NOT NULL, at timestamptz NOT NULL, agency text, value text,
      PRIMARY KEY (case_id, fact, key)
    )
    """,
    """
    CREATE TABLE agency (
      agency text PRIMARY KEY, name text NOT NULL, kind text NOT NULL, areas text[] NOT NULL, sharing_agreement text,
      active boolean NOT NULL, successor text, since timestamptz
    )
    """,
    # `used` and `capacity` are hours of work. `used` is only ever changed by a statement that also tests it.
    """
    CREATE TABLE worker (
      worker text PRIMARY KEY, agency text NOT NULL, team text, active boolean NOT NULL, named boolean NOT NULL,
      capacity int NOT NULL, used int NOT NULL DEFAULT 0, details jsonb NOT NULL DEFAULT '{}', CHECK (used >= 0)
    ) WITH (fillfactor = 60)
    """,
    "CREATE INDEX worker_agency ON worker (agency) WHERE active",
    """
    CREATE TABLE queue (
      case_id text PRIMARY KEY, agency text NOT NULL, due timestamptz, since timestamptz NOT NULL
    )
    """,
    "CREATE INDEX queue_order ON queue (agency, due NULLS LAST, since, case_id)",
    # One row: names what processes keep in memory about agencies, workers and policies. A change gives it a new name.
    "CREATE TABLE registry (single boolean PRIMARY KEY DEFAULT true CHECK (single), version uuid NOT NULL)",
    "INSERT INTO registry (version) VALUES (gen_random_uuid())",
    # Policies by which cases were decided, for as long as a case lives under them.
    """
    CREATE TABLE policy_version (
      reference text PRIMARY KEY, partnership text NOT NULL, files jsonb NOT NULL,
      since timestamptz NOT NULL DEFAULT clock_timestamp()
    )
    """,
)


def upgrade() -> None:
    runtime_tables(op)
    for statement in TABLES:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a migration only adds: go back by restoring a backup")
