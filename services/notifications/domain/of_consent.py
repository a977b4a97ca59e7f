"""What agencies are told of the contact with a person. The subject of these events is the person spoken to."""

from __future__ import annotations

from collections.abc import Iterator

from services.notifications.domain.book import Book, Entry, Notice, Restriction
from services.notifications.domain.tell import Data, entry, tell, to_hub, to_referrers
from shared.contracts import consent


@tell.register
def _refused(payload: consent.LeadRefused, notice: Notice, _book: Book) -> Iterator[Entry]:
    yield entry(notice, payload.agency, payload.case, payload.party, {"reason": payload.reason})


@tell.register
def _ended(payload: consent.LeadEnded, notice: Notice, book: Book) -> Iterator[Entry]:
    led = [part for part in book.led(notice.subject) if part.agency == payload.agency]
    ended = payload.cases or tuple(dict.fromkeys(part.case for part in led))
    seen = {"reason": payload.reason, "agency": payload.agency}
    for case in ended:
        yield entry(notice, payload.agency, case, notice.subject, {"reason": payload.reason})
        yield from to_hub(notice, book, case, notice.subject, seen)
    for part in led:
        if part.case in ended:
            book.end(part, notice.at)


@tell.register
def _handed_over(payload: consent.LeadHandedOver, notice: Notice, book: Book) -> Iterator[Entry]:
    person, reason = notice.subject, payload.reason
    for case in payload.cases:
        yield entry(notice, payload.source, case, person, {"reason": reason})
        yield entry(notice, payload.target, case, person, {"reason": reason, "worker": payload.worker})
        seen = {"reason": reason, "source": payload.source, "target": payload.target}
        yield from to_hub(notice, book, case, person, seen)
    for part in book.led(person):
        if part.agency == payload.source and part.case in payload.cases:
            book.end(part, notice.at)


@tell.register
def _withdrawn(payload: consent.ConsentWithdrawn, notice: Notice, book: Book) -> Iterator[Entry]:
    """Tell of a "no": whoever leads or has led the person, as well where its part is over.

    The case may have been closed because of this very "no", and the closure, of another topic, been heard first. And who led
    before may still hold what it needs to call.
    """
    person, scope, in_flight = notice.subject, payload.scope, list(payload.in_flight)
    led = book.ever_led(person)
    for case in payload.cases or dict.fromkeys(part.case for part in led):
        for part in led:
            if part.case == case:
                # What is in flight is the affair of who leads, or led last.
                theirs = part.agency in book.last_to_lead(case, part.about)
                data = {"scope": scope, "in_flight": in_flight if theirs else None}
                yield entry(notice, part.agency, case, part.about, data)
        for part in book.of(case, "lead"):
            if person not in (part.person, part.about):
                # The other side's lead must stop preparing, and need not know more than that.
                yield entry(notice, part.agency, case, None, {"side": "other"})
        seen = {"scope": scope, "by": payload.by, "via": payload.via, "in_flight": in_flight}
        yield from to_hub(notice, book, case, person, seen)
        yield from to_referrers(notice, book, case, {"scope": scope})
    for known in payload.cases or (None,):
        book.restrict(Restriction(person, notice.event, notice.kind, notice.at, known, {"scope": scope}))


def _standing(notice: Notice, book: Book, case: str | None, data: Data) -> Iterator[Entry]:
    """Tell of a standing: the person's leads and hubs the whole of it, referrers only what it now is."""
    person = notice.subject
    for part in book.led(person):
        if case in (None, part.case):
            yield entry(notice, part.agency, part.case, part.about, data)
    for concerned in (case,) if case else book.cases_of(person):
        yield from to_hub(notice, book, concerned, person, data)
        yield from to_referrers(notice, book, concerned, {"standing": data.get("standing")})


@tell.register
def _tightened(payload: consent.StandingTightened, notice: Notice, book: Book) -> Iterator[Entry]:
    data = {"level": payload.level, "standing": payload.standing, "reason": payload.reason}
    if payload.not_before:
        data["not_before"] = payload.not_before.isoformat()
    yield from _standing(notice, book, payload.case, data)
    book.restrict(Restriction(notice.subject, notice.event, notice.kind, notice.at, payload.case, data))


@tell.register
def _loosened(payload: consent.StandingLoosened, notice: Notice, book: Book) -> Iterator[Entry]:
    data = {"level": payload.level, "standing": payload.standing, "reason": payload.reason}
    yield from _standing(notice, book, payload.case, data)
    if payload.standing == "open":
        book.lift(notice.subject, (payload.case,))


@tell.register
def _reopened(payload: consent.StandingReopened, notice: Notice, book: Book) -> Iterator[Entry]:
    for case in payload.cases or (None,):
        yield from _standing(notice, book, case, {"reason": payload.reason})
    book.lift(notice.subject, payload.cases or (None,))


@tell.register
def _double_reach(payload: consent.DoubleReachFound, notice: Notice, book: Book) -> Iterator[Entry]:
    for agency in payload.agencies:
        yield entry(notice, agency, None, notice.subject, {})
    seen = {"other": payload.other, "agencies": list(payload.agencies)}
    for case in dict.fromkeys([*book.cases_of(notice.subject), *book.cases_of(payload.other)]):
        yield from to_hub(notice, book, case, notice.subject, seen)


@tell.register
def _overdue(payload: consent.AttemptOverdue, notice: Notice, book: Book) -> Iterator[Entry]:
    yield entry(notice, payload.agency, payload.case, notice.subject, {"permit": payload.permit})
    seen = {"permit": payload.permit, "agency": payload.agency}
    yield from to_hub(notice, book, payload.case, notice.subject, seen)


@tell.register
def _reached(payload: consent.PersonReached, notice: Notice, book: Book) -> Iterator[Entry]:
    seen = {"answer": payload.answer, "began": payload.began}
    yield from to_hub(notice, book, payload.case, notice.subject, seen)
