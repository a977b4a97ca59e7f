"""A referral as an agency posts it: every field, strict, and every error with the field's path and the remedy.

An impossible date of birth is no error (old systems are full of them): it is kept as sent, counts as unknown, and the answer
warns about it. Identifiers are checked to the letter and normalised; what was sent is stored beside, encrypted.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from datetime import date, time
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    model_validator,
)
from pydantic_core import PydanticCustomError

from services.intake import identifiers
from shared.contracts.envelope import Channel
from shared.contracts.people import PriorAnswer
from shared.contracts.referrals import Initiator, Need, OffenceClass, Plea, Risk, Stage, Supervisor

PartyRole = Literal["harmed", "responsible", "both"]
Sensitive = Literal[
    "sexual", "domestic_abuse", "hate", "homicide", "road_death", "serious_violence", "bereaved", "children"
]
LawfulBasis = Literal[
    "public_task", "legal_obligation", "vital_interests", "law_enforcement", "legitimate_interests"
]

MAX_PARTIES = 60  # a community conference has thirty people; twice that is still one incident
_LINE_BREAKS = "\n\r\t"


def wrong(what: str, remedy: str, field: str = "") -> PydanticCustomError:
    """Make a validation error that says what is wrong and what would be right. `field`: which one, of several together."""
    return PydanticCustomError("value", "{what}", {"what": what, "remedy": remedy, "field": field})


def _printable(allowed: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        if text.isprintable():  # nearly always; what is not may be a line break, or a wider space
            return text
        for character in text:
            if unicodedata.category(character) in ("Cc", "Cs") and character not in allowed:
                raise wrong(
                    "it contains a control character", "remove characters that cannot be printed, such as NUL"
                )
        return text

    return check


def _normal(normalise: Callable[[str], str]) -> AfterValidator:
    def check(text: str) -> str:
        try:
            return normalise(text)
        except ValueError as error:
            what, _, remedy = str(error).partition("; ")
            raise wrong(what, remedy or "send it as its source shows it, or leave the field out") from None

    return AfterValidator(check)


_PLAIN = AfterValidator(_printable(""))
_PROSE = AfterValidator(_printable(_LINE_BREAKS))
Short = Annotated[str, StringConstraints(min_length=1, max_length=40), _PLAIN]
Reference = Annotated[str, StringConstraints(min_length=1, max_length=100), _PLAIN]
Line = Annotated[str, StringConstraints(min_length=1, max_length=200), _PLAIN]
Evidence = Annotated[str, StringConstraints(min_length=1, max_length=1_000), _PROSE]
Needs = Annotated[str, StringConstraints(min_length=1, max_length=2_000), _PROSE]
Notes = Annotated[str, StringConstraints(min_length=1, max_length=20_000), _PROSE]
Language = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$")]
Code = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class Part(BaseModel):
    """What every part of a referral has in common: unknown fields are errors, types are not converted."""

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, str_strip_whitespace=True, hide_input_in_errors=True
    )


class Name(Part):
    """A name in parts, or whole when the parts are not known. A single name is a name."""

    forenames: Line | None = None
    surname: Line | None = None
    full: Line | None = None
    title: Short | None = None

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not (self.forenames or self.surname or self.full):
            raise wrong("it has no name", "give forenames, surname or full")
        return self


class Address(Part):
    """Where a person lives, lived or gets letters. `area` is the ONS police area, if the sender knows it."""

    lines: tuple[Line, ...] = Field(default=(), max_length=8)
    postcode: Annotated[str, _normal(identifiers.postcode)] | None = None
    area: Annotated[str, _normal(identifiers.police_area)] | None = None
    kind: Literal["home", "letters", "previous", "hostel", "prison"] = "home"
    safe: bool = True

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not (self.lines or self.postcode or self.area):
            raise wrong(
                "it has neither lines nor a postcode", "give lines or postcode, or leave the address out"
            )
        return self


Whose = Literal[
    "own", "shared", "partner", "parent", "guardian", "relative", "friend", "work", "hostel", "unknown"
]


class Phone(Part):
    """A telephone, whose it is, and whether it is safe to ring and to leave a message."""

    number: Annotated[str, _normal(identifiers.telephone)]
    whose: Whose = "own"
    safe: bool = True
    voicemail: bool = True


class Email(Part):
    """An e-mail address, whose it is, and whether it is safe to write to."""

    address: Annotated[str, _normal(identifiers.email)]
    whose: Whose = "own"
    safe: bool = True


class Identifiers(Part):
    """Numbers that name one person: police, criminal records, prison, probation, and the sender's own for the person."""

    pnc: Annotated[str, _normal(identifiers.pnc)] | None = None
    cro: Annotated[str, _normal(identifiers.cro)] | None = None
    noms: Annotated[str, _normal(identifiers.noms)] | None = None
    crn: Annotated[str, _normal(identifiers.crn)] | None = None
    own: Reference | None = None


class SafeHours(Part):
    """When contact is safe: ISO weekdays (1 = Monday) and local times, `until` excluded."""

    days: tuple[Annotated[int, Field(ge=1, le=7)], ...] = (1, 2, 3, 4, 5, 6, 7)
    start: time = time(9)
    until: time = time(20)

    @model_validator(mode="after")
    def _forwards(self) -> Self:
        if self.start >= self.until or not self.days:
            raise wrong(
                "no moment is left",
                "start must be before until (hours past midnight cannot be given), with a day at least",
            )
        if self.start.tzinfo or self.until.tzinfo:
            raise wrong("the times have an offset", "give local times of the clock in Britain, like 09:00")
        return self


class SafeContact(Part):
    """How the person may safely be contacted. What is not said is not restricted."""

    channels: tuple[Channel, ...] | None = None
    no_voicemail: bool = False
    no_letters: bool = False
    hours: SafeHours | None = None
    lives_with_responsible: bool = False
    interpreter: bool = False
    accessible_format: Reference | None = None
    contact_owner: Code | None = None  # agency id of an existing contact-owner, such as a victim liaison unit


class Prior(Part):
    """What the person had already told somebody. A "not now" needs the date that the person gave.

    no_answer: somebody approached them, and has had no answer yet: nobody else approaches until a person has looked at it.
    """

    by: Code
    answer: PriorAnswer | Literal["no_answer"]
    on: date | None = None
    means: Channel | None = None
    not_before: date | None = None
    evidence: Evidence | None = None

    @model_validator(mode="after")
    def _dated(self) -> Self:
        if self.answer == "not_now" and self.not_before is None:
            raise wrong("not_now has no date", "give not_before, the date that the person gave", "not_before")
        return self


def _which_prior(value: object) -> str:
    return "none" if isinstance(value, str) else "given"


PriorContact = Annotated[
    Annotated[Prior, Tag("given")] | Annotated[Literal["none"], Tag("none")], Discriminator(_which_prior)
]


class Agreement(Part):
    """What the person agreed to, by which words and means, when, and who recorded it."""

    scope: tuple[Literal["be_informed", "be_contacted", "take_part", "share"], ...] = Field(min_length=1)
    wording: Reference = Field(description="its version, such as 2026-1: published, so never a text")
    means: Literal["spoken", "written", "web"]
    on: date
    recorded_by: Line
    evidence: Evidence | None = None
    agencies: tuple[Code, ...] = Field(default=(), max_length=50)
    expires: date | None = None

    @model_validator(mode="after")
    def _holds(self) -> Self:
        if self.expires and self.expires < self.on:
            raise wrong("expires is before on", "give in expires the last day on which it holds", "expires")
        return self


class Human(Part):
    """What is known of a human being. Something is required: a name, or an identifier, or a way to reach them."""

    name: Name | None = None
    aliases: tuple[Name, ...] = Field(default=(), max_length=20)
    date_of_birth: Short | None = None
    sex: Literal["female", "male", "other", "unknown"] | None = None
    addresses: tuple[Address, ...] = Field(default=(), max_length=20)
    phones: tuple[Phone, ...] = Field(default=(), max_length=20)
    emails: tuple[Email, ...] = Field(default=(), max_length=20)
    identifiers: Identifiers = Identifiers()
    language: Language | None = None
    safe_contact: SafeContact = SafeContact()
    vulnerable: bool = False

    def anything(self) -> bool:
        """Whether there is anything at all by which the person could be known."""
        return bool(
            self.name
            or self.aliases
            or self.addresses
            or self.phones
            or self.emails
            or self.identifiers != Identifiers()
        )


class ContactPerson(Human):
    """Whoever is spoken to for a party: parent, guardian, family spokesperson, shop manager."""

    relation: Literal["parent", "guardian", "relative", "spokesperson", "manager", "advocate", "other"]


class Party(Human):
    """A person's part in the incident. `identified` is false for an offender whom nobody has identified yet.

    `needs` is prose, and stays here; `need_codes` are what policies ask about. `caseworker` and `liaison_officer` are the
    worker ids of those who work with the person already: neither facilitates. `supervising_kind`: where the agency that
    supervises the person is not known, and its kind is.
    """

    role: PartyRole
    identified: bool = True
    needs: Needs | None = None
    contact_person: ContactPerson | None = None
    supervising_agency: Code | None = None
    custody_agency: Code | None = None
    liaison_agency: Code | None = None
    supervising_kind: Supervisor | None = None
    caseworker: Code | None = None
    liaison_officer: Code | None = None
    need_codes: tuple[Need, ...] = ()
    risk: Risk = "unknown"
    enhanced_rights: bool = False
    admitted: bool | None = None
    willing: bool | None = None
    prior_contact: PriorContact | None = None
    agreement: Agreement | None = None

    @model_validator(mode="after")
    def _somebody(self) -> Self:
        if self.identified and not self.anything():
            raise wrong(
                "nothing says who this is",
                "give a name, an identifier, a telephone or an address, or set identified to false",
            )
        return self


class RegisterLead(Part):
    """Who leads already, in an older system's register. Only an import of a register may say so."""

    agency: Code
    worker: Code | None = None


class OtherParty(Part):
    """Another party of the same incident, known to the sender but not referred here."""

    role: PartyRole
    reference: Reference | None = None
    identified: bool = True


class Incident(Part):
    """What happened. A crime reference is unique only with its force. `domestic_burglary`: a burglary of a home."""

    offence_class: OffenceClass
    domestic_burglary: bool = False
    reference: Reference | None = None
    force: Annotated[str, _normal(identifiers.force)] | None = None
    pti_urn: Annotated[str, _normal(identifiers.pti_urn)] | None = None
    court_case: Annotated[str, _normal(identifiers.court_case)] | None = None
    offence_code: (
        Annotated[str, StringConstraints(min_length=1, max_length=20, pattern=r"^[A-Z0-9/]+$")] | None
    ) = None
    non_crime_kind: (
        Literal["neighbourhood", "school", "housing", "family", "workplace", "community"] | None
    ) = None
    on: date | None = None
    until: date | None = None
    area: Annotated[str, _normal(identifiers.local_area)] | None = None
    place: Annotated[str, _normal(identifiers.postcode)] | None = None
    sensitive: tuple[Sensitive, ...] = ()
    other_parties: tuple[OtherParty, ...] = Field(default=(), max_length=MAX_PARTIES)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.reference and not self.force and not self.non_crime_kind:
            raise wrong(
                "reference has no force",
                "give force, its two-digit code: a crime reference is unique only with it",
                "force",
            )
        if self.domestic_burglary and self.offence_class != "burglary":
            raise wrong(
                "domestic_burglary is said of another offence",
                "set offence_class to burglary, or leave domestic_burglary out",
                "domestic_burglary",
            )
        if self.until and (self.on is None or self.until < self.on):
            raise wrong("until is not after on", "give the first day in on, the last in until", "until")
        return self


class Dates(Part):
    """Dates of the proceedings that clocks run to."""

    plea: date | None = None
    hearing: date | None = None
    adjourned_to: date | None = None
    deferred_to: date | None = None
    sentence: date | None = None
    licence_end: date | None = None


class Referral(Part):
    """One agency's request that restorative justice be considered, under the agency's own reference and version.

    `prior_contact` and `agreement` speak of whoever was harmed, unless a party has its own. `programme` is the scheme
    through which the case comes, by the name that the partnership's policy gives it.
    """

    reference: Reference
    version: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    incident: Incident
    parties: tuple[Party, ...] = Field(min_length=1, max_length=MAX_PARTIES)
    stage: Stage
    dates: Dates = Dates()
    initiated_by: Initiator
    prior_contact: PriorContact
    agreement: Agreement | None = None
    lawful_basis: LawfulBasis | None = None
    sharing_agreement: Code | None = None
    chosen_on_remedy_document: bool = False
    programme: Code | None = None
    plea: Plea = "unknown"
    register_lead: RegisterLead | None = None
    notes: Notes | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not any(party.role in ("harmed", "both") for party in self.parties):
            raise wrong("no party was harmed", "give a party with the role harmed or both", "parties")
        if (
            self.agreement is None
            and self.lawful_basis is None
            and not any(party.agreement for party in self.parties)
        ):
            raise wrong(
                "nothing allows it to be shared",
                "give agreement, or lawful_basis, the basis on which it is shared",
                "lawful_basis",
            )
        return self

    def people(self) -> Iterator[tuple[int, Party | ContactPerson]]:
        """Yield every human of the referral with the position of their party: the party, then its contact person."""
        for position, party in enumerate(self.parties):
            yield position, party
            if party.contact_person is not None:
                yield position, party.contact_person
