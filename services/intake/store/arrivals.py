"""Referrals as they arrive: one statement for a whole batch, whatever its size."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from shared.runtime.work import Work


@dataclass(frozen=True, slots=True)
class PartyRow:
    """One human of a posted version, sealed under a key of their own."""

    id: str
    position: int
    contact: bool
    role: str
    key: bytes
    sealed: bytes


@dataclass(frozen=True, slots=True)
class Arrival:
    """One posted version, prepared for storing: nothing in it is readable without the master key."""

    id: str
    agency: str
    reference_tag: bytes
    version: int
    content_tag: bytes
    key: bytes
    sealed: bytes
    notes_key: bytes | None
    notes: bytes | None
    warnings: str
    trace: str | None
    parties: tuple[PartyRow, ...]


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of a posted version: `outcome` is new, changed, seen, other_content, older or retracted."""

    outcome: str
    id: str
    version: int
    warnings: list[dict[str, str]]
    received_at: datetime | None
    latest: int


# `IN (SELECT ...) IS TRUE` looks up in a hash of the fresh ones; as a join it would compare each with each (see database).
# Duplicates within the batch meet ON CONFLICT like those of other processes do: the first row wins, the others are settled
# one by one afterwards. Nothing here waits for anything but a concurrent POST of the same reference.
_ARRIVE: Final = """
WITH posted AS (
  SELECT *, (SELECT clock_timestamp() + shift FROM clock) AS at FROM unnest(
    $1::uuid[], $2::text[], $3::bytea[], $4::int[], $5::bytea[], $6::bytea[], $7::bytea[], $8::bytea[], $9::bytea[],
    $10::json[], $11::text[])
    AS t(id, agency, tag, version, content_tag, key, sealed, notes_key, notes, warnings, trace)
), fresh AS (
  INSERT INTO referral (id, agency, reference_tag, version, received_at)
  SELECT id, agency, tag, version, at FROM posted
  ON CONFLICT (agency, reference_tag) DO NOTHING
  RETURNING id, received_at
), versions AS (
  INSERT INTO referral_version (referral, version, content_tag, key, sealed, notes_key, notes, warnings, received_at)
  SELECT id, version, content_tag, key, sealed, notes_key, notes, warnings, at FROM posted
  WHERE (id IN (SELECT id FROM fresh)) IS TRUE
), people AS (
  INSERT INTO party (id, referral, version, position, contact, role, key, sealed)
  SELECT p.id, p.referral, p.version, p.position, p.contact, p.role, p.key, p.sealed FROM unnest(
    $12::uuid[], $13::uuid[], $14::int[], $15::smallint[], $16::boolean[], $17::text[], $18::bytea[], $19::bytea[])
    AS p(id, referral, version, position, contact, role, key, sealed)
  WHERE (p.referral IN (SELECT id FROM fresh)) IS TRUE
), queued AS (
  INSERT INTO to_match (referral, trace) SELECT id, trace FROM posted WHERE (id IN (SELECT id FROM fresh)) IS TRUE
)
SELECT id::text AS id, received_at FROM fresh
"""

_VERSION: Final = """
WITH version AS (
  INSERT INTO referral_version (referral, version, content_tag, key, sealed, notes_key, notes, warnings, received_at)
  SELECT $1::uuid, $2::int, $3, $4, $5, $6, $7, $8::json, clock_timestamp() + shift FROM clock
  RETURNING received_at
), latest AS (
  UPDATE referral SET version = $2::int WHERE id = $1::uuid
), people AS (
  INSERT INTO party (id, referral, version, position, contact, role, key, sealed)
  SELECT p.id, $1::uuid, $2::int, p.position, p.contact, p.role, p.key, p.sealed
  FROM unnest($9::uuid[], $10::smallint[], $11::boolean[], $12::text[], $13::bytea[], $14::bytea[])
    AS p(id, position, contact, role, key, sealed)
), queued AS (
  INSERT INTO to_match (referral, trace) VALUES ($1::uuid, $15)
  ON CONFLICT (referral) DO UPDATE SET trace = excluded.trace, due_at = clock_timestamp(), attempts = 0
)
SELECT received_at FROM version
"""


_UNMATCHED: Final = """
DELETE FROM party AS p WHERE p.referral = $1::uuid AND p.version < $2::int AND NOT EXISTS (
  SELECT FROM party AS q WHERE q.referral = p.referral AND q.version = p.version AND q.person IS NOT NULL)
"""


async def forget_unmatched(work: Work, referral: str, before: int) -> None:
    """Delete the humans of versions before this one that were never matched, and never will be.

    Nobody knows whose details they are: they would be in no export, and outlive every erasure. Nobody has used them either.
    """
    await work.execute(_UNMATCHED, referral, before)


async def forget_whole(work: Work, referral: str) -> None:
    """Destroy what else is sealed of a referral that nobody is left of: its notes may name anybody."""
    await work.execute(
        """UPDATE referral_version SET key = NULL, sealed = ''::bytea, notes_key = NULL, notes = NULL
           WHERE referral = $1::uuid AND NOT EXISTS (SELECT FROM party WHERE referral = $1::uuid)""",
        referral,
    )


async def arrive(work: Work, batch: Sequence[Arrival]) -> list[Stored]:
    """Store a batch; give what became of each, in order."""
    people = [
        (p.id, a.id, a.version, p.position, p.contact, p.role, p.key, p.sealed)
        for a in batch
        for p in a.parties
    ]
    versions = [
        (
            a.id,
            a.agency,
            a.reference_tag,
            a.version,
            a.content_tag,
            a.key,
            a.sealed,
            a.notes_key,
            a.notes,
            a.warnings,
            a.trace,
        )
        for a in batch
    ]
    rows = await work.fetch(_ARRIVE, *_columns(versions, 11), *_columns(people, 8))
    fresh = {row["id"]: row["received_at"] for row in rows}
    answers = []
    for one in batch:
        if one.id in fresh:
            answers.append(
                Stored("new", one.id, one.version, json.loads(one.warnings), fresh[one.id], one.version)
            )
        else:
            answers.append(await _settle(work, one))
    return answers


async def _settle(work: Work, one: Arrival) -> Stored:
    """Decide about a reference that is known: the same again, a later version, or a contradiction.

    The referral's row is locked, so that of two later versions posted at once each sees what the other did. Lock order:
    referral, then to_match, then party; the matcher takes to_match with SKIP LOCKED and never locks referral before it.
    """
    known = await work.fetchrow(
        "SELECT id::text AS id, version, status FROM referral WHERE agency = $1 AND reference_tag = $2 FOR UPDATE",
        one.agency,
        one.reference_tag,
    )
    if known is None:
        raise LookupError("a reference conflicted and is not there")
    latest = known["version"]
    seen = await work.fetchrow(
        "SELECT content_tag, warnings, received_at FROM referral_version WHERE referral = $1 AND version = $2",
        known["id"],
        one.version,
    )
    if seen is not None:
        outcome = "seen" if seen["content_tag"] == one.content_tag else "other_content"
        return Stored(
            outcome, known["id"], one.version, json.loads(seen["warnings"]), seen["received_at"], latest
        )
    if one.version < latest or known["status"] == "retracted":
        outcome = "older" if one.version < latest else "retracted"
        return Stored(outcome, known["id"], one.version, [], None, latest)
    people = [(p.id, p.position, p.contact, p.role, p.key, p.sealed) for p in one.parties]
    at = await work.fetchval(
        _VERSION, known["id"], one.version, one.content_tag, one.key, one.sealed, one.notes_key, one.notes, one.warnings,
        *_columns(people, 6), one.trace,
    )  # fmt: skip
    # By a statement of its own: the one before has waited for a matcher that was at work on an earlier version.
    await forget_unmatched(work, known["id"], one.version)
    return Stored("changed", known["id"], one.version, json.loads(one.warnings), at, one.version)


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]
