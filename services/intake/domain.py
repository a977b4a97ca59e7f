"""The rules of intake's two streams: a person, and the case file of the referrals that are one case.

Facts only, no personal data: what is held of whom, who is linked with whom, how each may safely be contacted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from shared.contracts.envelope import Channel, Hours, Payload
from shared.contracts.people import (
    PersonChanged,
    PersonErased,
    PersonHeld,
    PersonHoldLifted,
    PersonLinked,
    PersonReferred,
    PersonUnlinked,
    Safety,
)
from shared.contracts.referrals import (
    CaseFileJoined,
    ReferralChanged,
    ReferralFacts,
    ReferralHeld,
    ReferralHoldLifted,
    ReferralReceived,
    ReferralRejected,
    ReferralRetracted,
)

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


@dataclass(frozen=True)
class PersonState:
    """What decisions need to know of a person. `safety` is what was last published.

    `decided`: how many times a link with each other person was made or undone; both sides count alike.
    """

    links: tuple[str, ...] = ()
    decided: Mapping[str, int] = field(default_factory=dict)
    holds: Mapping[str, Hold] = field(default_factory=dict)
    safety: Safety = Safety()  # noqa: RUF009 - immutable
    erased: bool = False


@dataclass(frozen=True)
class KnownReferral:
    """A referral of a case file, and whether it still supports the case."""

    agency: str
    version: int
    supports: bool = True


@dataclass(frozen=True)
class CaseFileState:
    """The referrals of one case, its holds, and the case that it went on as."""

    incident: str = ""
    referrals: Mapping[str, KnownReferral] = field(default_factory=dict)
    holds: Mapping[str, Hold] = field(default_factory=dict)
    joined_into: str | None = None


# ------------------------------------------------------------------------------------------------------------- a person


def evolve_person(state: PersonState, event: Payload) -> PersonState:  # noqa: PLR0911 - one for each kind of event
    """Return the person after one event."""
    match event:
        case PersonReferred(safety=safety) | PersonChanged(safety=safety):
            return replace(state, safety=safety)
        case PersonLinked(other=other, number=number):
            links = tuple(sorted({*state.links, other}))
            return replace(state, links=links, decided={**state.decided, other: number})
        case PersonUnlinked(other=other, number=number):
            links = tuple(link for link in state.links if link != other)
            return replace(state, links=links, decided={**state.decided, other: number})
        case PersonHeld(hold=hold, reason=reason, until=until, case=of):
            return replace(state, holds={**state.holds, hold: Hold(reason, until, of)})
        case PersonHoldLifted(hold=hold):
            return replace(state, holds=_without(state.holds, hold))
        case PersonErased():
            return replace(state, erased=True, safety=Safety())
        case _:
            return state


def change_safety(state: PersonState, safety: Safety) -> list[Payload]:
    """Say how the person may now be contacted, if that differs from what was said."""
    return [] if state.erased or state.safety == safety else [PersonChanged(safety=safety)]


def hold_person(
    state: PersonState, hold: str, reason: str, *, until: datetime | None = None, case: str | None = None
) -> list[Payload]:
    """Hold a person. The same hold twice is one hold."""
    return [] if hold in state.holds else [PersonHeld(hold=hold, reason=reason, until=until, case=case)]


def lift_person(state: PersonState, hold: str, reason: str) -> list[Payload]:
    """Lift one hold; others stand."""
    return [PersonHoldLifted(hold=hold, reason=reason)] if hold in state.holds else []


def link(state: PersonState, own: str, other: str, basis: str) -> list[Payload]:
    """One side of a link. Both sides are recorded in one transaction."""
    if own == other:
        raise Refused("same-person", "a person cannot be linked with itself")
    if other in state.links:
        return []
    return [PersonLinked(other=other, basis=basis, number=state.decided.get(other, 0) + 1)]


def unlink(state: PersonState, other: str, reason: str) -> list[Payload]:
    """One side of undoing a link."""
    if other not in state.links:
        return []
    return [PersonUnlinked(other=other, reason=reason, number=state.decided.get(other, 0) + 1)]


def erase(state: PersonState, reason: str) -> list[Payload]:
    """Say that the keys of everything held about the person are destroyed. Holds stand: they are what keeps it closed."""
    return [] if state.erased else [PersonErased(reason=reason)]


def answered(holds: Mapping[str, Hold], still: Iterable[str]) -> list[str]:
    """Return the holds that the machine set for want of an answer, and that a later version has answered."""
    wanted = set(still)
    return [hold for hold, why in holds.items() if why.reason in ANSWERABLE and hold not in wanted]


# ------------------------------------------------------------------------------------------------- safe contact, merged


CHANNELS: Final[tuple[Channel, ...]] = ("phone", "text", "email", "letter", "visit", "video")
_BARRED: Final[Mapping[str, Channel]] = {f"no_{channel}": channel for channel in CHANNELS}
_RECKONED: Final = frozenset(
    {"no_safe_channel", "no_safe_hour"}
)  # follow from the rest, so they are reckoned anew


def merge_safety(said: Iterable[Safety]) -> Safety:
    """Return how a person may be contacted, from what several referrals say.

    A channel is possible if one referral makes it so, and barred (flag `no_letter`) if one bars it; hours are those that all
    of them allow. Doubt always narrows: nobody was ever harmed by a call that was not made.
    """
    every = list(said)
    flags = {flag for one in every for flag in one.flags} - _RECKONED
    barred = {_BARRED[flag] for flag in flags if flag in _BARRED}
    possible = {channel for one in every for channel in one.channels} - barred
    hours: Hours | None = None
    for one in every:
        if one.hours is not None:
            hours = one.hours if hours is None else _both(hours, one.hours)
    if hours is not None and not hours.days:
        possible = set()
        flags.add("no_safe_hour")
    if not possible:
        flags.add("no_safe_channel")
    return Safety(
        channels=tuple(channel for channel in CHANNELS if channel in possible),
        hours=hours,
        minor=any(one.minor for one in every),
        flags=tuple(sorted(flags)),
    )


def _both(one: Hours, other: Hours) -> Hours:
    start, until = max(one.start, other.start), min(one.until, other.until)
    days = tuple(day for day in one.days if day in other.days)
    return Hours(days=days if start < until else (), start=start, until=until)


# ---------------------------------------------------------------------------------------------------------- a case file


def evolve_case_file(state: CaseFileState, event: Payload) -> CaseFileState:
    """Return the case file after one event."""
    match event:
        case ReferralReceived(facts=facts) | ReferralChanged(facts=facts):
            known = KnownReferral(facts.agency, facts.version)
            return replace(
                state,
                incident=state.incident or facts.incident,
                referrals={**state.referrals, facts.referral: known},
            )
        case ReferralHeld(hold=hold, reason=reason, until=until, referral=referral):
            return replace(state, holds={**state.holds, hold: Hold(reason, until, None, referral)})
        case ReferralHoldLifted(hold=hold):
            return replace(state, holds=_without(state.holds, hold))
        case ReferralRejected(referral=referral) | ReferralRetracted(referral=referral):
            gone = replace(state.referrals[referral], supports=False)
            return replace(state, referrals={**state.referrals, referral: gone})
        case CaseFileJoined(into=into):
            return replace(state, joined_into=into)
        case _:
            return state


def receive(state: CaseFileState, facts: ReferralFacts, before: ReferralFacts | None = None) -> list[Payload]:
    """A referral joins or opens the case, or a later version of it changes facts. Without a difference nothing is said."""
    if facts.referral not in state.referrals:
        return [ReferralReceived(facts=facts)]
    changed = different(before, facts) if before is not None else ("everything",)
    return [ReferralChanged(facts=facts, changed=changed)] if changed else []


def different(before: ReferralFacts, after: ReferralFacts) -> tuple[str, ...]:
    """Name the facts that differ; the version and the moment are no facts about the case."""
    fields = (name for name in after.__struct_fields__ if name not in ("version", "received_at"))
    return tuple(name for name in fields if getattr(before, name) != getattr(after, name))


def hold_referral(
    state: CaseFileState,
    referral: str,
    hold: str,
    reason: str,
    *,
    until: datetime | None = None,
    missing: tuple[str, ...] = (),
) -> list[Payload]:
    """Hold the case for a reason that lies in one referral."""
    if hold in state.holds:
        return []
    return [ReferralHeld(referral=referral, hold=hold, reason=reason, until=until, missing=missing)]


def lift_referral(state: CaseFileState, hold: str, reason: str) -> list[Payload]:
    """Lift one hold of the case."""
    held = state.holds.get(hold)
    return (
        [] if held is None else [ReferralHoldLifted(referral=held.referral or "", hold=hold, reason=reason)]
    )


def retract(state: CaseFileState, referral: str) -> list[Payload]:
    """The agency posted it in error. The case goes on only if another referral supports it."""
    known = state.referrals.get(referral)
    if known is None or not known.supports:
        return []
    remaining = sum(other.supports for key, other in state.referrals.items() if key != referral)
    return [ReferralRetracted(referral=referral, agency=known.agency, remaining=remaining)]


def join(state: CaseFileState, own: str, into: str) -> list[Payload]:
    """This case and another were one harmed party and one incident: it continues as `into`."""
    if own == into:
        raise Refused("same-case", "a case cannot join itself")
    if state.joined_into is not None:
        return []
    return [CaseFileJoined(into=into)]


def _without(holds: Mapping[str, Hold], hold: str) -> Mapping[str, Hold]:
    return {key: value for key, value in holds.items() if key != hold}
