"""What comes in: events become notices, which the store turns into feed entries, once for a whole batch."""

from __future__ import annotations

from functools import partial
from typing import Any

from services.notifications import store
from services.notifications.domain import Notice
from services.notifications.messages import rows as message_rows
from shared.contracts import agencies, cases, consent, notifications, referrals
from shared.contracts.envelope import Envelope, Payload, datetime
from shared.runtime.handlers import Handlers
from shared.runtime.telemetry import current_traceparent
from shared.runtime.work import Work

handlers = Handlers()

TOLD: tuple[type[Payload], ...] = (
    cases.CaseAllocated,
    cases.CaseNeedsDecision,
    cases.CaseCleared,
    cases.CasePaused,
    cases.CaseResumed,
    cases.CaseClosed,
    cases.CasePartyLeft,
    cases.CaseAccepted,
    cases.CaseReturned,
    cases.CaseTeamChanged,
    cases.CheckRequested,
    cases.CheckAnswered,
    cases.CheckOverdue,
    cases.CheckReminded,
    cases.CaseQueued,
    cases.ClockMissed,
    cases.OutcomeRecorded,
    consent.LeadRefused,
    consent.LeadEnded,
    consent.LeadHandedOver,
    consent.ConsentWithdrawn,
    consent.StandingTightened,
    consent.StandingLoosened,
    consent.StandingReopened,
    consent.DoubleReachFound,
    consent.AttemptOverdue,
    consent.PersonReached,
    referrals.ReferralReceived,
    referrals.ReferralChanged,
    referrals.ReferralHeld,
    referrals.ReferralHoldLifted,
    referrals.ReferralRetracted,
    referrals.CaseFileJoined,
)


def _kind(event_type: str) -> str:
    """Return `case.allocated` for `case.allocated.v1`."""
    return event_type.rpartition(".v")[0]


def _note(work: Work, notice: Notice) -> None:
    work.write(store.publish, notice)
    work.after_commit(partial(store.BELL.ring, notice.told))


@handlers.event(*TOLD, locks=lambda _: ())
async def told(work: Work, event: Envelope) -> None:
    """Tell the agencies that have to know."""
    trace = current_traceparent() or event.traceparent
    _note(work, Notice(event.id, _kind(event.type), event.subject, event.time, work.now, event.data, trace))


@handlers.event(agencies.AgencyChanged, locks=lambda _: ())
async def agency_changed(work: Work, event: Envelope[agencies.AgencyChanged]) -> None:
    """Remember the agency's name, how people reach it, and its own sharing agreement."""
    payload = event.data
    row = (event.subject, payload.name, payload.sharing_agreement, payload.active, payload.desk)
    work.write(store.save_agencies, row)


@handlers.event(agencies.AgencySucceeded, locks=lambda _: ())
async def agency_succeeded(work: Work, event: Envelope[agencies.AgencySucceeded]) -> None:
    """From its moment on, what is addressed to the agency goes to its successor, who may read what went before."""
    payload = event.data
    work.write(store.save_successions, (event.subject, payload.successor, payload.since))
    due = max(payload.since, work.now)
    data = {"event": event.id, "successor": payload.successor, "since": payload.since.isoformat()}
    work.timer("succession", event.subject, due, data)


@handlers.timer("succession", locks=lambda _key, _data: ())
async def succession(work: Work, key: str, data: dict[str, Any]) -> None:
    """Tell the successor that it is one."""
    since = datetime.fromisoformat(data["since"])
    payload = agencies.AgencySucceeded(successor=data["successor"], since=since)
    _note(work, Notice(data["event"], "agency.succeeded", key, since, work.now, payload))


@handlers.restore(notifications.MessageAccepted)
async def accepted_restored(work: Work, event: Envelope) -> None:
    """After a restore of the database, take the permit's place again: its message must not be sent a second time."""
    work.write(message_rows.restore_accepted, event)


@handlers.restore(
    notifications.MessageSending,
    notifications.MessageSent,
    notifications.MessageUnknown,
    notifications.MessageNotMade,
)
async def step_restored(work: Work, event: Envelope) -> None:
    """After a restore of the database, put the message's row where its last event says it was."""
    work.write(message_rows.restore_step, event)
