"""From what a referral says to how somebody may safely be reached: points, channels, hours and flags. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from services.intake import identifiers
from services.intake.domain import CHANNELS, merge_safety
from services.intake.facts import ADULT, birthday, known_birth_date
from services.intake.referral import Human, Party, Referral
from shared.contracts.envelope import Channel, Hours
from shared.contracts.people import Safety


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
    return shared_with(
        human,
        [
            party
            for party in referral.parties
            if party.role == "responsible" and party is not human and party.contact_person is not human
        ],
    )


def shared_with(human: Human, others: Iterable[Human]) -> ContactPoints:
    """Return the ways to reach this human that also reach one of these others."""
    own, theirs = contact_points(human), [contact_points(other) for other in others]
    return ContactPoints(
        own.phones.intersection(phone for of in theirs for phone in of.phones),
        own.emails.intersection(email for of in theirs for email in of.emails),
        own.homes.intersection(home for of in theirs for home in of.homes),
    )


def safe_phones(human: Human, barred: ContactPoints, *, together: bool) -> list[str]:
    """Return the numbers that may be rung: said to be safe, not the responsible person's, own if they live together."""
    return [
        phone.number
        for phone in human.phones
        if phone.safe
        and phone.number not in barred.phones
        and (phone.whose in ("own", "work") or not together)
    ]


def safe_emails(human: Human, barred: ContactPoints, *, together: bool) -> list[str]:
    """Return the addresses that may be written to, by the same rules."""
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
    phones = safe_phones(human, barred, together=together)
    emails = safe_emails(human, barred, together=together)
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
