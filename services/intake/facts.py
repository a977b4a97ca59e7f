"""From a referral to what the other services may know: facts for routing and for safe contact, never a detail. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import Final

from services.intake import identifiers, matching
from services.intake.domain import CHANNELS, merge_safety
from services.intake.matching.record import birth_date
from services.intake.referral import Agreement, ContactPerson, Human, Name, Party, Prior, Referral
from services.intake.remedies import Fault
from shared.contracts.envelope import Channel, Hours
from shared.contracts.people import AgreementFact, PriorContact, Safety
from shared.contracts.referrals import AgeBand, Deadlines, PartyFact, ReferralFacts

_OLDEST: Final = 125  # years: nobody has been older
ADULT: Final = 18
# Sharing these needs the person's explicit agreement, with its evidence.
# After a death those who speak are bereaved, whether the sender says so or not.
_EXPLICIT_OFFENCES: Final = frozenset({"sexual", "domestic_abuse", "homicide", "road_death"})
_EXPLICIT_CLASSES: Final = frozenset({"sexual", "domestic_abuse", "homicide", "road_death", "bereaved"})


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
    if referral.incident.on is not None and referral.incident.on > today:
        found.append(
            Fault("incident.on", "the incident lies in the future", "send a new version with the right day")
        )
    if referral.incident.force is not None and referral.incident.force not in identifiers.FORCES:
        found.append(
            Fault(
                "incident.force",
                "no territorial force has this code",
                "check it, for instance 41 for Hertfordshire",
            )
        )
    return found


def only_a_name(human: Human) -> bool:
    """Whether nothing tells this human from another of the same name. Most have a telephone, and need no closer look."""
    if human.phones or human.emails:
        return False
    return matching.identity_incomplete(matching.normalise(comparable(human, "sender")))


# ----------------------------------------------------------------------------------------------------------- matching


def _whole(name: Name) -> str:
    return name.full or " ".join(part for part in (name.forenames, name.surname) if part)


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
    if human.name is not None:
        person["forenames"] = human.name.forenames or ""
        person["surname"] = human.name.surname or ""
        person["full_name"] = human.name.full or ""
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


# -------------------------------------------------------------------------------------------------------- safe contact


@dataclass(frozen=True)
class ContactPoints:
    """Ways to reach somebody, normalised: E.164 numbers, addresses in lower case, homes as postcode and first line."""

    phones: frozenset[str] = frozenset()
    emails: frozenset[str] = frozenset()
    homes: frozenset[str] = frozenset()

    def texts(self) -> list[str]:
        """Return each point as one text that names its kind."""
        return sorted(
            [f"phone:{number}" for number in self.phones]
            + [f"email:{address}" for address in self.emails]
            + [f"home:{home}" for home in self.homes]
        )


def contact_points(human: Human) -> ContactPoints:
    """Return every way to reach the human that was given, safe or not."""
    return ContactPoints(
        frozenset(phone.number for phone in human.phones),
        frozenset(email.address for email in human.emails),
        frozenset(
            f"{address.postcode}|{''.join(address.lines[0].casefold().split())}"
            for address in human.addresses
            if address.postcode
            and address.lines
            and address.postcode not in identifiers.NO_FIXED_ABODE
            and address.kind == "home"
        ),
    )


def shared_with_responsible(referral: Referral, human: Human) -> ContactPoints:
    """Return the ways to reach this human that also reach somebody responsible in the same incident."""
    own = contact_points(human)
    phones: set[str] = set()
    emails: set[str] = set()
    homes: set[str] = set()
    for party in referral.parties:
        if party.role == "responsible" and party is not human and party.contact_person is not human:
            theirs = contact_points(party)
            phones |= own.phones & theirs.phones
            emails |= own.emails & theirs.emails
            homes |= own.homes & theirs.homes
    return ContactPoints(frozenset(phones), frozenset(emails), frozenset(homes))


def safe_phones(human: Human, barred: ContactPoints) -> list[str]:
    """Return the numbers that may be rung: said to be safe, not the responsible person's, own if they live together."""
    together = human.safe_contact.lives_with_responsible or bool(barred.homes)
    return [
        phone.number
        for phone in human.phones
        if phone.safe
        and phone.number not in barred.phones
        and (phone.whose in ("own", "work") or not together)
    ]


def safe_emails(human: Human, barred: ContactPoints) -> list[str]:
    """Return the addresses that may be written to, by the same rules."""
    together = human.safe_contact.lives_with_responsible or bool(barred.homes)
    return [
        email.address
        for email in human.emails
        if email.safe
        and email.address not in barred.emails
        and (email.whose in ("own", "work") or not together)
    ]


def safety_said(human: Human, barred: ContactPoints, today: date) -> Safety:
    """Return what this referral says of the human's safe contact. `barred` are ways that also reach the one responsible."""
    sent = human.safe_contact
    together = sent.lives_with_responsible or bool(barred.homes)
    phones, emails = safe_phones(human, barred), safe_emails(human, barred)
    homes = [
        address
        for address in human.addresses
        if address.safe and address.kind != "previous" and (address.lines or address.postcode)
    ]
    homes = [address for address in homes if address.postcode not in identifiers.NO_FIXED_ABODE]
    in_custody = isinstance(human, Party) and human.custody_agency is not None
    possible: set[Channel] = set()
    if phones:
        possible |= {"phone", "video"}
    if any(identifiers.is_mobile(number) for number in phones):
        possible.add("text")
    if emails:
        possible |= {"email", "video"}
    if homes or in_custody:
        possible |= {"letter", "visit"}
    barred_channels = {
        channel for channel in CHANNELS if sent.channels is not None and channel not in sent.channels
    }
    if together:
        barred_channels |= {"letter", "visit", "video"}
    if sent.no_letters:
        barred_channels.add("letter")
    born = known_birth_date(human.date_of_birth, today)
    said = Safety(
        channels=tuple(possible),
        hours=Hours(days=sent.hours.days, start=sent.hours.start, until=sent.hours.until)
        if sent.hours
        else None,
        minor=born is not None and today < birthday(born, ADULT),
        flags=(*_flags(human, together=together), *(f"no_{channel}" for channel in barred_channels)),
    )
    return merge_safety([said])


def _flags(human: Human, *, together: bool) -> set[str]:
    sent = human.safe_contact
    said = {
        "no_voicemail": sent.no_voicemail or any(not phone.voicemail for phone in human.phones),
        "lives_with_responsible": together,
        "interpreter": sent.interpreter,
        "accessible_format": sent.accessible_format is not None,
        "contact_owner": sent.contact_owner is not None,
        "vulnerable": human.vulnerable,
    }
    return {flag for flag, holds in said.items() if holds}


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
