"""What intake does about the others' events: the state of referrals, and whose telephone must not ring for somebody else."""

from __future__ import annotations

import msgspec

from services.intake import domain, facts
from services.intake.core import CASE_FILE, PERSON
from services.intake.store import following, people
from shared.contracts.agencies import AgencySucceeded
from shared.contracts.cases import (
    CaseAllocated,
    CaseClosed,
    CaseNeedsDecision,
    CasePaused,
    CaseProposed,
    CaseResumed,
    CaseReturned,
)
from shared.contracts.consent import (
    AttemptRecorded,
    ConsentWithdrawn,
    LeadEnded,
    PermitEnded,
    PermitRedeemed,
    PersonReached,
    StandingLoosened,
    StandingReopened,
    StandingTightened,
)
from shared.contracts.envelope import Envelope
from shared.contracts.referrals import ReferralFacts
from shared.runtime.handlers import Handlers
from shared.runtime.stream import Ref
from shared.runtime.work import Work

handlers = Handlers()


def _nothing(_: Envelope) -> list[Ref]:
    """These handlers only write rows that follow the event, so there is no key to lock."""
    return []


# ------------------------------------------------------------------------------------------------ what became of a case


@handlers.event(
    CaseProposed,
    CaseAllocated,
    CaseNeedsDecision,
    CasePaused,
    CaseResumed,
    CaseReturned,
    CaseClosed,
    locks=_nothing,
)
async def case_moved(work: Work, e: Envelope) -> None:
    """Keep what the referring agencies may be told of their referral's case."""
    match e.data:
        case CaseProposed(hub=hub, co_ordinator=other):
            row = following.CaseStatus(e.subject, "proposed", hubs=_hubs(hub, other))
        case CaseReturned():
            row = following.CaseStatus(e.subject, "proposed")
        case CaseAllocated(parties=parties, hub=hub, co_ordinator=other):
            led = any(party.agency for party in parties if party.role in ("harmed", "both"))
            row = following.CaseStatus(e.subject, "allocated" if led else "refused", hubs=_hubs(hub, other))
        case CaseNeedsDecision(hub=hub):
            row = following.CaseStatus(e.subject, "proposed", "needs_decision", hubs=_hubs(hub))
        case CasePaused(reason=reason, until=until):
            row = following.CaseStatus(e.subject, "on_hold", reason, until)
        case CaseResumed():
            row = following.CaseStatus(e.subject, "allocated")
        case CaseClosed(reason=reason):
            row = following.CaseStatus(e.subject, "closed", reason)
        case _:
            return
    work.write(following.save_case_status, row)


def _hubs(*said: str | None) -> tuple[str, ...]:
    return tuple(sorted({agency for agency in said if agency}))


# -------------------------------------------------------------------------------------------- whose telephone may ring


@handlers.event(PermitRedeemed, LeadEnded, PersonReached, ConsentWithdrawn, StandingTightened, StandingLoosened,
                StandingReopened, locks=_nothing)  # fmt: skip
async def ledger_moved(work: Work, e: Envelope) -> None:
    """Keep whose approach is live and who said no: the same telephone must not ring for another person meanwhile.

    Restrictive ones may come early, and again: setting a flag twice is setting it once.
    """
    match e.data:
        case PermitRedeemed():
            row = following.LedgerRow(e.subject, live=True)
        case LeadEnded():
            row = following.LedgerRow(e.subject, live=False)
        case PersonReached(answer=answer):
            row = following.LedgerRow(e.subject, refused=answer == "declined")
        case ConsentWithdrawn() | StandingTightened(level="person", standing="closed"):
            row = following.LedgerRow(e.subject, refused=True)
        case StandingReopened() | StandingLoosened(level="person", standing="open"):
            row = following.LedgerRow(e.subject, refused=False)
        case _:
            return
    work.write(following.save_ledger, row)
    if isinstance(e.data, StandingReopened):
        work.write(following.reopen, (e.subject, e.data.cases))


@handlers.event(PermitEnded, AttemptRecorded, locks=_nothing)
async def permit_over(work: Work, e: Envelope) -> None:
    """A permit that ended without contact frees the telephone that it had claimed. A contact leaves it claimed."""
    if isinstance(e.data, PermitEnded) or (
        isinstance(e.data, AttemptRecorded) and e.data.outcome == "not_made"
    ):
        work.write(following.drop_claims, e.data.permit)


@handlers.event(AgencySucceeded, locks=_nothing)
async def agency_succeeded(work: Work, e: Envelope) -> None:
    """A successor may ask about its predecessor's referrals."""
    assert isinstance(e.data, AgencySucceeded)  # noqa: S101 - registered for this class only
    work.write(following.save_succession, (e.subject, e.data.successor, e.data.since))


# ---------------------------------------------------------------------------------------------------------- birthdays


@handlers.timer("eighteenth", locks=lambda key, _: [(PERSON, key)])
async def eighteenth(work: Work, key: str, _: dict[str, object]) -> None:
    """A person has turned eighteen: from now they are spoken to themselves."""
    await work.execute(
        """UPDATE party SET safety = (safety::jsonb - 'minor')::json
           WHERE person = $1 AND safety IS NOT NULL AND safety::jsonb ? 'minor'""",
        key,
    )
    # Where details were corrected, that row is what counts.
    await work.execute(
        """UPDATE person_detail SET safety = (safety::jsonb - 'minor')::json
           WHERE person = $1 AND safety IS NOT NULL AND safety::jsonb ? 'minor'""",
        key,
    )
    await people.tell_safety(work, PERSON, key)
    await _tell_cases(work, key)


async def _tell_cases(work: Work, person: str) -> None:
    """Policies ask whether somebody is under 18: who decides cases hears of the birthday, not of its date."""
    rows = await work.fetch(
        """SELECT DISTINCT ON (c.referral, c.position) c.referral, c.position, c.case_id, c.facts
           FROM party AS p JOIN referral_case AS c ON c.referral = p.referral WHERE p.person = $1 AND p.current""",
        person,
    )
    await work.lock((PERSON, person), *((CASE_FILE, row["case_id"]) for row in rows))
    for row in rows:
        before = msgspec.json.decode(row["facts"], type=ReferralFacts)
        after = facts.of_age(before, person)
        told = domain.receive(work.state(CASE_FILE, row["case_id"]), after, before) if after != before else []
        if told:
            work.record(CASE_FILE, row["case_id"], *told)
            await work.execute(
                "UPDATE referral_case SET facts = $3 WHERE referral = $1 AND position = $2",
                row["referral"],
                row["position"],
                msgspec.json.encode(after).decode(),
            )
