"""What the agency that sent a referral is told of it, whatever its agreement says: it is the one to put it right."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from services.notifications.domain.book import Book, Entry, Notice, Part
from services.notifications.domain.tell import Data, entry, tell, to_hub, to_leads
from shared.contracts import referrals
from shared.contracts.agencies import AgencySucceeded
from shared.contracts.states import replace


def _refers(facts: referrals.ReferralFacts, notice: Notice, book: Book) -> None:
    book.begin(
        Part(
            notice.subject,
            "referrer",
            facts.agency,
            facts.referral,
            sharing=facts.sharing_agreement,
            since=notice.at,
        )
    )


@tell.register
def _received(payload: referrals.ReferralReceived, notice: Notice, book: Book) -> Iterable[Entry]:
    _refers(payload.facts, notice, book)
    return ()


@tell.register
def _changed(payload: referrals.ReferralChanged, notice: Notice, book: Book) -> Iterable[Entry]:
    _refers(payload.facts, notice, book)
    return ()


def _to_sender(referral: str, notice: Notice, book: Book, data: Data) -> Iterator[Entry]:
    for part in book.of(notice.subject, "referrer"):
        if part.about == referral:
            yield entry(notice, part.agency, notice.subject, None, {"referral": referral} | dict(data))


@tell.register
def _held(payload: referrals.ReferralHeld, notice: Notice, book: Book) -> Iterator[Entry]:
    data = {
        "hold": payload.hold,
        "reason": payload.reason,
        "missing": list(payload.missing),
        "until": payload.until.isoformat() if payload.until else None,
    }
    yield from _to_sender(payload.referral, notice, book, data)


@tell.register
def _hold_lifted(payload: referrals.ReferralHoldLifted, notice: Notice, book: Book) -> Iterator[Entry]:
    yield from _to_sender(payload.referral, notice, book, {"hold": payload.hold, "reason": payload.reason})


@tell.register
def _retracted(payload: referrals.ReferralRetracted, notice: Notice, book: Book) -> Iterator[Entry]:
    data = {"remaining": payload.remaining}
    yield from to_leads(notice, book, notice.subject, data)
    yield from to_hub(notice, book, notice.subject, None, data)
    # Also of a part that is not known yet: it may come by a joining that is told under another key, and heard late.
    gone = Part(notice.subject, "referrer", payload.agency, payload.referral)
    book.end(book.get(gone.key) or gone, notice.at)


@tell.register
def _joined(payload: referrals.CaseFileJoined, notice: Notice, book: Book) -> Iterable[Entry]:
    for part in book.of(notice.subject, "referrer"):
        book.begin(replace(part, case=payload.into))
    return ()


@tell.register
def _succeeded(payload: AgencySucceeded, notice: Notice, _book: Book) -> Iterator[Entry]:
    data = {"predecessor": notice.subject, "since": payload.since.isoformat()}
    yield entry(notice, payload.successor, None, None, data)
