"""What is sent to consent: every field checked here, once."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal, Self, TypeVar

from fastapi import Path
from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from shared.contracts.people import AgreementFact
from shared.runtime.times import Day

ID = r"^[A-Za-z0-9_.:-]{1,100}$"
CODE = r"^[a-z][a-z0-9_]{0,63}$"
Id = Annotated[str, Field(pattern=ID)]
Code = Annotated[str, Field(pattern=CODE, description="a reason code, never free text")]
PathId = Annotated[str, Path(pattern=ID)]
Channel = Literal["phone", "text", "email", "letter", "visit", "video"]
Outcome = Literal[
    "agreed", "not_now", "declined", "withdrew", "no_answer", "voicemail", "wrong_number", "unsafe", "delivered",
    "returned", "unknown", "not_made",
]  # fmt: skip
Fence = Annotated[int, Field(ge=1, le=2**53)]
# What points to the evidence, in the agency's own system. It is published, so it is a reference and never a text.
Evidence = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9_.:/-]{1,100}$", description="a reference, without spaces or names")
]


S = TypeVar("S")


class Shape(BaseModel):
    """Anything that is sent."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class Agreement(Shape):
    """What the person agreed to."""

    scope: Annotated[
        tuple[Literal["be_informed", "be_contacted", "take_part", "share"], ...],
        Field(min_length=1, max_length=4),
    ]
    agencies: Annotated[tuple[Id, ...], Field(max_length=20)] = ()
    wording: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{0,40}$", description="the wording's version")] = (
        ""
    )
    means: Literal["", "spoken", "written", "web", "phone", "text", "email", "letter", "visit", "video"] = ""
    on: Day | None = None
    expires: Day | None = None

    @field_validator("expires")
    @classmethod
    def _after_it_was_given(cls, expires: date | None, info: ValidationInfo) -> date | None:
        given = info.data.get("on")
        if expires is not None and given is not None and expires < given:
            message = "it is before on Remedy: Send the last day on which it holds, on or after on."
            raise ValueError(message)
        return expires

    def fact(self) -> AgreementFact:
        """Return it as events carry it."""
        return AgreementFact(
            scope=tuple(sorted(set(self.scope))),
            agencies=tuple(sorted(set(self.agencies))),
            wording=self.wording,
            means=self.means,
            on=self.on,
            expires=self.expires,
        )


class ContactCheck(Shape):
    """May I contact this party of this case?"""

    case: Id
    party: Id
    contact_person: Id | None = None


class PermitRequest(Shape):
    """A request for a permit. `person` is the party; `contact_person` who is spoken to, if that is somebody else."""

    case: Id
    person: Id
    contact_person: Id | None = None
    purpose: Literal["approach", "feedback", "conversation"] = "approach"
    channel: Channel
    worker: Id | None = Field(
        default=None, description="the worker who will make contact; the token's, if left out"
    )


class Redemption(Shape):
    """Intake's request: its latest sequence of everybody whom it has locked, by person.

    `sender`: the service that asked for the release on the holder's behalf; left out where the holder asked itself.
    `worker`: who presents the permit, where the token names one.
    """

    fence: Fence
    seen: Annotated[dict[Id, Annotated[int, Field(ge=0, le=2**53)]], Field(min_length=1, max_length=1000)]
    sender: Id | None = None
    worker: Annotated[str, Field(max_length=200)] | None = None


class Report(Shape):
    """What became of an attempt."""

    fence: Fence
    outcome: Outcome
    not_before: Day | None = Field(default=None, description="for not_now: the date that the person gave")
    agreement: Agreement | None = None
    scope: Literal["case", "everything"] = Field(default="case", description="for withdrew: from what")

    @model_validator(mode="after")
    def _dated(self) -> Self:
        if self.scope == "everything" and self.outcome != "withdrew":
            message = "scope and outcome disagree Remedy: Who says no to everything has withdrawn: send outcome withdrew."
            raise ValueError(message)
        return _with_date(self, self.outcome, self.not_before)


class InboundContact(Shape):
    """The person came of its own accord."""

    person: Id
    case: Id
    answer: Literal["agreed", "not_now", "declined"]
    not_before: Day | None = None
    agreement: Agreement | None = None

    @model_validator(mode="after")
    def _dated(self) -> Self:
        return _with_date(self, self.answer, self.not_before)


def _with_date(shape: S, answer: str, day: date | None) -> S:
    if answer == "not_now" and day is None:
        message = "not_before is missing Remedy: Send the date that the person gave for being asked again."
        raise ValueError(message)
    return shape


class NewAgreement(Agreement):
    """An agreement, for one case or (`case` left out) in general."""

    case: Id | None = None


class Reopening(Shape):
    """The person asks to take part after all: in these cases, or (none named) in anything."""

    cases: Annotated[tuple[Id, ...], Field(max_length=100)] = ()
    evidence: Evidence
    by: Literal["person", "recorded_authority"] = "person"


class HandedOut(Shape):
    """A release that may still be used, by intake's own word."""

    permit: Id
    channel: Channel
    use_by: AwareDatetime


class Withdrawal(Shape):
    """The person takes part no longer. `linked`: every other id that intake knew to be this human when it was stored.

    `handed_out`: releases of theirs that could be used when it was stored. A consent that was restored may not know of them.
    With scope case and no case named, nobody can say which case is meant: it is taken as everything.
    """

    scope: Literal["case", "everything"]
    cases: Annotated[tuple[Id, ...], Field(max_length=100)] = ()
    by: Literal["person", "proxy", "agency", "link"] = "person"
    withdrawal: Id | None = None
    linked: Annotated[tuple[Id, ...], Field(max_length=1000)] = ()
    handed_out: Annotated[tuple[HandedOut, ...], Field(max_length=1000)] = ()

    @model_validator(mode="after")
    def _scoped(self) -> Self:
        if self.scope == "everything" and self.cases:
            message = "scope and cases disagree Remedy: Name the cases with scope case, and none with scope everything."
            raise ValueError(message)
        return self


class Correction(Shape):
    """A no that was entered in error: of one person, in these cases or (none named) in all."""

    person: Id
    cases: Annotated[tuple[Id, ...], Field(max_length=100)] = ()
    evidence: Evidence


class Restriction(Shape):
    """Allocation pauses or closes a case, or takes back the lead of one person of it."""

    kind: Literal["pause", "close", "reassign"]
    reason: Code
    restriction: Id | None = None
    until: datetime | None = None
    person: Id | None = None
    joined_into: Id | None = None

    @model_validator(mode="after")
    def _of_whom(self) -> Self:
        if (self.kind == "reassign") != (self.person is not None):
            message = "kind and person disagree Remedy: Name the person with kind reassign, and only then."
            raise ValueError(message)
        return self


class HandOver(Shape):
    """Allocation moves a person's lead."""

    target: Id
    worker: Id | None = None
    reason: Code = "handed_over"


class Resolution(Shape):
    """What a person at the hub found out about an attempt; or (`safe_again`) that an unsafe contact is safe now."""

    outcome: Outcome | None = None
    safe_again: bool = False
    not_before: Day | None = None
    agreement: Agreement | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.outcome is None) != self.safe_again:
            message = "outcome and safe_again disagree Remedy: Send exactly one of them."
            raise ValueError(message)
        return _with_date(self, self.outcome or "", self.not_before)
