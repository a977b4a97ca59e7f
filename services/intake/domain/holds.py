"""Why nobody may contact a person, or work on a case, for now; and the refusal of a command."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

# Holds that the machine sets and lifts by itself when a later version of a referral answers them. Every other hold is lifted
# by a human.
ANSWERABLE: Final = frozenset({"identity_incomplete", "agreement_to_share_missing"})


class Refused(Exception):
    """A command that the rules do not allow; `code` is for machines, the message for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Hold:
    """Why nobody may contact a person, or work on a case, for now."""

    reason: str
    until: datetime | None = None
    case: str | None = None
    referral: str | None = None


def answered(holds: Mapping[str, Hold], still: Iterable[str]) -> list[str]:
    """Return the holds that the machine set for want of an answer, and that a later version has answered."""
    wanted = set(still)
    return [hold for hold, why in holds.items() if why.reason in ANSWERABLE and hold not in wanted]


def set_by_a_human(hold: str) -> bool:
    """Say whether somebody has set this hold of a case. Those of the machine have names: whose, where and why."""
    return ":" not in hold


# Of a case whose referral has to be sent again, and of a person of whom less is held than was told: after a restore.
LOST: Final = "details_lost"


def lost_hold(referral: str, case: str) -> str:
    """Return the id of the hold of a case whose referral has to be sent again."""
    return f"{referral}:{case}:lost"


def without(holds: Mapping[str, Hold], hold: str) -> Mapping[str, Hold]:
    """Return the holds without this one."""
    return {key: value for key, value in holds.items() if key != hold}
