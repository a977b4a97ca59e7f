"""The runtime's tables, and intake's own: who was referred, who is who, what was released, who withdrew.

Everything that could identify a person is sealed (`sealed`, `record`, `notes`) under a key of its own row, or is a keyed
hash (`tag`). Ids of people are text, because they are keys of streams; everything else has the type that it is.
"""

from alembic import op

from shared.runtime.migrations import runtime_tables

revision = "0001"
down_revision = None

# No foreign keys on what is written for every referral: one statement writes all of it or nothing, and the checks would cost
# as much as the rows.
TABLES = (
    # A referral is for ever known by its agency and that agency's reference.
    """CREATE TABLE referral (
        id uuid PRIMARY KEY,
        agency text NOT NULL,
        reference_tag bytea NOT NULL,
        version integer NOT NULL,
        status text NOT NULL DEFAULT 'received',
        reason text,
        self_referral boolean NOT NULL DEFAULT false,
        received_at timestamptz NOT NULL,
        UNIQUE (agency, reference_tag))""",
    # What was sent, but for the people: `sealed` the rest, `notes` apart, because erasing anybody ends the free text.
    """CREATE TABLE referral_version (
        referral uuid NOT NULL,
        version integer NOT NULL,
        content_tag bytea NOT NULL,
        key bytea,
        sealed bytea NOT NULL,
        notes_key bytea,
        notes bytea,
        warnings json NOT NULL,
        received_at timestamptz NOT NULL,
        PRIMARY KEY (referral, version))""",
    # One human of one version of a referral. `record` is what the matcher compares, of those that added something new.
    """CREATE TABLE party (
        id uuid PRIMARY KEY,
        referral uuid NOT NULL,
        version integer NOT NULL,
        position smallint NOT NULL,
        contact boolean NOT NULL,
        role text NOT NULL,
        person text,
        key bytea,
        sealed bytea NOT NULL,
        record_tag bytea,
        record bytea,
        safety json,
        current boolean NOT NULL DEFAULT true)""",
    "CREATE INDEX party_of_referral ON party (referral, version)",
    "CREATE INDEX party_of_person ON party (person)",
    "CREATE INDEX party_record ON party (person) WHERE record IS NOT NULL",
    # The matcher's queue. A row that failed is due again later, and is never lost.
    """CREATE TABLE to_match (
        referral uuid PRIMARY KEY,
        trace text,
        due_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        attempts integer NOT NULL DEFAULT 0)
        WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, fillfactor = 70)""",
    "CREATE INDEX to_match_due ON to_match (due_at)",
    # Which cases a referral is about: a case for each harmed party. `facts` are as last published.
    """CREATE TABLE referral_case (
        referral uuid NOT NULL,
        position smallint NOT NULL,
        case_id text NOT NULL,
        harmed text NOT NULL,
        version integer NOT NULL,
        facts json NOT NULL,
        incident bytea NOT NULL,
        PRIMARY KEY (referral, position))""",
    "CREATE INDEX referral_case_harmed ON referral_case (harmed)",
    "CREATE INDEX referral_case_case ON referral_case (case_id)",
    """CREATE TABLE case_status (
        case_id text PRIMARY KEY,
        status text NOT NULL,
        reason text,
        until timestamptz)""",
    # Who is who.
    """CREATE TABLE blocking_key (
        tag bytea NOT NULL, person text NOT NULL, PRIMARY KEY (tag, person))""",
    "CREATE INDEX blocking_key_person ON blocking_key (person)",
    """CREATE TABLE contact_point (
        tag bytea NOT NULL, person text NOT NULL, PRIMARY KEY (tag, person))""",
    "CREATE INDEX contact_point_person ON contact_point (person)",
    """CREATE TABLE speaks_for (
        contact text NOT NULL, party text NOT NULL, PRIMARY KEY (contact, party))""",
    "CREATE INDEX speaks_for_party ON speaks_for (party)",
    """CREATE TABLE told_apart (
        person text NOT NULL, other text NOT NULL, bits double precision NOT NULL, decided_at timestamptz NOT NULL,
        agency text NOT NULL, worker text, PRIMARY KEY (person, other))""",
    """CREATE TABLE match_review (
        id uuid PRIMARY KEY,
        person text NOT NULL,
        candidates text[] NOT NULL,
        case_id text,
        candidate_cases text[] NOT NULL DEFAULT '{}',
        kind text NOT NULL,
        reasons text[] NOT NULL,
        sentence text NOT NULL,
        score double precision NOT NULL,
        evidence json NOT NULL,
        ask text NOT NULL DEFAULT '',
        model text NOT NULL,
        hold text NOT NULL,
        agency text NOT NULL,
        referral uuid NOT NULL,
        opened_at timestamptz NOT NULL,
        version integer NOT NULL DEFAULT 1,
        answer text,
        decided_with text,
        decided_by json,
        decided_at timestamptz)""",
    "CREATE INDEX match_review_open ON match_review (id) WHERE answer IS NULL",
    "CREATE INDEX match_review_person ON match_review (person)",
    # Why nobody approaches for now. The events carry them too; these rows are what the API lists.
    """CREATE TABLE hold (
        id text PRIMARY KEY,
        person text,
        case_id text,
        referral uuid,
        reason text NOT NULL,
        until timestamptz,
        set_by json NOT NULL,
        set_at timestamptz NOT NULL,
        version integer NOT NULL DEFAULT 1,
        lifted_at timestamptz,
        lifted_by json,
        lift_reason text)""",
    "CREATE INDEX hold_person ON hold (person) WHERE lifted_at IS NULL",
    "CREATE INDEX hold_referral ON hold (referral) WHERE lifted_at IS NULL",
    # What intake knows of consent's ledger, to keep a telephone from ringing twice for two people.
    """CREATE TABLE ledger (
        person text PRIMARY KEY, live boolean NOT NULL DEFAULT false, refused boolean NOT NULL DEFAULT false)""",
    """CREATE TABLE contact_claim (
        tag bytea NOT NULL, person text NOT NULL, permit text NOT NULL, claimed_at timestamptz NOT NULL,
        PRIMARY KEY (tag, person))""",
    "CREATE INDEX contact_claim_permit ON contact_claim (permit)",
    """CREATE TABLE contact_point_cleared (
        person text NOT NULL, other text NOT NULL, cleared_by json NOT NULL, cleared_at timestamptz NOT NULL,
        PRIMARY KEY (person, other))""",
    # One row for each permit, for ever: a release is never replayed.
    """CREATE TABLE release (
        permit text PRIMARY KEY,
        fence bigint NOT NULL,
        person text NOT NULL,
        party text NOT NULL,
        case_id text NOT NULL,
        agency text NOT NULL,
        worker text,
        seen json NOT NULL,
        state text NOT NULL,
        reason text,
        redeemed json,
        asked_at timestamptz NOT NULL,
        handed_out_at timestamptz,
        number bigint UNIQUE,
        told boolean NOT NULL DEFAULT true)""",
    "CREATE INDEX release_untold ON release (permit) WHERE NOT told",
    "CREATE SEQUENCE release_number",
    # A "no" on its way, and one that nobody could yet be found for.
    """CREATE TABLE withdrawal (
        id uuid PRIMARY KEY,
        state text NOT NULL,
        scope text NOT NULL,
        case_id text,
        via text NOT NULL,
        by_whom text NOT NULL,
        agency text NOT NULL,
        worker text,
        person text,
        key bytea,
        sealed bytea,
        in_flight json NOT NULL DEFAULT '[]',
        recorded_at timestamptz NOT NULL,
        in_force_at timestamptz,
        attempts integer NOT NULL DEFAULT 0)""",
    """CREATE TABLE withdrawal_candidate (
        withdrawal uuid NOT NULL REFERENCES withdrawal, person text NOT NULL, case_id text,
        PRIMARY KEY (withdrawal, person))""",
    "CREATE INDEX withdrawal_candidate_person ON withdrawal_candidate (person)",
    """CREATE TABLE suppression (
        tag bytea NOT NULL, source text NOT NULL, since timestamptz NOT NULL, reason text NOT NULL,
        PRIMARY KEY (tag, source))""",
    # Details that were corrected for a person, over what referrals said.
    """CREATE TABLE person_detail (
        person text PRIMARY KEY, key bytea, sealed bytea NOT NULL, safety json, after_party uuid,
        changed_at timestamptz NOT NULL)""",
    """CREATE TABLE self_referral (
        id uuid PRIMARY KEY, code_tag bytea NOT NULL, key bytea, sealed bytea, state text NOT NULL,
        tries integer NOT NULL DEFAULT 0, received_at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL, referral uuid)""",
    "CREATE TABLE succession (agency text PRIMARY KEY, successor text NOT NULL, since timestamptz NOT NULL)",
    # Who read what about whom. Append-only.
    """CREATE TABLE read_log (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp(),
        agency text NOT NULL, worker text, what text NOT NULL, person text, referral text, permit text)""",
    "CREATE INDEX read_log_person ON read_log (person, id)",
)


def upgrade() -> None:
    """Make everything."""
    runtime_tables(op)
    for statement in TABLES:
        op.execute(statement)


def downgrade() -> None:
    """Refuse: what was accepted is never dropped by a migration."""
    raise NotImplementedError("the first revision is not undone; drop the database instead")
