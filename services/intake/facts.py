"""From a referral to what the other services may know: facts for routing and for safe contact, never a detail. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import Final

import msgspec

from services.intake import identifiers, matching
from services.intake.matching.record import birth_date
from services.intake.referral import Agreement, ContactPerson, Human, Name, Party, Prior, Referral
from services.intake.remedies import Fault
from shared.contracts.people import AgreementFact, PriorContact
from shared.contracts.referrals import YOUNG, AgeBand, Deadlines, PartyFact, ReferralFacts

_OLDEST: Final = 125  # years: nobody has been older
ADULT: Final = 18
# Sharing these needs the person's explicit agreement, with its evidence.
# After a death those who speak are bereaved, whether the sender says so or not.
_EXPLICIT_OFFENCES: Final = frozenset({"sexual", "domestic_abuse", "homicide", "road_death"})
_EXPLICIT_CLASSES: Final = frozenset({"sexual", "domestic_abuse", "homicide", "road_death", "bereaved"})
# A telephone of which nobody said that it is somebody else's counts as the person's own.
_OWN: Final = frozenset({"own", "unknown"})


# ---------------------------------------------------------------------------------------------------- dates of birth


@lru_cache(maxsize=10_000)
def known_birth_date(text: str | None, today: date) -> date | None:
    """Return the date of birth; None if it is missing, impossible, a placeholder, in the future or too long ago."""
    digits = birth_date(text)
    try:
        born = date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return None
    return born if born <= today and today.year - born.year <= _OLDEST else None


def birthday(born: date, age: int) -> date:
    """Return the day on which somebody reaches an age; who was born on 29 February does so on 1 March."""
    try:
        return born.replace(year=born.year + age)
    except ValueError:
        return date(born.year + age, 3, 1)


def age_band(born: date | None, today: date) -> AgeBand:
    """Return the band that routing may know."""
    if born is None:
        return "unknown"
    if today < birthday(born, 10):
        return "under_10"
    if today < birthday(born, ADULT):
        return "10_to_17"
    return "18_to_24" if today < birthday(born, 25) else "25_or_over"


def warnings(referral: Referral, today: date) -> list[Fault]:
    """What was accepted and will not be used as it stands. Paths and remedies, no values."""
    found = []
    for position, human in referral.people():
        path = f"parties[{position}]" + (".contact_person" if isinstance(human, ContactPerson) else "")
        if human.date_of_birth is not None and known_birth_date(human.date_of_birth, today) is None:
            found.append(
                Fault(
                    f"{path}.date_of_birth",
                    "not a date on which somebody now living was born: kept as sent, counted as unknown",
                    "send a new version with the date as YYYY-MM-DD, or without it",
                )
            )
        if getattr(human, "identified", True) and only_a_name(human):
            found.append(
                Fault(
                    path,
                    "no more than a name: on hold as identity incomplete, nobody may approach",
                    "send a new version with a date of birth, home, telephone, e-mail or identifier",
                )
            )
        if _speaks_alone_too_young(human, today):
            found.append(
                Fault(
                    f"{path}.contact_person",
                    "under 18, and nobody to speak to for them: nobody may approach",
                    "send a new version with a contact_person: a parent, carer or appropriate adult",
                )
            )
        if human.safe_contact.channels == ():
            found.append(
                Fault(
                    f"{path}.safe_contact.channels",
                    "none is safe: nobody may approach",
                    "send a new version with those that are, or without the field if none is ruled out",
                )
            )
    found += [
        Fault(path, "it lies in the future", "send a new version with the right day")
        for path, day in _days_past(referral)
        if day is not None and day > today
    ]
    if referral.incident.force is not None and referral.incident.force not in identifiers.FORCES:
        found.append(
            Fault(
                "incident.force",
                "no territorial force has this code",
                "check it, for instance 41 for Hertfordshire",
            )
        )
    return found


def _days_past(referral: Referral) -> Iterator[tuple[str, date | None]]:
    """Yield the days of what must have happened before it can be told."""
    yield "incident.on", referral.incident.on
    said = [("", referral.prior_contact, referral.agreement)]
    said += [
        (f"parties[{n}].", party.prior_contact or "none", party.agreement)
        for n, party in enumerate(referral.parties)
    ]
    for of, prior, agreement in said:
        if isinstance(prior, Prior):
            yield f"{of}prior_contact.on", prior.on
        if agreement is not None:
            yield f"{of}agreement.on", agreement.on


def _speaks_alone_too_young(human: Human, today: date) -> bool:
    if not isinstance(human, Party) or human.contact_person is not None:
        return False
    born = known_birth_date(human.date_of_birth, today)
    return born is not None and today < birthday(born, ADULT)


def only_a_name(human: Human) -> bool:
    """Whether nothing tells this human from another of the same name. Most have a telephone, and need no closer look."""
    if human.phones or human.emails:
        return False
    return matching.identity_incomplete(matching.normalise(comparable(human, "sender")))


# ----------------------------------------------------------------------------------------------------------- matching


def _whole(name: Name) -> str:
    return name.full or " ".join(part for part in (name.forenames, name.surname) if part)


def lacking(human: Human, agency: str, where: str) -> tuple[str, ...]:
    """Return the paths of what this party does not say and what would tell who it is; the party's own if all is said."""
    record = matching.normalise(comparable(human, agency))
    known = {
        "date_of_birth": record.date_of_birth,
        "addresses[0].postcode": record.postcodes,
        "phones[0].number": record.phones,
        "emails[0].address": record.emails,
        "identifiers": record.identifiers,
    }
    return tuple(f"{where}.{field}" for field, said in known.items() if not said) or (where,)


def comparable(human: Human, agency: str) -> matching.Person:
    """Return what the matcher compares. An agency's own number for the person counts within that agency only."""
    person: matching.Person = {
        "aliases": [_whole(name) for name in human.aliases],
        "date_of_birth": human.date_of_birth,
        "sex": human.sex,
        "addresses": [
            {"lines": address.lines, "postcode": address.postcode or ""}
            for address in human.addresses
            if address.kind not in ("prison", "hostel")
        ],
        "phones": [phone.number for phone in human.phones],
        "emails": [email.address for email in human.emails],
    }
    shared = [phone.number for phone in human.phones if phone.whose not in _OWN]
    shared += [email.address for email in human.emails if email.whose not in _OWN]
    if shared:
        person["shared"] = shared
    if human.name is not None:
        person["forenames"] = human.name.forenames or ""
        person["surname"] = human.name.surname or ""
        person["full_name"] = human.name.full or ""
        person["title"] = human.name.title or ""
    sent = human.identifiers
    numbers = {
        "pnc": sent.pnc,
        "cro": sent.cro,
        "noms": sent.noms,
        "crn": sent.crn,
        f"own-{agency.casefold()}": sent.own,
    }
    person["identifiers"] = {kind: number for kind, number in numbers.items() if number}
    return person


def incident_of(referral: Referral) -> matching.Incident:
    """Return what is compared of the incident."""
    sent = referral.incident
    # A county says neither that it is nor that it is not where its whole police area is named: it counts as unknown.
    area = sent.area if sent.area and identifiers.is_police_area(sent.area) else None
    place = area or (identifiers.district(sent.place) if sent.place and not sent.area else None)
    return matching.Incident(
        force=sent.force or "",
        reference=sent.reference or "",
        offence=sent.offence_class,
        start=sent.on,
        end=sent.until or sent.on,
        place=place or "",
    )


# ----------------------------------------------------------------------------------------------------- what is published


def prior_contact_of(referral: Referral, party: Party) -> PriorContact | None:
    """Return what the party had already told somebody: its own, else the referral's if it was harmed."""
    sent = _prior(referral, party)
    if not isinstance(sent, Prior) or sent.answer == "no_answer":
        return None
    return PriorContact(
        answer=sent.answer, agency=sent.by, on=sent.on, means=sent.means, not_before=sent.not_before
    )


def _prior(referral: Referral, party: Party) -> Prior | str | None:
    if party.prior_contact is None and party.role in ("harmed", "both"):
        return referral.prior_contact
    return party.prior_contact


def approached_before(referral: Referral, human: Human) -> bool:
    """Whether somebody has approached this party already and waits for the answer."""
    sent = _prior(referral, human) if isinstance(human, Party) else None
    return isinstance(sent, Prior) and sent.answer == "no_answer"


def agreement_of(referral: Referral, party: Party) -> AgreementFact | None:
    """Return what the party agreed to: its own, else the referral's if it was harmed."""
    sent = _agreement(referral, party)
    if sent is None:
        return None
    return AgreementFact(
        scope=sent.scope,
        agencies=sent.agencies,
        wording=sent.wording,
        means=sent.means,
        on=sent.on,
        expires=sent.expires,
    )


def _agreement(referral: Referral, party: Party) -> Agreement | None:
    return party.agreement or (referral.agreement if party.role in ("harmed", "both") else None)


def agreement_missing(referral: Referral, party: Party) -> tuple[str, ...]:
    """Return the paths of what is missing where sharing needs the person's explicit agreement; () if nothing is."""
    incident = referral.incident
    if incident.offence_class not in _EXPLICIT_OFFENCES and not _EXPLICIT_CLASSES & set(incident.sensitive):
        return ()
    sent = _agreement(referral, party)
    if sent is None:
        return ("agreement",)
    return () if sent.evidence else ("agreement.evidence",)


def party_fact(
    referral: Referral, party: Party, person: str, contacts: Sequence[str], today: date
) -> PartyFact:
    """Return what routing may know of a party."""
    home = next((address for address in party.addresses if address.kind == "home"), None)
    prior = prior_contact_of(referral, party)
    return PartyFact(
        person=person,
        role=party.role,
        contact_persons=tuple(contacts),
        age_band=age_band(known_birth_date(party.date_of_birth, today), today),
        home_area=home.area if home else None,
        district=identifiers.district(home.postcode) if home and home.postcode else None,
        supervising_agency=party.supervising_agency,
        custody_agency=party.custody_agency,
        liaison_agency=party.liaison_agency,
        risk=party.risk,
        admitted=party.admitted,
        willing=party.willing,
        prior_contact=prior.answer if prior else "none",
        prior_contact_agency=prior.agency if prior else None,
        language=party.language,
        vulnerable=party.vulnerable,
        enhanced_rights=party.enhanced_rights,
        identified=party.identified,
        supervising_kind=party.supervising_kind,
        caseworker=party.caseworker,
        liaison_officer=party.liaison_officer,
        needs=tuple(dict.fromkeys(party.need_codes)),
    )


def of_age(facts: ReferralFacts, person: str) -> ReferralFacts:
    """Return the facts on the day on which this person turns eighteen. Who comes of age next is not known here.

    Whoever was to be spoken to for the child is so no longer, in referrals too that do not tell the age.
    """
    parties = tuple(
        msgspec.structs.replace(
            party, contact_persons=(), age_band="unknown" if party.age_band == "unknown" else "18_to_24"
        )
        if party.person == person and party.age_band in (*YOUNG, "unknown")
        else party
        for party in facts.parties
    )
    if parties == facts.parties:
        return facts
    deadlines = msgspec.structs.replace(facts.deadlines, turns_18=None)
    return msgspec.structs.replace(facts, parties=parties, deadlines=deadlines)


def outgrown(contact: ContactPerson, party: Party, received: date, today: date) -> bool:
    """Say whether a parent was named for a child who has come of age since the referral was received.

    A later version of it mostly repeats what the first one said. Whoever is named for an adult, by a referral about an adult
    or in another capacity, is named on a ground of their own.
    """
    born = known_birth_date(party.date_of_birth, today)
    return (
        contact.relation in ("parent", "guardian")
        and born is not None
        and received < birthday(born, ADULT) <= today
    )


def coming_of_age(births: Iterable[str | None], today: date) -> date | None:
    """Return the first day of the month in which the first of those who are under 18 comes of age; None if nobody is."""
    known = (known_birth_date(text, today) for text in births)
    adult_on = [adult for born in known if born is not None and (adult := birthday(born, ADULT)) > today]
    return min(adult_on).replace(day=1) if adult_on else None


@dataclass(frozen=True)
class Posted:
    """A referral with what intake knows of its posting."""

    id: str
    agency: str
    received_at: datetime
    referral: Referral


def referral_facts(
    posted: Posted, incident: str, parties: Sequence[PartyFact], turns_18: date | None = None
) -> ReferralFacts:
    """Return one referral as routing sees it, for one case: `parties` and `turns_18` are those of that case."""
    sent = posted.referral
    harmed = [party for party in sent.parties if party.role in ("harmed", "both")]
    return ReferralFacts(
        referral=posted.id,
        agency=posted.agency,
        version=sent.version,
        incident=incident,
        received_at=posted.received_at,
        offence_class=sent.incident.offence_class,
        stage=sent.stage,
        initiated_by=sent.initiated_by,
        parties=tuple(parties),
        sensitive=sent.incident.sensitive,
        area=sent.incident.area,
        deadlines=Deadlines(**sent.dates.model_dump(), turns_18=turns_18),
        sharing_agreement=sent.sharing_agreement,
        explicit_agreement=any(
            (given := _agreement(sent, party)) is not None and given.evidence is not None for party in harmed
        ),
        chosen_on_remedy_document=sent.chosen_on_remedy_document,
        programme=sent.programme,
        plea=sent.plea,
        domestic_burglary=sent.incident.domestic_burglary,
        register_lead=sent.register_lead.agency if sent.register_lead else None,
        register_worker=sent.register_lead.worker if sent.register_lead else None,
    )


def cases_of(referral: Referral) -> list[list[int]]:
    """Return, for each case that the referral is about, the positions of its parties: the harmed one first.

    A case is about one harmed party. Where all are both harmed and responsible (a quarrel), it is one case.
    """
    harmed = [n for n, party in enumerate(referral.parties) if party.role == "harmed"]
    others = [n for n, party in enumerate(referral.parties) if party.role != "harmed"]
    return [[position, *others] for position in harmed] if harmed else [others_first_both(referral, others)]


def others_first_both(referral: Referral, positions: Sequence[int]) -> list[int]:
    """Return the positions with those who were harmed as well in front."""
    return sorted(positions, key=lambda position: (referral.parties[position].role != "both", position))
