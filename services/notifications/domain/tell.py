"""Who is told what: `tell`, and what all kinds of entry share.

A lead is told of its own party only; the hub sees the case; a referrer what its sharing agreement allows. What is told
are codes and ids: an agency that wants more asks the service that owns it, which decides again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import singledispatch

from services.notifications.domain.book import Book, Entry, Notice
from shared.contracts.envelope import Payload

Data = Mapping[str, object]

# The last word about something that the agency no longer sees: still sent, though its part is over.
LAST_WORDS = frozenset(
    {
        "attempt.overdue",
        "case.closed",
        "case.party_left",
        "consent.withdrawn",
        "double_reach.found",
        "lead.ended",
        "lead.handed_over",
        "lead.refused",
    }
)


@singledispatch
def tell(payload: Payload, _notice: Notice, _book: Book) -> Iterable[Entry]:
    """Return what agencies are told of an event, and bring the book up to date with it.

    One function for each payload class is registered in of_cases, of_consent and of_referrals. Raises TypeError for any
    other class.
    """
    message = f"no agency is told of {type(payload).__name__}"
    raise TypeError(message)


def entry(notice: Notice, agency: str, case: str | None, party: str | None, data: Data) -> Entry:
    """Return an entry about the notice; data that is None is left out."""
    kept = {name: value for name, value in data.items() if value is not None}
    return Entry(agency, notice.kind, notice.event, notice.at, case, party, kept, notice.trace)


def to_leads(notice: Notice, book: Book, case: str, data: Data) -> Iterator[Entry]:
    """Tell every lead of the case, once for each party that it leads."""
    for part in book.of(case, "lead"):
        yield entry(notice, part.agency, case, part.about, data)


def to_lead_of(party: str, notice: Notice, book: Book, case: str, data: Data) -> Iterator[Entry]:
    """Tell the lead of one party, and no other."""
    for part in book.of(case, "lead"):
        if part.about == party:
            yield entry(notice, part.agency, case, party, data)


def to_hub(notice: Notice, book: Book, case: str, party: str | None, data: Data) -> Iterator[Entry]:
    """Tell the hub."""
    for part in book.of(case, "hub"):
        yield entry(notice, part.agency, case, party, data)


def to_referrers(notice: Notice, book: Book, case: str, data: Data) -> Iterator[Entry]:
    """Tell each referring agency whose sharing agreement covers this kind of entry, once."""
    allowed = dict.fromkeys(
        part.agency for part in book.of(case, "referrer") if book.allows(part, notice.kind)
    )
    for agency in allowed:
        yield entry(notice, agency, case, None, data)


def to_all(notice: Notice, book: Book, case: str, data: Data) -> Iterator[Entry]:
    """Tell leads, hub and referrers the same."""
    yield from to_leads(notice, book, case, data)
    yield from to_hub(notice, book, case, None, data)
    yield from to_referrers(notice, book, case, data)
