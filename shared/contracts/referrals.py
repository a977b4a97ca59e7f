"""Events of one case file: the referrals of one case, by intake. Topic `referrals`, key case_id."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from shared.contracts.envelope import Payload, Role, date, datetime, event
from shared.contracts.people import PriorAnswer

AgeBand = Literal["under_10", "10_to_17", "18_to_24", "25_or_over", "unknown"]
YOUNG: Final = ("under_10", "10_to_17")
Risk = Literal["low", "medium", "high", "unknown"]
Initiator = Literal["harmed", "responsible", "agency", "court"]
Need = Literal["enduring_mental_health", "learning_disability", "substance_use", "other"]
Plea = Literal["guilty", "not_guilty", "unknown"]
Supervisor = Literal["crc", "nps", "yot", "prison"]
Stage = Literal[
    "street",
    "community_resolution",
    "caution",
    "conditional_caution",
    "pre_sentence",
    "community_order",
    "custody",
    "resettlement",
    "licence",
    "post_sentence",
    "non_crime",
]
OffenceClass = Literal[
    "burglary",
    "robbery",
    "theft",
    "fraud",
    "criminal_damage",
    "arson",
    "assault",
    "serious_violence",
    "sexual",
    "domestic_abuse",
    "hate",
    "homicide",
    "road_death",
    "harassment",
    "antisocial",
    "dispute",
    "other",
]


class PartyFact(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What routing may know of a party: no name, no address, no date of birth.

    `supervising_agency` and `custody_agency` are agency ids (`supervising_kind` where only the kind is known); `home_area`
    a police area, `district` an outward postcode. `caseworker` and `liaison_officer` are worker ids: neither facilitates.
    `needs` are codes. `admitted` and `willing` are None when nobody has said. `position`: its place in the referral as sent.
    """

    person: str
    role: Role
    contact_persons: tuple[str, ...] = ()
    age_band: AgeBand = "unknown"
    home_area: str | None = None
    district: str | None = None
    supervising_agency: str | None = None
    custody_agency: str | None = None
    liaison_agency: str | None = None
    risk: Risk = "unknown"
    admitted: bool | None = None
    willing: bool | None = None
    prior_contact: PriorAnswer = "none"
    prior_contact_agency: str | None = None
    language: str | None = None
    position: int = 0
    vulnerable: bool = False
    enhanced_rights: bool = False
    identified: bool = True
    supervising_kind: Supervisor | None = None
    caseworker: str | None = None
    liaison_officer: str | None = None
    needs: tuple[Need, ...] = ()


class Deadlines(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Dates of the proceedings that clocks run to.

    `turns_18`: the first day of the month in which the first of the case's young people comes of age. The day itself would
    be a birth date, and stays in intake.
    """

    plea: date | None = None
    hearing: date | None = None
    adjourned_to: date | None = None
    deferred_to: date | None = None
    sentence: date | None = None
    licence_end: date | None = None
    turns_18: date | None = None


class ReferralFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One referral as routing sees it. `sensitive` lists the special classes that apply (may be empty).

    `programme` is a scheme that the partnership's policy names; `domestic_burglary`: the burglary was of a home.
    `reference_tag` is a keyed hash of the agency's own reference, which only intake can make: by it a restored intake knows
    again what is sent to it anew.
    """

    referral: str
    agency: str
    version: int
    incident: str
    received_at: datetime
    offence_class: OffenceClass
    stage: Stage
    initiated_by: Initiator
    parties: tuple[PartyFact, ...]
    sensitive: tuple[str, ...] = ()
    area: str | None = None
    deadlines: Deadlines = Deadlines()
    sharing_agreement: str | None = None
    explicit_agreement: bool = False
    chosen_on_remedy_document: bool = False
    programme: str | None = None
    plea: Plea = "unknown"
    domestic_burglary: bool = False
    # From an older system's register, imported before the first day: who leads there already, and its worker.
    register_lead: str | None = None
    register_worker: str | None = None
    reference_tag: str = ""


@event("referrals", "referral.received")
class ReferralReceived(Payload, frozen=True, kw_only=True):
    """A referral joined or opened this case; its people are known by these ids.

    `continues`: the case that it was a part of until it was parted from it. What paused that one pauses this one.
    """

    facts: ReferralFacts
    continues: str | None = None


@event("referrals", "referral.changed")
class ReferralChanged(Payload, frozen=True, kw_only=True):
    """A later version of a referral of this case; `changed` names the facts that differ."""

    facts: ReferralFacts
    changed: tuple[str, ...]


@event("referrals", "referral.held", restrictive=True)
class ReferralHeld(Payload, frozen=True, kw_only=True):
    """The case is on hold for a reason that lies in one referral (doubtful incident, missing agreement to share)."""

    referral: str
    hold: str
    reason: str
    until: datetime | None = None
    missing: tuple[str, ...] = ()


@event("referrals", "referral.hold_lifted")
class ReferralHoldLifted(Payload, frozen=True, kw_only=True):
    """A hold of a referral is over."""

    referral: str
    hold: str
    reason: str


@event("referrals", "referral.retracted", restrictive=True)
class ReferralRetracted(Payload, frozen=True, kw_only=True):
    """The referring agency posted it in error. The case goes on only if another referral supports it."""

    referral: str
    agency: str
    remaining: int


@event("referrals", "case_file.joined", restrictive=True)
class CaseFileJoined(Payload, frozen=True, kw_only=True):
    """This case and another were one harmed party and one incident: it continues as `into`."""

    into: str
