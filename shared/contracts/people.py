"""Events of one person, by intake. Topic `people`, key person_id."""

from __future__ import annotations

from typing import Literal

import msgspec

from shared.contracts.envelope import Channel, Hours, Payload, Role, date, datetime, event

PriorAnswer = Literal["none", "yes", "not_now", "no"]


class PriorContact(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the person had already told an agency before the referral. "none": nobody had asked."""

    answer: PriorAnswer
    agency: str
    on: date | None = None
    means: Channel | None = None
    not_before: date | None = None


class AgreementFact(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An agreement as evidenced by an agency: what to, by which means and wording, naming whom, until when."""

    scope: tuple[Literal["be_informed", "be_contacted", "take_part", "share"], ...]
    agencies: tuple[str, ...] = ()
    wording: str = ""
    means: str = ""
    on: date | None = None
    expires: date | None = None


class Safety(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a person may safely be contacted: facts only; the details themselves never leave intake.

    `channels` are those that are both possible (details are held) and safe. `minor`: spoken to through a contact person.
    """

    channels: tuple[Channel, ...] = ()
    hours: Hours | None = None
    minor: bool = False
    flags: tuple[str, ...] = ()


@event("people", "person.referred")
class PersonReferred(Payload, frozen=True, kw_only=True):
    """A referral names this person, in one case. `speaks_for`: the parties, if the role is contact.

    `continues`: the case that this one was a part of until a link was undone, or that has become one with it. A "no" to
    that one is a "no" to this one.
    """

    case: str
    incident: str
    referral: str
    referrer: str
    role: Role
    safety: Safety
    speaks_for: tuple[str, ...] = ()
    contact_persons: tuple[str, ...] = ()
    prior_contact: PriorContact | None = None
    agreement: AgreementFact | None = None
    continues: str | None = None


@event("people", "person.changed")
class PersonChanged(Payload, frozen=True, kw_only=True):
    """How the person may safely be contacted has changed; replaces what was known."""

    safety: Safety


@event("people", "person.linked", restrictive=True)
class PersonLinked(Payload, frozen=True, kw_only=True):
    """Two ids are one human. Written on both keys in one transaction; either suffices for both.

    `number` counts the decisions about this pair, links and unlinks alike, from 1: the higher one is the newer.
    """

    other: str
    basis: str
    number: int = 0


@event("people", "person.unlinked")
class PersonUnlinked(Payload, frozen=True, kw_only=True):
    """The link was wrong: both ids stand on their own ledgers again. `number` as in person.linked."""

    other: str
    reason: str
    number: int = 0


@event("people", "person.held", restrictive=True)
class PersonHeld(Payload, frozen=True, kw_only=True):
    """Nobody may contact this person until the hold is lifted: an identity in doubt, an unsafe number, a suppression met."""

    hold: str
    reason: str
    until: datetime | None = None
    case: str | None = None


@event("people", "person.hold_lifted")
class PersonHoldLifted(Payload, frozen=True, kw_only=True):
    """A hold is over. Other holds of the person stand."""

    hold: str
    reason: str


@event("people", "person.erased", restrictive=True)
class PersonErased(Payload, frozen=True, kw_only=True):
    """The keys to everything held about the person are destroyed; the standing stays closed."""

    reason: str
