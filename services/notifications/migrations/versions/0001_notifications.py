"""The feed of each agency, who has a part in which case, subscriptions and their deliveries, messages to people."""

from __future__ import annotations

from alembic import op

from shared.runtime.migrations import runtime_tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Absent ids are '' and not NULL in `feed`, so that one plain unique index is the wall against the same entry twice.
TABLES = (
    """
    CREATE TABLE feed_counter (
      agency text PRIMARY KEY,
      last bigint NOT NULL
    ) WITH (fillfactor = 50)
    """,
    """
    CREATE TABLE feed (
      agency text NOT NULL,
      number bigint NOT NULL,
      at timestamptz NOT NULL,
      kind text NOT NULL,
      case_id text NOT NULL DEFAULT '',
      party text NOT NULL DEFAULT '',
      data json NOT NULL,
      event_id uuid NOT NULL,
      trace text,
      PRIMARY KEY (agency, number)
    )
    """,
    "CREATE UNIQUE INDEX feed_once ON feed (event_id, agency, kind, case_id, party)",
    """
    CREATE TABLE part (
      case_id text NOT NULL,
      role text NOT NULL CHECK (role IN ('lead', 'hub', 'referrer', 'asked')),
      agency text NOT NULL,
      about text NOT NULL DEFAULT '',
      person text,
      worker text,
      checks text[] NOT NULL DEFAULT '{}',
      sharing text,
      since timestamptz,
      ended timestamptz,
      PRIMARY KEY (case_id, role, agency, about)
    )
    """,
    "CREATE INDEX part_person ON part (person) WHERE role = 'lead'",
    "CREATE INDEX part_party ON part (about) WHERE role = 'lead'",
    """
    CREATE TABLE restriction (
      person text NOT NULL,
      event_id uuid NOT NULL,
      case_id text NOT NULL DEFAULT '',
      kind text NOT NULL,
      at timestamptz NOT NULL,
      data json NOT NULL,
      PRIMARY KEY (person, event_id, case_id)
    )
    """,
    """
    CREATE TABLE agency (
      agency text PRIMARY KEY,
      name text,
      sharing text,
      active boolean NOT NULL DEFAULT true,
      successor text,
      since timestamptz
    )
    """,
    """
    CREATE TABLE subscription (
      subscription_id text PRIMARY KEY,
      agency text NOT NULL,
      url text NOT NULL,
      kinds text[] NOT NULL DEFAULT '{}',
      secret bytea NOT NULL,
      active boolean NOT NULL DEFAULT true,
      reason text,
      taken bigint NOT NULL,
      version int NOT NULL DEFAULT 1,
      created_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX subscription_agency ON subscription (agency)",
    """
    CREATE TABLE delivery (
      subscription_id text NOT NULL REFERENCES subscription ON DELETE CASCADE,
      number bigint NOT NULL,
      lane text NOT NULL,
      case_id text NOT NULL DEFAULT '',
      kind text NOT NULL,
      state text NOT NULL CHECK (state IN ('pending', 'delivered', 'failed', 'withheld')),
      attempts int NOT NULL DEFAULT 0,
      due_at timestamptz NOT NULL,
      reason text,
      updated_at timestamptz NOT NULL,
      PRIMARY KEY (subscription_id, number)
    )
    """,
    "CREATE INDEX delivery_due ON delivery (due_at) WHERE state = 'pending'",
    "CREATE INDEX delivery_open ON delivery (lane, number) WHERE state IN ('pending', 'failed')",
    "CREATE INDEX delivery_state ON delivery (state, updated_at)",
    """
    CREATE TABLE message (
      message_id text PRIMARY KEY,
      permit text NOT NULL,
      fence bigint NOT NULL,
      agency text NOT NULL,
      worker text,
      template text NOT NULL,
      language text,
      step text NOT NULL CHECK (step IN ('accepted', 'releasing', 'sending', 'sent', 'unknown', 'not_made')),
      claim text,
      channel text,
      provider text,
      reason text,
      provider_status text,
      outcome text,
      outcome_step text NOT NULL DEFAULT 'none' CHECK (outcome_step IN ('none', 'owed', 'told', 'refused')),
      outcome_due timestamptz,
      outcome_tries int NOT NULL DEFAULT 0,
      created_at timestamptz NOT NULL,
      updated_at timestamptz NOT NULL
    )
    """,
    # At most one message per permit, whatever the code above it does. A message that was certainly not made leaves the
    # place free: if its permit had been redeemed, a second redemption is refused.
    "CREATE UNIQUE INDEX message_permit ON message (permit) WHERE step <> 'not_made'",
    "CREATE INDEX message_open ON message (updated_at) WHERE step IN ('releasing', 'sending')",
    "CREATE INDEX message_owed ON message (outcome_due) WHERE outcome_step = 'owed'",
    "CREATE INDEX message_reconcile ON message (message_id) WHERE step = 'unknown' OR outcome_step = 'refused'",
)


def upgrade() -> None:
    runtime_tables(op)
    for statement in TABLES:
        op.execute(statement)


def downgrade() -> None:
    message = "a service's first revision is not undone: its journal is the audit trail"
    raise NotImplementedError(message)
