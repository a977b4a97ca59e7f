"""Events of one person's contact, by consent. Topic `consent`, key: person_id of the person spoken to."""

from __future__ import annotations

from typing import Literal

from shared.contracts.envelope import Channel, Payload, Purpose, date, datetime, event
from shared.contracts.people import AgreementFact

Standing = Literal["open", "on_hold", "closed"]
Level = Literal["person", "case"]
Answer = Literal["agreed", "not_now", "declined"]
Outcome = Literal[
    "agreed",
    "not_now",
    "declined",
    "withdrew",
    "no_answer",
    "voicemail",
    "wrong_number",
    "unsafe",
    "delivered",
    "returned",
    "unknown",
    "not_made",
]


@event("consent", "lead.assigned")
class LeadAssigned(Payload, frozen=True, kw_only=True):
    """An agency is the lead for this person: the only one that can be given a permit.

    `tenure` numbers the person's leads from 1; a further case of the same lead keeps the number. `at`: when it was claimed.
    """

    claim: str
    case: str
    party: str
    agency: str
    worker: str | None = None
    tenure: int = 0
    at: datetime | None = None


@event("consent", "lead.refused")
class LeadRefused(Payload, frozen=True, kw_only=True):
    """A claim was refused, because another agency leads or the person is not to be contacted. Names no other agency."""

    claim: str
    case: str
    party: str
    agency: str
    reason: str


@event("consent", "lead.ended", restrictive=True)
class LeadEnded(Payload, frozen=True, kw_only=True):
    """The tenure is over; nobody leads until the next claim."""

    agency: str
    reason: str
    cases: tuple[str, ...] = ()


@event("consent", "lead.handed_over")
class LeadHandedOver(Payload, frozen=True, kw_only=True):
    """The lead moved, with all open cases of the person. `agreement`: the person named the target, or was never reached."""

    source: str
    target: str
    cases: tuple[str, ...]
    reason: str
    worker: str | None = None
    agreement: bool = False
    tenure: int = 0


@event("consent", "standing.tightened", restrictive=True)
class StandingTightened(Payload, frozen=True, kw_only=True):
    """Whether this person may be contacted became stricter, at the level of the person or of one case."""

    level: Level
    standing: Standing
    reason: str
    case: str | None = None
    not_before: date | None = None


@event("consent", "standing.loosened")
class StandingLoosened(Payload, frozen=True, kw_only=True):
    """Whether this person may be contacted became less strict."""

    level: Level
    standing: Standing
    reason: str
    case: str | None = None


@event("consent", "permit.granted")
class PermitGranted(Payload, frozen=True, kw_only=True):
    """Authority for one contact, fenced and short-lived."""

    permit: str
    fence: int
    case: str
    party: str
    agency: str
    purpose: Purpose
    channel: Channel
    expires: datetime
    worker: str | None = None


@event("consent", "permit.refused")
class PermitRefused(Payload, frozen=True, kw_only=True):
    """An agency asked and may not. `second_approach`: a near miss, an approach that would have been the second."""

    agency: str
    case: str
    reason: str
    purpose: Purpose = "approach"
    second_approach: bool = False


@event("consent", "permit.redeemed")
class PermitRedeemed(Payload, frozen=True, kw_only=True):
    """The permit was redeemed at intake; from now only a recorded outcome frees it.

    `approach`: the approach that this attempt belongs to, by the id of its first permit; `incidents` are what it covers.
    `sender`: the service that redeemed it for its holder, and alone knows whether it was used; None: the holder itself.
    """

    permit: str
    use_by: datetime
    outcome_due: datetime
    at: datetime | None = None
    approach: str | None = None
    incidents: tuple[str, ...] = ()
    sender: str | None = None


@event("consent", "permit.ended", restrictive=True)
class PermitEnded(Payload, frozen=True, kw_only=True):
    """A permit is over without an attempt: expired, revoked or given back."""

    permit: str
    how: Literal["expired", "revoked", "returned", "not_made"]
    reason: str | None = None


@event("consent", "attempt.recorded")
class AttemptRecorded(Payload, frozen=True, kw_only=True):
    """What became of an attempt. `unknown` counts as contacted. `resolved`: it was found out later, as a rule by the hub.

    `at` is given where nothing told of the attempt before: it was found, after a restore, among what had been released. Then
    `fence` is the holder's, who may still make it until `use_by`: before that nobody else can say what became of it.
    """

    permit: str
    case: str
    agency: str
    channel: Channel
    outcome: Outcome
    approach: str | None = None
    purpose: Purpose = "approach"
    resolved: bool = False
    at: datetime | None = None
    use_by: datetime | None = None
    fence: int = 0


@event("consent", "attempt.overdue")
class AttemptOverdue(Payload, frozen=True, kw_only=True):
    """An outcome was not recorded in time: a person at the hub has to find out."""

    permit: str
    agency: str
    case: str


@event("consent", "person.reached")
class PersonReached(Payload, frozen=True, kw_only=True):
    """The person has been spoken to and answered. `wide`: in an approach, so for every open case of the person."""

    answer: Answer
    case: str
    began: Literal["agency", "person"]
    wide: bool = False
    not_before: date | None = None
    agency: str | None = None
    at: datetime | None = None


@event("consent", "agreement.recorded")
class AgreementRecorded(Payload, frozen=True, kw_only=True):
    """What the person agreed to."""

    case: str | None
    agreement: AgreementFact
    recorded_by: str


@event("consent", "consent.withdrawn", restrictive=True)
class ConsentWithdrawn(Payload, frozen=True, kw_only=True):
    """The person takes part no longer: in these cases, or in anything (`cases` empty). Binds every agency at once."""

    scope: Literal["case", "everything"]
    by: Literal["person", "proxy", "agency", "link"]
    via: str
    withdrawal: str
    cases: tuple[str, ...] = ()
    in_flight: tuple[str, ...] = ()


@event("consent", "standing.reopened")
class StandingReopened(Payload, frozen=True, kw_only=True):
    """The person asked to take part after all (or an entry was made in error, confirmed by a second person)."""

    cases: tuple[str, ...]
    evidence: str
    reason: Literal["person_asked", "entered_in_error"]


@event("consent", "double_reach.found", restrictive=True)
class DoubleReachFound(Payload, frozen=True, kw_only=True):
    """A link showed that one human had been reached by two agencies: an incident, for the hub."""

    other: str
    agencies: tuple[str, ...]
