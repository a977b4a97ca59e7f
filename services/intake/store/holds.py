"""Holds as rows: what the API lists and lifts; the events carry the same."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec

from shared.runtime.work import Work

_COLUMNS: Final = "id, person, case_id, referral::text AS referral, reason, until, set_at, version, lifted_at"


@dataclass(frozen=True, slots=True)
class HoldRow:
    """One hold of a person (`person` set) or of a case."""

    id: str
    person: str | None
    case_id: str | None
    referral: str | None
    reason: str
    until: datetime | None
    set_at: datetime
    version: int
    lifted_at: datetime | None

    def body(self) -> dict[str, Any]:
        """Return what a hub sees."""
        return {
            "hold": self.id,
            "person": self.person,
            "case": self.case_id,
            "referral": self.referral,
            "reason": self.reason,
            "until": self.until.isoformat() if self.until else None,
            "since": self.set_at.isoformat(),
            "version": self.version,
            "lifted": self.lifted_at is not None,
        }


async def of_referral(work: Work, referral: str) -> list[HoldRow]:
    """Return the holds that stand because of a referral."""
    query = f"SELECT {_COLUMNS} FROM hold WHERE referral = $1 AND lifted_at IS NULL ORDER BY set_at, id"  # noqa: S608 - constants
    return [HoldRow(**dict(row)) for row in await work.fetch(query, referral)]


async def read(work: Work, hold: str) -> HoldRow | None:
    """Return one hold, None if there is no such one."""
    row = await work.fetchrow(f"SELECT {_COLUMNS} FROM hold WHERE id = $1 FOR UPDATE", hold)  # noqa: S608 - constants
    return HoldRow(**dict(row)) if row else None


async def insert(work: Work, row: HoldRow) -> None:
    """Store a hold set by a person."""
    await work.execute(
        """INSERT INTO hold (id, person, case_id, referral, reason, until, set_by, set_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8)""",
        row.id, row.person, row.case_id, row.referral, row.reason, row.until, actor_json(work), row.set_at,
    )  # fmt: skip


async def lift(work: Work, hold: str, reason: str) -> None:
    """Mark a hold as lifted."""
    await work.execute(
        """UPDATE hold SET lifted_at = $2, lifted_by = $3, lift_reason = $4, version = version + 1
           WHERE id = $1 AND lifted_at IS NULL""",
        hold,
        work.now,
        actor_json(work),
        reason,
    )


def actor_json(work: Work) -> str:
    """Return who is acting, as JSON."""
    return msgspec.json.encode(work.actor).decode()


async def insert_or_set_again(work: Work, row: HoldRow) -> None:
    """Store a hold, or let it stand again if it was lifted."""
    if await read(work, row.id) is None:
        await insert(work, row)
    else:
        await set_again(work, row.id, row.case_id)


async def of_case(work: Work, case: str) -> list[HoldRow]:
    """Return the holds of people that stand because of a case."""
    query = f"SELECT {_COLUMNS} FROM hold WHERE case_id = $1 AND person IS NOT NULL AND lifted_at IS NULL ORDER BY id"  # noqa: S608 - constants
    return [HoldRow(**dict(row)) for row in await work.fetch(query, case)]


async def move(work: Work, hold: str, case: str) -> None:
    """Let a hold be about another case."""
    await work.execute("UPDATE hold SET case_id = $2 WHERE id = $1", hold, case)


async def give(work: Work, hold: str, person: str, case: str | None) -> None:
    """Let a hold, and the review that decides it, be about another id."""
    await work.execute("UPDATE hold SET person = $2, case_id = $3 WHERE id = $1", hold, person, case)
    await work.execute("UPDATE match_review SET person = $2 WHERE hold = $1 AND answer IS NULL", hold, person)


async def set_again(work: Work, hold: str, case: str | None) -> None:
    """Let a hold that was lifted stand again."""
    await work.execute(
        """UPDATE hold SET lifted_at = NULL, lifted_by = NULL, lift_reason = NULL, case_id = $2, set_by = $3, set_at = $4,
             version = version + 1 WHERE id = $1 AND lifted_at IS NOT NULL""",
        hold,
        case,
        actor_json(work),
        work.now,
    )
