"""After a restore: rows that only the topics still knew of are written again from the cases as they are then.

The state of a case has been folded from its own events by then. What intake and consent said since the backup is consumed
again, because the offsets were restored with the rest, and fills in what events do not carry.
"""

from __future__ import annotations

from services.allocation.domain.state import CaseState, is_known
from services.allocation.handlers.carry import AGENCY, CASE
from services.allocation.store import registering, rows
from services.allocation.store.registry import rename
from shared.contracts import agencies, cases
from shared.contracts.envelope import Envelope
from shared.runtime.handlers import Handlers
from shared.runtime.work import Work

handlers = Handlers()


@handlers.restore(
    cases.CaseProposed,
    cases.CaseAllocated,
    cases.CaseNeedsDecision,
    cases.CaseQueued,
    cases.CaseCleared,
    cases.CaseClosed,
    cases.CaseAccepted,
    cases.CaseReturned,
    cases.CaseTeamChanged,
    cases.CaseTransferred,
    cases.CheckRequested,
    cases.CheckAnswered,
    cases.OutcomeRecorded,
)
async def case_restored(work: Work, event: Envelope) -> None:
    """Write the rows of a case."""
    state = work.state(CASE, event.subject)
    if is_known(state):
        rows.stage_rows(work, event.subject, CaseState(), state, (event.data,), {})


@handlers.restore(agencies.AgencyChanged, agencies.AgencySucceeded)
async def agency_restored(work: Work, event: Envelope) -> None:
    """Write the rows of an agency. Hours and skills of workers are in no event: they are as the backup has them."""
    work.write(registering.save_agencies, (event.subject, work.state(AGENCY, event.subject)))
    work.write(rename, None)
