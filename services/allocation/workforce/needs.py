"""What a case needs of those who deliver it: what must be (a team without it is none) and what is wished."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

import msgspec

from services.allocation.policy.proposal import TeamNeed
from services.allocation.workforce.people import Facilitator, travel_km


class CaseNeed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A case that needs a team: what the policy asks for, where the parties live, hours of each member.

    `agencies` are those of the partnership (none: any). `pinned` must be in the team, `forbidden` must not: a
    co-ordinator's word.
    """

    id: str
    team: TeamNeed
    districts: tuple[str, ...] = ()
    agencies: tuple[str, ...] = ()
    hours: int = 6
    pinned: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()


def unfit_for(worker: Facilitator, case: CaseNeed, on: date) -> str | None:
    """Why a facilitator cannot be in the case's team at all; None if it can."""
    need = case.team
    if not worker.active:
        return "no longer active"
    if "facilitator" not in worker.roles:
        return "not a facilitator"
    if worker.id in case.forbidden:
        return "forbidden by the co-ordinator"
    if worker.id in need.not_workers or worker.agency in need.not_agencies:
        return "not neutral"
    return _without(worker, case, on)


def _without(worker: Facilitator, case: CaseNeed, on: date) -> str | None:
    need = case.team
    if not worker.trained(need.training):
        return f"not trained for it ({need.training} is needed)"
    if need.experience == "all_experienced" and not worker.experienced:
        return "without the experience that it needs"
    if not worker.supervised(need.supervision):
        return f"without {need.supervision} supervision"
    if worker.away(on):
        return "away"
    return "without the hours" if worker.free < case.hours else None


def possible(team: Sequence[Facilitator], case: CaseNeed) -> bool:
    """Whether the team may take the case: enough of them, those pinned among them, somebody experienced."""
    if len(team) < case.team.facilitators or not set(case.pinned) <= {member.id for member in team}:
        return False
    return case.team.experience == "any" or any(member.experienced for member in team)


def broken_wishes(team: Sequence[Facilitator], case: CaseNeed) -> tuple[str, ...]:
    """The wishes that a team breaks, as codes. What must be is not here: such teams are not possible."""
    return tuple(_broken(team, case))


def _broken(team: Sequence[Facilitator], case: CaseNeed) -> Iterator[str]:
    need = case.team
    agencies = {member.agency for member in team}
    if need.different_agencies and len(agencies) < len(team):
        yield "different_agencies"
    if any(agencies.isdisjoint(group) for group in need.one_from_each if group):
        yield "one_from_each"
    for language in need.languages:
        if not any(language in member.languages for member in team):
            yield f"language_{language}"
    for specialism in need.specialism:
        if not any(specialism in member.specialisms for member in team):
            yield f"specialism_{specialism}"
    if need.travel_km is not None and any(
        (travel_km(m, case.districts) or 0.0) > need.travel_km for m in team
    ):
        yield "travel"
    if need.experience == "one_experienced" and len(team) > 1 and all(member.experienced for member in team):
        yield "nobody_learns"
