"""What a policy may know of a case: no name, no address, no free text.

`combine` makes one case's facts of all its referrals; a test or a dry run writes `CaseFacts` directly. The words are those
of `shared.contracts.referrals`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Final

import msgspec

from services.allocation.policy.problems import FactsError
from shared.contracts.referrals import PartyFact, ReferralFacts

PRIOR_BY_STRICTNESS: Final = ("no", "not_now", "yes", "none")
RISK_BY_HEIGHT: Final = ("high", "medium", "low", "unknown")
INITIATOR_BY_WEIGHT: Final = ("harmed", "responsible", "court", "agency")
CLASSES: Final = {"children": "child"}
"""Sensitive classes that agencies call otherwise than policies do."""
DEADLINES: Final = ("plea", "hearing", "adjourned_to", "deferred_to", "sentence", "licence_end", "turns_18")


class PartyFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One party. `id` is its person id. Roles and words as in `PartyFact`; None where nobody has said.

    `supervising_kind` is only needed where the agency itself is not known. `caseworker` and `liaison_officer` are
    worker ids: neither may facilitate. `home_area` is any name, ONS code or force code of areas.yaml.
    """

    id: str
    role: str
    age_band: str = "unknown"
    home_area: str | None = None
    district: str | None = None
    supervising_agency: str | None = None
    supervising_kind: str | None = None
    custody_agency: str | None = None
    liaison_agency: str | None = None
    caseworker: str | None = None
    liaison_officer: str | None = None
    risk: str = "unknown"
    admitted: bool | None = None
    willing: bool | None = None
    prior_contact: str = "none"
    prior_contact_agency: str | None = None
    language: str | None = None
    needs: tuple[str, ...] = ()
    vulnerable: bool = False
    enhanced_rights: bool = False
    identified: bool = True

    @property
    def harmed(self) -> bool:
        """Whether it was harmed; in a dispute a party can be both."""
        return self.role in {"harmed", "both"}

    @property
    def responsible(self) -> bool:
        """Whether it is held responsible; in a dispute a party can be both."""
        return self.role in {"responsible", "both"}


class CaseFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One case as routing sees it. `received_at` is when its first referral was accepted (aware): clocks run from it.

    `areas` are where it happened (usually one); `referred_by` the agency of the first referral; `programme` a scheme that
    the partnership's policy names; `deadlines` the dates known, by the names in `DEADLINES`.
    """

    received_at: datetime
    parties: tuple[PartyFacts, ...]
    offence: str = "other"
    stage: str = "post_sentence"
    initiated_by: str = "agency"
    referred_by: str | None = None
    referred_by_kind: str | None = None
    areas: tuple[str, ...] = ()
    sensitive: tuple[str, ...] = ()
    programme: str | None = None
    plea: str = "unknown"
    chosen_on_remedy_document: bool = False
    explicit_agreement: bool = False
    sharing_agreement: str | None = None
    deadlines: Mapping[str, date] = {}

    def __post_init__(self) -> None:
        """Refuses what no policy could read: names the fact and what would be right."""
        if self.received_at.tzinfo is None:
            raise FactsError("received_at has no time zone: give an aware time")
        ids = [party.id for party in self.parties]
        if len(set(ids)) != len(ids):
            raise FactsError(
                "parties: the same id stands twice: a person who is harmed and responsible has the role 'both'"
            )
        if not any(party.harmed for party in self.parties):
            raise FactsError(
                "parties: nobody was harmed: give at least one party the role 'harmed' or 'both'"
            )
        unknown = set(self.deadlines) - set(DEADLINES)
        if unknown:
            raise FactsError(f"deadlines: {', '.join(sorted(unknown))} unknown: use {', '.join(DEADLINES)}")


def combine(referrals: Iterable[ReferralFacts]) -> CaseFacts:
    """One case of all its referrals (at least one), whatever order they came in.

    The latest referral tells what moves on (stage, dates); what protects is never lost: the strictest prior answer, the
    highest risk, every sensitive class. A person's own wish outweighs an agency's as to who began.
    """
    ordered = sorted(referrals, key=lambda facts: (facts.received_at, facts.referral, facts.version))
    if not ordered:
        raise FactsError("no referral: a case has at least one")
    first, last = ordered[0], ordered[-1]
    initiators = {facts.initiated_by for facts in ordered}
    parties: dict[str, PartyFacts] = {}
    deadlines: dict[str, date] = {}
    for facts in ordered:
        for fact in facts.parties:
            if fact.role != "contact":
                parties[fact.person] = _merge(parties.get(fact.person), _party(fact))
        for name in DEADLINES:
            value = getattr(facts.deadlines, name, None)
            if value is not None:
                deadlines[name] = value
    areas = dict.fromkeys(facts.area for facts in ordered if facts.area)
    admitted = any(party.admitted for party in parties.values() if party.responsible)
    return CaseFacts(
        received_at=first.received_at,
        parties=tuple(parties.values()),
        offence=_offence(ordered),
        stage=last.stage,
        initiated_by=next(who for who in INITIATOR_BY_WEIGHT if who in initiators),
        referred_by=first.agency,
        areas=tuple(areas),
        sensitive=tuple(
            dict.fromkeys(CLASSES.get(word, word) for facts in ordered for word in facts.sensitive)
        ),
        programme=_last_said([facts.programme for facts in ordered]),
        # Where nobody says it: a date of plea and an admission together are a guilty plea; either alone is not.
        plea=_last_said([facts.plea if facts.plea != "unknown" else None for facts in ordered])
        or ("guilty" if "plea" in deadlines and admitted else "unknown"),
        chosen_on_remedy_document=any(facts.chosen_on_remedy_document for facts in ordered),
        explicit_agreement=any(facts.explicit_agreement for facts in ordered),
        sharing_agreement=last.sharing_agreement or first.sharing_agreement,
        deadlines=deadlines,
    )


def _offence(ordered: Sequence[ReferralFacts]) -> str:
    offence = ordered[-1].offence_class
    domestic = offence == "burglary" and any(facts.domestic_burglary for facts in ordered)
    return "domestic_burglary" if domestic else offence


def _last_said(said: Sequence[str | None]) -> str | None:
    return next((word for word in reversed(said) if word is not None), None)


def _party(fact: PartyFact) -> PartyFacts:
    return PartyFacts(
        id=fact.person,
        role=fact.role,
        age_band=fact.age_band,
        home_area=fact.home_area,
        district=fact.district,
        supervising_agency=fact.supervising_agency,
        supervising_kind=fact.supervising_kind,
        custody_agency=fact.custody_agency,
        liaison_agency=fact.liaison_agency,
        caseworker=fact.caseworker,
        liaison_officer=fact.liaison_officer,
        risk=fact.risk,
        admitted=fact.admitted,
        willing=fact.willing,
        prior_contact=fact.prior_contact,
        prior_contact_agency=fact.prior_contact_agency,
        language=fact.language,
        needs=fact.needs,
        vulnerable=fact.vulnerable,
        enhanced_rights=fact.enhanced_rights,
        identified=fact.identified,
    )


def _merge(before: PartyFacts | None, now: PartyFacts) -> PartyFacts:
    if before is None:
        return now
    prior = min(before, now, key=lambda party: PRIOR_BY_STRICTNESS.index(party.prior_contact))
    return PartyFacts(
        id=now.id,
        role=now.role if now.role == before.role else "both",
        age_band=now.age_band if now.age_band != "unknown" else before.age_band,
        home_area=now.home_area or before.home_area,
        district=now.district or before.district,
        supervising_agency=now.supervising_agency or before.supervising_agency,
        supervising_kind=now.supervising_kind or before.supervising_kind,
        custody_agency=now.custody_agency or before.custody_agency,
        liaison_agency=now.liaison_agency or before.liaison_agency,
        caseworker=now.caseworker or before.caseworker,
        liaison_officer=now.liaison_officer or before.liaison_officer,
        risk=min(before.risk, now.risk, key=RISK_BY_HEIGHT.index),
        admitted=before.admitted if now.admitted is None else now.admitted,
        willing=before.willing if now.willing is None else now.willing,
        prior_contact=prior.prior_contact,
        prior_contact_agency=prior.prior_contact_agency,
        language=now.language or before.language,
        needs=tuple(dict.fromkeys(before.needs + now.needs)),
        vulnerable=before.vulnerable or now.vulnerable,
        enhanced_rights=before.enhanced_rights or now.enhanced_rights,
        identified=before.identified or now.identified,
    )
