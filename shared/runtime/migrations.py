"""Migrations: Alembic, one history per service, the runtime's tables at the beginning of each.

They run when a service starts, under an advisory lock, so that several processes can start at once. A migration only adds:
the version before must be able to run beside it.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Protocol

from alembic import command, context
from alembic.config import Config
from sqlalchemy import Connection, pool, text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

_LOCK = 4_071_002

RUNTIME_TABLES = (
    "CREATE SEQUENCE journal_position",
    # One row per key: the snapshot that decisions are made from. `base` is the version it was saved over.
    """CREATE TABLE stream (
        kind text NOT NULL, key text NOT NULL, version bigint NOT NULL, base bigint NOT NULL, last_event uuid,
        state jsonb NOT NULL, PRIMARY KEY (kind, key)) WITH (fillfactor = 70)""",
    """CREATE TABLE journal (
        position bigint PRIMARY KEY, event_id uuid NOT NULL, topic text NOT NULL, key text NOT NULL,
        sequence bigint NOT NULL, previous uuid, type text NOT NULL, data json NOT NULL, agency text NOT NULL, worker text,
        command_id text, causation text, correlation text, trace text, recorded_at timestamptz NOT NULL,
        UNIQUE (topic, key, sequence))""",
    """CREATE FUNCTION journal_is_append_only() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'the journal is append-only'; END $$""",
    """CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON journal
        FOR EACH STATEMENT EXECUTE FUNCTION journal_is_append_only()""",
    """CREATE TABLE outbox (position bigint PRIMARY KEY, topic text NOT NULL, key text NOT NULL, failed text)
        WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0)""",
    "CREATE INDEX outbox_failed ON outbox (topic, key) WHERE failed IS NOT NULL",
    # How far each key was applied. `held`: an event of it is parked or waiting.
    """CREATE TABLE inbox (
        topic text NOT NULL, key text NOT NULL, sequence bigint NOT NULL, base bigint NOT NULL, event_id uuid,
        held boolean NOT NULL DEFAULT false, PRIMARY KEY (topic, key)) WITH (fillfactor = 80)""",
    "CREATE INDEX inbox_held ON inbox (topic, key) WHERE held",
    """CREATE TABLE waiting (
        topic text NOT NULL, key text NOT NULL, sequence bigint NOT NULL, event_id uuid NOT NULL, headers jsonb NOT NULL,
        value bytea NOT NULL, since timestamptz NOT NULL DEFAULT clock_timestamp(), PRIMARY KEY (topic, key, sequence))""",
    """CREATE TABLE quarantine (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, topic text NOT NULL, partition int NOT NULL,
        "offset" bigint NOT NULL, key text, sequence bigint, event_id uuid, headers jsonb NOT NULL, value bytea NOT NULL,
        reason text NOT NULL, since timestamptz NOT NULL DEFAULT clock_timestamp(), resolved timestamptz, how text)""",
    "CREATE UNIQUE INDEX quarantine_open ON quarantine (topic, key, sequence) WHERE resolved IS NULL",
    """CREATE TABLE consumer_offset (
        topic text NOT NULL, partition int NOT NULL, topic_id text NOT NULL, next_offset bigint NOT NULL,
        PRIMARY KEY (topic, partition))""",
    "CREATE TABLE topic_seen (topic text PRIMARY KEY, topic_id text NOT NULL)",
    """CREATE TABLE timer (
        name text NOT NULL, key text NOT NULL, due_at timestamptz NOT NULL, data jsonb NOT NULL,
        attempts int NOT NULL DEFAULT 0, PRIMARY KEY (name, key))""",
    "CREATE INDEX timer_due ON timer (due_at)",
    # Commands that were committed, with what they answered: the same again gets the same answer.
    """CREATE TABLE command (
        id text PRIMARY KEY, fingerprint text, answer text, recorded_at timestamptz NOT NULL DEFAULT clock_timestamp())""",
    # One row: how far this stack's clock is ahead of the database's. Only a development stack may move it.
    "CREATE TABLE clock (one boolean PRIMARY KEY DEFAULT true CHECK (one), shift interval NOT NULL DEFAULT '0')",
    "INSERT INTO clock DEFAULT VALUES",
)

# Of columns that have no target of their own yet, in tables that are ours. Blocks nobody who reads or writes.
_SMALL_SAMPLES = """DO $$ DECLARE c record; BEGIN
  FOR c IN SELECT a.attrelid::regclass AS of_table, a.attname AS name
    FROM pg_attribute AS a JOIN pg_class AS t ON t.oid = a.attrelid
    WHERE t.relnamespace = current_schema()::regnamespace AND t.relkind = 'r' AND pg_has_role(t.relowner, 'USAGE')
      AND a.attnum > 0 AND NOT a.attisdropped AND coalesce(a.attstattarget, -1) < 0
  LOOP EXECUTE format('ALTER TABLE %s ALTER COLUMN %I SET STATISTICS 10', c.of_table, c.name); END LOOP;
END $$"""


class Operations(Protocol):
    """What is used of Alembic's `op`."""

    def execute(self, sql: str) -> object:
        """Run a statement."""


def runtime_tables(op: Operations) -> None:
    """Create the runtime's tables: the first thing that each service's first migration does."""
    for statement in RUNTIME_TABLES:
        op.execute(statement)


def small_samples(op: Operations) -> None:
    """Let the statistics of every table there is be made from 3,000 rows and not 30,000: after the last new table.

    Plans hardly depend on them (`shared/runtime/database.py`), yet PostgreSQL samples every table again after each tenth of
    growth: of what autovacuum cost under load, 86 % were such samples, most of them of wide states and events.
    """
    op.execute(_SMALL_SAMPLES)


def migrate(folder: Path, database_url: str) -> None:
    """Bring a service's database up to date. Raises sqlalchemy.exc.OperationalError while the server is away."""
    url = make_url(database_url).set(drivername="postgresql+asyncpg")
    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.attributes["url"] = url
    command.upgrade(config, "head")


def run() -> None:
    """Run the migrations inside Alembic's environment: the whole of a service's `migrations/env.py`."""

    async def upgrade() -> None:
        engine = create_async_engine(context.config.attributes["url"], poolclass=pool.NullPool)
        async with engine.connect() as connection:
            await connection.run_sync(_upgrade)
            await connection.commit()
        await engine.dispose()

    asyncio.run(upgrade())


def _upgrade(connection: Connection) -> None:
    connection.execute(text(f"SELECT pg_advisory_lock({_LOCK})"))
    connection.commit()
    try:
        context.configure(connection=connection, transaction_per_migration=True)
        with context.begin_transaction():
            context.run_migrations()
        connection.commit()
    finally:
        connection.execute(text(f"SELECT pg_advisory_unlock({_LOCK})"))
        connection.commit()
