"""Policies as people propose and publish them. What ships with the program is in force where nobody published another."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

import asyncpg

from shared.runtime.work import Connection, Work

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"

_IN_FORCE = """
SELECT DISTINCT ON (file) file, text FROM policy_draft WHERE published_at IS NOT NULL ORDER BY file, published_at DESC
"""
_SAVE = """
INSERT INTO policy_draft (draft, policy, file, text, base, reference, proposed_agency, proposed_worker, proposed_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""
_PUBLISH = """
UPDATE policy_draft SET published_agency = $2, published_worker = $3, published_at = $4
WHERE draft = $1 AND published_at IS NULL
"""
_LIST = """
SELECT draft, policy, base, reference, proposed_agency, proposed_worker, proposed_at, published_agency, published_worker,
  published_at FROM policy_draft WHERE policy = $1 ORDER BY proposed_at DESC, draft DESC LIMIT 200
"""


@dataclass(frozen=True, slots=True)
class Draft:
    """A policy as somebody proposes it."""

    draft: str
    policy: str
    file: str
    text: str
    base: str
    reference: str
    proposed_agency: str
    proposed_worker: str
    proposed_at: datetime


Publication = tuple[str, str, str, datetime]
"""The draft, the agency and the worker who publish it, and when."""


async def published(work: Work) -> dict[str, str]:
    """Return the texts that people have put in force, by file name."""
    return {row["file"]: row["text"] for row in await work.fetch(_IN_FORCE)}


async def one(work: Work, draft: str) -> dict[str, Any] | None:
    """Return a draft with its text, and lock it: it is published once."""
    row = await work.fetchrow("SELECT * FROM policy_draft WHERE draft = $1 FOR UPDATE", draft)
    return dict(row) if row else None


async def read(pool: Pool, policy: str, draft: str) -> dict[str, Any] | None:
    """Return a draft of a policy with its text."""
    row = await pool.fetchrow("SELECT * FROM policy_draft WHERE policy = $1 AND draft = $2", policy, draft)
    return dict(row) if row else None


async def of_policy(pool: Pool, policy: str) -> list[dict[str, Any]]:
    """Return the drafts of a policy, the newest first, without their texts."""
    return [dict(row) for row in await pool.fetch(_LIST, policy)]


async def save(connection: Connection, rows: list[Draft]) -> None:
    """Keep drafts."""
    for row in rows:
        await connection.execute(_SAVE, *(getattr(row, name) for name in Draft.__slots__))


async def publish(connection: Connection, rows: list[Publication]) -> None:
    """Put drafts in force."""
    for row in rows:
        await connection.execute(_PUBLISH, *row)
