"""What intake answers, for its OpenAPI document. The tests hold every answer that they get against it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, Literal

from pydantic import BaseModel, Field

from services.intake.referral import Whose
from shared.contracts.envelope import Channel


class FieldProblem(BaseModel):
    """A field that was accepted and will not be used as it stands: what is the matter, and what would be right."""

    field: str
    problem: str
    remedy: str


class Received(BaseModel):
    """A version of a referral that is stored, for good."""

    referral: str
    version: int
    received_at: datetime
    warnings: list[FieldProblem]


class Line(BaseModel):
    """What became of a line: as if it had been posted alone. Accepted or seen: the fields of that answer; else a problem's.

    `line` is null in the last one of a batch that is too large.
    """

    line: int | None
    status: Literal[202, 200, 409, 413, 422, 500, 503]
    referral: str | None = None
    version: int | None = None
    received_at: datetime | None = None
    warnings: list[FieldProblem] | None = None
    type: str | None = None
    title: str | None = None
    detail: str | None = None
    errors: list[FieldProblem] | None = None


class CaseStatus(BaseModel):
    """A case that the referral is part of. `reason` is null where the sharing agreement does not let it be told."""

    case: str
    status: str
    reason: str | None
    until: datetime | None


class HoldStatus(BaseModel):
    """Why nobody works on it for now; `under_review` stands for what the agency cannot mend."""

    hold: str
    reason: str
    until: datetime | None
    since: datetime


class Status(BaseModel):
    """What became of a referral: of several cases the one that is furthest, and on_hold before all."""

    referral: str
    agency: str
    version: int
    status: str = Field(
        description="received, on_hold, rejected, matched, proposed, allocated, refused, closed, retracted"
    )
    reason: str | None
    received_at: datetime
    cases: list[CaseStatus]
    holds: list[HoldStatus]
    warnings: list[FieldProblem]


class Statuses(BaseModel):
    """The referrals under one reference: several where the agency has succeeded others."""

    referrals: list[Status]


class Retracted(BaseModel):
    """A referral that was taken back."""

    referral: str
    status: Literal["retracted"]


class Hold(BaseModel):
    """A hold. Its version is its ETag."""

    hold: str
    person: str | None
    case: str | None
    referral: str | None
    reason: str
    until: datetime | None
    since: datetime
    version: int
    lifted: bool


class Holds(BaseModel):
    """The holds that stand."""

    holds: list[Hold]


class Withdrawal(BaseModel):
    """How a withdrawal stands. Nothing is handed out from the moment at which it is recorded."""

    withdrawal: str
    state: Literal["recorded", "in_force", "needs_person", "reopened"]
    scope: Literal["case", "everything"]
    recorded_at: datetime
    outcome: Literal["clean", "in_flight"] | None = Field(None, description="once it is in force")
    in_flight: list[Any] | None = Field(
        None, description="contact that had begun before, and may still be under way"
    )
    in_force_at: datetime | None = None


class ReleasedHours(BaseModel):
    """ISO weekdays and local times, `until` excluded."""

    days: list[int]
    start: str
    until: str


class ReleasedSafety(BaseModel):
    """What to observe."""

    flags: list[str]
    hours: ReleasedHours | None
    language: str | None
    interpreter: bool
    accessible_format: str | None
    no_voicemail: bool


class ReleasedName(BaseModel):
    """A name in parts, or whole."""

    forenames: str | None = None
    surname: str | None = None
    full: str | None = None
    title: str | None = None


class ReleasedAddress(BaseModel):
    """An address that is safe to write to or visit."""

    lines: list[str]
    postcode: str | None
    kind: str


class Release(BaseModel):
    """The details that are safe for the permit's channel, the newest first; once, and never again for this permit.

    `whose`: of each telephone and e-mail address, whose it is: somebody else may answer. `use_by`: no contact begins later.
    """

    permit: str
    person: str
    party: str
    case: str
    purpose: str
    channel: Channel
    worker: str | None
    use_by: datetime
    outcome_due: datetime
    name: ReleasedName | None
    speaks_for: str | None
    phones: list[str] | None = None
    emails: list[str] | None = None
    addresses: list[ReleasedAddress] | None = None
    whose: dict[str, Whose]
    safe_contact: ReleasedSafety


class SelfReferred(BaseModel):
    """What somebody asked for themselves is kept until they confirm it."""

    self_referral: str
    next: str


class Confirmed(BaseModel):
    """A self-referral that is a referral now."""

    self_referral: str
    state: Literal["confirmed"]


class PersonContact(BaseModel):
    """How a person may be contacted, without details. A hub sees more: links, holds and what waits for a second person."""

    person: str
    channels: list[Channel]
    minor: bool
    flags: list[str]
    on_hold: bool
    erased: bool
    links: list[str] | None = None
    holds: dict[str, str] | None = None
    awaiting_second_person: list[Request] | None = None


class Person(BaseModel):
    """Whose details were corrected."""

    person: str


class Unlinked(BaseModel):
    """Two ids that are no longer linked."""

    person: str
    unlinked: str


class Parted(BaseModel):
    """A person of their own, who had been taken for another."""

    person: str
    split_from: str


class Awaiting(BaseModel):
    """Nothing is done yet: another worker has to ask for the same within seven days."""

    person: str
    state: Literal["awaiting_second_person"]


class Erased(BaseModel):
    """Whether everything is destroyed, and under which ids it was held."""

    person: str
    state: Literal["awaiting_second_person", "erased"]
    erased: list[str] | None = None


class Request(BaseModel):
    """What one worker asked for, and what became of it. `until`: when it lapses, or when it ended."""

    person: str
    what: Literal["erasure", "split", "unlink"]
    detail: str
    reason: str
    agency: str
    worker: str
    at: datetime
    until: datetime
    second_agency: str | None
    second_worker: str | None
    state: Literal["waiting", "done", "refused", "taken_back", "lapsed"]


class Requests(BaseModel):
    """What takes two people."""

    requests: list[Request]
    next: str | None


class NotDone(BaseModel):
    """What is not done, because the second person or the one who asked for it said so."""

    person: str
    state: Literal["refused", "taken_back"]


# What stands behind a link that is not ours, or too old.
OVER: Final[dict[int | str, dict[str, Any]]] = {
    404: {"description": "the link is not ours, or too old", "content": {"text/html": {}}}
}
