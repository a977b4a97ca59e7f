"""What agencies are told of the events of a case."""

from __future__ import annotations

from collections.abc import Iterator

from services.notifications.domain.book import Book, Entry, Notice, Part
from services.notifications.domain.tell import entry, tell, to_all, to_hub, to_lead_of, to_leads, to_referrers
from shared.contracts import cases


def _set_hub(notice: Notice, book: Book, hub: str | None) -> None:
    if hub is None:
        return
    for part in book.of(notice.subject, "hub"):
        if part.agency != hub:
            book.end(part, notice.at)
    book.begin(Part(notice.subject, "hub", hub, since=notice.at))


@tell.register
def _allocated(payload: cases.CaseAllocated, notice: Notice, book: Book) -> Iterator[Entry]:
    _set_hub(notice, book, payload.hub)
    led = {(party.agency, party.party) for party in payload.parties}
    for part in book.of(notice.subject, "lead"):
        if (part.agency, part.about) not in led:
            book.end(part, notice.at)
    for party in payload.parties:
        if party.agency is not None:
            yield from _allocated_to(party.agency, party, notice, book)
    parties = [
        {"party": p.party, "role": p.role, "agency": p.agency, "refused": p.refused} for p in payload.parties
    ]
    seen = {"rule": payload.rule, "partnership": payload.partnership, "parties": parties}
    yield from to_hub(notice, book, notice.subject, None, seen | {"policy_version": payload.policy_version})
    yield from to_referrers(notice, book, notice.subject, {})


def _allocated_to(agency: str, party: cases.AllocatedParty, notice: Notice, book: Book) -> Iterator[Entry]:
    """Tell one lead of its own party; nothing if the case was published again because of somebody else's part."""
    case = notice.subject
    part = Part(case, "lead", agency, party.party, party.person, party.worker, party.checks, since=notice.at)
    known = book.get(part.key)
    part, changed = book.begin(part)
    if not changed:
        return
    data = {"person": party.person, "role": party.role, "worker": party.worker, "checks": list(party.checks)}
    yield entry(notice, agency, case, party.party, data)
    if known is None or not known.live:
        # What restricts contact with the person may have come before there was a lead to tell.
        for person in dict.fromkeys((party.person, party.party)):
            for news in book.restricting(person, case):
                yield Entry(
                    agency, news.kind, news.event, news.at, case, party.party, news.data, notice.trace
                )


@tell.register
def _needs_decision(payload: cases.CaseNeedsDecision, notice: Notice, book: Book) -> Iterator[Entry]:
    _set_hub(notice, book, payload.hub)
    if book.of(notice.subject, "hub"):
        data = {"reason": payload.reason, "options": list(payload.options)}
        yield from to_hub(notice, book, notice.subject, None, data)
        return
    # Nobody co-ordinates this case: whoever sent it must know that it stands still, whatever its agreement says.
    for agency in dict.fromkeys(part.agency for part in book.of(notice.subject, "referrer")):
        yield entry(notice, agency, notice.subject, None, {"reason": payload.reason})


@tell.register
def _cleared(payload: cases.CaseCleared, notice: Notice, book: Book) -> Iterator[Entry]:
    for cleared in payload.parties:
        limits = cleared.limits
        data = {
            "attempts": limits.attempts,
            "gap_days": limits.gap_days,
            "approach_gap_days": limits.approach_gap_days,
            "days": list(limits.hours.days),
            "start": limits.hours.start.isoformat("minutes"),
            "until": limits.hours.until.isoformat("minutes"),
            "channels": list(limits.channels),
            "outcome_due_hours": limits.outcome_due_hours,
        }
        yield from to_lead_of(cleared.party, notice, book, notice.subject, data)
        yield from to_hub(notice, book, notice.subject, cleared.party, {})


@tell.register
def _paused(payload: cases.CasePaused, notice: Notice, book: Book) -> Iterator[Entry]:
    until = payload.until.isoformat() if payload.until else None
    yield from to_all(notice, book, notice.subject, {"reason": payload.reason, "until": until})


@tell.register
def _resumed(payload: cases.CaseResumed, notice: Notice, book: Book) -> Iterator[Entry]:
    yield from to_all(notice, book, notice.subject, {"reason": payload.reason})


@tell.register
def _closed(payload: cases.CaseClosed, notice: Notice, book: Book) -> Iterator[Entry]:
    yield from to_all(
        notice, book, notice.subject, {"reason": payload.reason, "joined_into": payload.joined_into}
    )
    for part in book.of(notice.subject, "lead", "asked"):
        book.end(part, notice.at)


@tell.register
def _party_left(payload: cases.CasePartyLeft, notice: Notice, book: Book) -> Iterator[Entry]:
    """Who led somebody that no referral names in the case any more has no part in it: the rest is other people's affair."""
    yield from to_lead_of(payload.party, notice, book, notice.subject, {"reason": payload.reason})
    yield from to_hub(notice, book, notice.subject, payload.party, {"reason": payload.reason})
    for part in book.of(notice.subject, "lead"):
        if part.about == payload.party:
            book.end(part, notice.at)


@tell.register
def _accepted(payload: cases.CaseAccepted, notice: Notice, book: Book) -> Iterator[Entry]:
    yield from to_hub(notice, book, notice.subject, None, {"agency": payload.agency})


@tell.register
def _returned(payload: cases.CaseReturned, notice: Notice, book: Book) -> Iterator[Entry]:
    data = {"agency": payload.agency, "reason": payload.reason}
    yield from to_hub(notice, book, notice.subject, None, data)


@tell.register
def _team_changed(_payload: cases.CaseTeamChanged, notice: Notice, book: Book) -> Iterator[Entry]:
    yield from to_leads(notice, book, notice.subject, {})
    yield from to_hub(notice, book, notice.subject, None, {})


@tell.register
def _requested(payload: cases.CheckRequested, notice: Notice, book: Book) -> Iterator[Entry]:
    due = payload.due.isoformat() if payload.due else None
    book.begin(Part(notice.subject, "asked", payload.of, payload.check, since=notice.at))
    data = {"check": payload.check, "kind": payload.kind, "due": due}
    yield entry(notice, payload.of, notice.subject, payload.party, data)


@tell.register
def _answered(payload: cases.CheckAnswered, notice: Notice, book: Book) -> Iterator[Entry]:
    data = {"check": payload.check, "kind": payload.kind, "satisfied": payload.satisfied}
    yield from to_lead_of(payload.party, notice, book, notice.subject, data)
    yield from to_hub(notice, book, notice.subject, payload.party, data | {"of": payload.of})
    for part in book.of(notice.subject, "asked"):
        if part.about == payload.check:
            book.end(part, notice.at)


@tell.register
def _overdue(payload: cases.CheckOverdue, notice: Notice, book: Book) -> Iterator[Entry]:
    data = {"check": payload.check, "kind": payload.kind, "due": payload.due.isoformat()}
    yield entry(notice, payload.of, notice.subject, payload.party, data)
    yield from to_hub(notice, book, notice.subject, payload.party, data | {"of": payload.of})


@tell.register
def _reminded(payload: cases.CheckReminded, notice: Notice, book: Book) -> Iterator[Entry]:  # noqa: ARG001 - as all
    data = {"check": payload.check, "kind": payload.kind, "due": payload.due.isoformat()}
    yield entry(notice, payload.of, notice.subject, payload.party, data)


@tell.register
def _queued(payload: cases.CaseQueued, notice: Notice, book: Book) -> Iterator[Entry]:
    _set_hub(notice, book, payload.hub)
    due = payload.due.isoformat() if payload.due else None
    yield from to_hub(notice, book, notice.subject, None, {"agency": payload.agency, "due": due})


@tell.register
def _missed(payload: cases.ClockMissed, notice: Notice, book: Book) -> Iterator[Entry]:
    data = {"clock": payload.clock, "due": payload.due.isoformat()}
    yield from to_leads(notice, book, notice.subject, data)
    yield from to_hub(notice, book, notice.subject, None, data)


@tell.register
def _outcome(payload: cases.OutcomeRecorded, notice: Notice, book: Book) -> Iterator[Entry]:
    data = {"form": payload.form, "agreement": payload.agreement, "fulfilled": payload.fulfilled}
    yield from to_all(notice, book, notice.subject, data)
