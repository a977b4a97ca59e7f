"""An older system's register, imported before the first day: who leads, who was approached, who said no.

Without it the first day makes second approaches. Each line becomes a referral of the agency that has the record, so that the
people in it are recognised, and bound by what was said, like everybody else.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Final, Literal, Self

import msgspec
from pydantic import Field, model_validator

from services.intake import documents
from services.intake.referral import Code, Human, Incident, Line, Part, Reference, wrong
from services.intake.remedies import Fault
from shared.contracts.envelope import Channel
from shared.contracts.referrals import Stage

_LONGEST: Final = 100  # characters of a reference


class Approached(Part):
    """Who had approached the person, and what the person said."""

    by: Code
    answer: Literal["yes", "not_now", "no", "no_answer"]
    on: date | None = None
    means: Channel | None = None
    not_before: date | None = None


class Entry(Part):
    """One line of a register. What has changed in it since it was imported comes again with a higher version."""

    register_: Annotated[Line, Field(alias="register", description="the older system's name")]
    record: Reference
    version: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    agency: Code
    person: Human
    role: Literal["harmed", "responsible", "both"] = "harmed"
    incident: Incident
    stage: Stage = "post_sentence"
    lead: Code | None = None
    worker: Code | None = None
    approached: Approached | None = None

    @model_validator(mode="after")
    def _somebody(self) -> Self:
        if not self.person.anything():
            raise wrong("nothing says who this is", "give a name, an identifier, a telephone or an address")
        # Cut short, two records would be one.
        if len(self.reference()) > _LONGEST:
            raise wrong("register and record are too long together", f"at most {_LONGEST - 1} characters")
        return self

    def reference(self) -> str:
        """Return the reference of the referral that it becomes."""
        return f"{self.register_}:{self.record}"


def document(raw: bytes) -> tuple[str, bytes]:
    """Return (agency, the referral as it would have posted it) for a line. Raises BadDocument."""
    entry, sent = documents.read(Entry, raw)
    party = {**sent["person"], "role": entry.role}
    if entry.approached is not None:
        party["prior_contact"] = sent["approached"]
    parties = [party]
    if entry.role == "responsible":
        parties.append({"role": "harmed", "identified": False})
    body: dict[str, Any] = {
        "reference": entry.reference(),
        "version": entry.version,
        "incident": sent["incident"],
        "parties": parties,
        "stage": entry.stage,
        "initiated_by": "agency",
        "prior_contact": "none",
        "lawful_basis": "public_task",
    }
    if entry.lead is not None:
        body["register_lead"] = {"agency": entry.lead} | ({"worker": entry.worker} if entry.worker else {})
    return entry.agency, msgspec.json.encode(body)


def renamed(found: list[Fault]) -> list[Fault]:
    """Return faults of the referral with the paths of the line that it was made from."""
    of = (("parties[0].prior_contact", "approached"), ("parties[0]", "person"))

    def named(path: str) -> str:
        return next((here + path[len(there) :] for there, here in of if path.startswith(there)), path)

    return [fault._replace(path=named(fault.path)) for fault in found]
