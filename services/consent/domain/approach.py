"""Approaches: at most one is live, and a new one needs a separate incident and the gap that policy sets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from services.consent.domain.decision import Decision, Refusal
from services.consent.domain.standing import current, history, last_contact, live, part_of
from services.consent.domain.state import Approach, Limits
from shared.contracts.envelope import datetime


@dataclass(frozen=True, slots=True)
class Asked:
    """An approach asked for: of whom (all ids), about which incident, by whom, within which limits, when."""

    ids: tuple[str, ...]
    incident: str
    agency: str
    limits: Limits
    now: datetime
    successors: Mapping[str, str]


def _mine(approach: Approach, asked: Asked) -> bool:
    # What the person told a referrer before ("call me in March") is for whoever leads to follow up.
    return not approach.attempts or current(approach.agency, asked.successors) == asked.agency


def _open(past: tuple[Approach, ...], gap_days: int) -> list[Approach]:
    """Return the approaches that can go on.

    Two that were begun before a link was known are one human's: an answer to the later ends the earlier, and the other way
    round; and one begun too soon after an answer would not have begun had the link been known.
    """
    answered = [a.answered_at for a in past if not live(a) and a.answered_at is not None]
    gap = timedelta(days=gap_days)
    return [a for a in past if live(a) and not any(at + gap > a.started_at for at in answered)]


def going_on(d: Decision, asked: Asked) -> tuple[Approach | None, bool]:
    """Return the approach that a further attempt would belong to, and whether its attempts are spent.

    There is none if nobody has approached this human yet, or another agency has and may still be at it.
    """
    open_ones = _open(history(d, asked.ids), asked.limits.approach_gap_days)
    if not open_ones or not all(_mine(a, asked) for a in open_ones):
        return None, False
    attempts = sum(len(a.attempts) for a in open_ones)
    return open_ones[0], attempts >= asked.limits.attempts


def objection(d: Decision, asked: Asked) -> Refusal | None:
    """Return why this attempt may not be made as an approach."""
    past = history(d, asked.ids)
    if not past:
        return None
    if any(asked.incident in a.incidents for a in past if not live(a)):
        return Refusal("already_approached", second_approach=True)
    last = max(last_contact(a) for a in past)
    goes_on, spent = going_on(d, asked)
    if goes_on is not None and not spent:
        attempted = max((t.at for a in past for t in a.attempts), default=None)
        again = attempted + timedelta(days=asked.limits.gap_days) if attempted else asked.now
        return Refusal("attempt_gap", not_before=again) if asked.now < again else None
    if any(asked.incident in a.incidents for a in past) or not asked.incident:
        return Refusal("attempts_spent") if spent else Refusal("already_approached", second_approach=True)
    again = last + timedelta(days=asked.limits.approach_gap_days)
    if asked.now < again:
        return Refusal("approach_gap", second_approach=True, not_before=again)
    return None


def begins(d: Decision, asked: Asked, permit: str) -> tuple[str, tuple[str, ...]]:
    """Return the approach that a redeemed permit belongs to, and the incidents that it covers: those of all open cases."""
    goes_on, spent = going_on(d, asked)
    covered = {
        part.incident for key in asked.ids for part in d.person(key).parts if part.incident and not part.over
    }
    return (goes_on.id if goes_on is not None and not spent else permit), tuple(
        sorted({*covered, asked.incident})
    )


def incident_of(d: Decision, spoken_to: tuple[str, ...], party: tuple[str, ...], case: str) -> str:
    """Return the incident of a case as the party's ledger, or else that of who is spoken to, has it; "" if unknown."""
    for ids in (party, spoken_to):
        part = part_of(d, ids, case)
        if part is not None and part.incident:
            return part.incident
    return ""
