"""What consent takes in without telling it again: facts that only change a state here, and commands that ask for a decision.

Commands carry the time and every new id: a decision reads no clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from shared.contracts.cases import Limits
from shared.contracts.consent import Answer, Outcome
from shared.contracts.envelope import Channel, Purpose, Role, date, datetime
from shared.contracts.people import AgreementFact

# --- facts of a person


@dataclass(frozen=True, slots=True)
class Named:
    """A claim names this id in a case, before or after intake has told of it."""

    case: str
    incident: str
    role: Role
    agency: str
    speaks_for: tuple[str, ...] = ()
    contact_persons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cleared:
    """The checks that gate this party's approach in a case are answered."""

    case: str
    limits: Limits


@dataclass(frozen=True, slots=True)
class CaseAgain:
    """A case that was over goes on."""

    case: str


@dataclass(frozen=True, slots=True)
class CaseOver:
    """A case of this id is closed. `into`: it goes on as another."""

    case: str
    into: str | None = None


@dataclass(frozen=True, slots=True)
class GoesOn:
    """What this id has said of a case is about another, which came out of it. It may be in the first one still."""

    case: str
    into: str


@dataclass(frozen=True, slots=True)
class Linked:
    """This id and another are one human: the decision of this number about the pair."""

    other: str
    number: int


@dataclass(frozen=True, slots=True)
class Unlinked:
    """They are two after all: the decision of this number about the pair."""

    other: str
    number: int


@dataclass(frozen=True, slots=True)
class MayHaveReached:
    """An attempt under this permit was made when these others were, or may have been, the same human."""

    permit: str
    others: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OwnVoice:
    """This id is spoken to itself in a case from now on: it has no contact person there any more."""

    case: str


@dataclass(frozen=True, slots=True)
class SpeaksNoMore:
    """This id is spoken to for that party in a case no longer."""

    case: str
    party: str


@dataclass(frozen=True, slots=True)
class WorkerNamed:
    """The lead agency has named the worker who speaks to this person."""

    agency: str
    worker: str


# --- facts of a case


@dataclass(frozen=True, slots=True)
class Joined:
    """A person belongs to this case."""

    person: str
    role: Role


@dataclass(frozen=True, slots=True)
class Left:
    """A person belongs to this case no longer."""

    person: str


@dataclass(frozen=True, slots=True)
class Paused:
    """No contact in this case until this pause is over."""

    pause: str
    reason: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Resumed:
    """This pause is over; "" ends all of them."""

    pause: str


@dataclass(frozen=True, slots=True)
class Closed:
    """The case is over."""

    reason: str


Fact = (
    Named
    | Cleared
    | CaseOver
    | GoesOn
    | Linked
    | Unlinked
    | MayHaveReached
    | OwnVoice
    | SpeaksNoMore
    | WorkerNamed
)
CaseFact = Joined | Left | Paused | Resumed | Closed


# --- commands


@dataclass(frozen=True, slots=True)
class Context:
    """What surrounds a question: agencies that were succeeded, workers' deputies, and what makes any answer a no.

    `successors`: agency -> its successor, in force now. `deputies`: worker -> the deputy that it names. `parked`: an event
    of somebody concerned waits here. `restored`: this database came back from a copy and is not reconciled yet.
    """

    now: datetime
    successors: Mapping[str, str] = field(default_factory=dict)
    deputies: Mapping[str, str] = field(default_factory=dict)
    parked: bool = False
    restored: bool = False


@dataclass(frozen=True, slots=True)
class Ask:
    """May this agency contact `spoken_to` about `party` in `case`? `channel` None: any (advice only)."""

    case: str
    party: str
    spoken_to: str
    agency: str
    worker: str | None
    purpose: Purpose
    channel: Channel | None


@dataclass(frozen=True, slots=True)
class Redeem:
    """Intake redeems a permit. `behind`: of somebody in intake's causal token, not everything has been applied here.

    `sender`: the service that has asked intake for the release, on behalf of the holder. `worker`: who presents it, if the
    token names somebody.
    """

    permit: str
    person: str
    fence: int
    behind: bool
    sender: str | None = None
    worker: str | None = None


@dataclass(frozen=True, slots=True)
class Released:
    """What intake says it has handed out under a permit, and when. `use_by`: how long it can be used, if intake says so."""

    permit: str
    person: str
    case: str
    agency: str
    channel: Channel
    at: datetime
    fence: int = 0
    use_by: datetime | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of an attempt, by its holder. `agency` None: by intake, which released it for the holder.

    `service`: the service that reports, for the holder or for itself; None: an agency.
    """

    permit: str
    person: str
    fence: int
    outcome: Outcome
    agency: str | None
    not_before: date | None = None
    agreement: AgreementFact | None = None
    everything: bool = False
    service: str | None = None


@dataclass(frozen=True, slots=True)
class Resolve:
    """A person at the hub has found out what became of an attempt (or that an unsafe contact is safe now: `lifted`)."""

    permit: str
    person: str
    attempt: Attempted
    outcome: Outcome
    by: str
    not_before: date | None = None
    agreement: AgreementFact | None = None
    lifted: bool = False


@dataclass(frozen=True, slots=True)
class Attempted:
    """What the permit's row says of an attempt, for one that is no longer the ledger's live permit."""

    case: str
    party: str
    agency: str
    channel: Channel
    purpose: Purpose


@dataclass(frozen=True, slots=True)
class Withdraw:
    """People (all ids given for one human) take part no longer: in these cases, or in anything (`cases` empty).

    `unaccounted`: permits under which details were handed out that may still be used, though no ledger says so.
    """

    withdrawal: str
    people: tuple[str, ...]
    cases: tuple[str, ...]
    by: Literal["person", "proxy", "agency", "link"]
    via: str
    unaccounted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reopen:
    """The person asks to take part after all: in these cases, or in anything (`cases` empty)."""

    person: str
    cases: tuple[str, ...]
    evidence: str
    reason: Literal["person_asked", "entered_in_error"]
    agency: str


@dataclass(frozen=True, slots=True)
class Inbound:
    """The person rang, wrote or came, and answered."""

    person: str
    case: str
    agency: str
    answer: Answer
    not_before: date | None = None
    agreement: AgreementFact | None = None


@dataclass(frozen=True, slots=True)
class Agree:
    """The lead records what the person agreed to."""

    person: str
    case: str | None
    agency: str
    fact: AgreementFact


@dataclass(frozen=True, slots=True)
class HandOver:
    """Allocation asks for a person's lead to move."""

    person: str
    target: str
    worker: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class Restrict:
    """Allocation pauses or closes a case, or takes back the lead of one person of it (`person`) to claim it anew."""

    case: str
    kind: Literal["pause", "close", "reassign"]
    restriction: str
    reason: str
    until: datetime | None = None
    person: str | None = None
    joined_into: str | None = None
