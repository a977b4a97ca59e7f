"""An older system's register, imported before the first day: who leads, who was approached, who said no.

Without it the first day makes second approaches. Each line becomes a referral of the agency that has the record, so that the
people in it are recognised, and bound by what was said, like everybody else.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal, Self

import msgspec
from pydantic import Field, ValidationError, model_validator

from services.intake.doorstep import BadReferral
from services.intake.referral import Code, Human, Incident, Line, Part, Reference, wrong
from services.intake.remedies import NOT_JSON, Fault, faults
from shared.contracts.envelope import Channel
from shared.contracts.referrals import Stage


class Approached(Part):
    """Who had approached the person, and what the person said."""

    by: Code
    answer: Literal["yes", "not_now", "no", "no_answer"]
    on: date | None = None
    means: Channel | None = None
    not_before: date | None = None


class Entry(Part):
    """One line of a register."""

    register_: Annotated[Line, Field(alias="register", description="the older system's name")]
    record: Reference
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
        return self


def document(raw: bytes) -> tuple[str, bytes]:
    """Return (agency, the referral as it would have posted it) for a line. Raises BadReferral."""
    try:
        entry = Entry.model_validate_json(raw)
        sent: dict[str, Any] = msgspec.json.decode(raw)
    except ValidationError as error:
        raise BadReferral(faults(error)) from None
    except msgspec.DecodeError:  # what only one of the two takes for JSON, such as NaN
        raise BadReferral([NOT_JSON]) from None
    party = {**sent["person"], "role": entry.role}
    if entry.approached is not None:
        party["prior_contact"] = sent["approached"]
    parties = [party]
    if entry.role == "responsible":
        parties.append({"role": "harmed", "identified": False})
    body: dict[str, Any] = {
        "reference": f"{entry.register_}:{entry.record}"[:100],
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
    return [fault._replace(path=fault.path.replace("parties[0]", "person")) for fault in found]
