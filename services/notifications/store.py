"""The feed's rows: who has a part in which case, and each agency's numbered entries.

What is told runs once for a batch of events, at the end of its transaction: one statement to lock, four to read, up to five
to write, whatever the size of the batch.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import date, datetime
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import msgspec

from services.notifications.domain import (
    Book,
    Entry,
    LaneState,
    MessageState,
    Notice,
    Part,
    Restriction,
    cursor,
    lane,
    message,
    tell,
)
from shared.contracts import agencies, cases, consent, notifications, referrals
from shared.contracts.envelope import Payload
from shared.contracts.sharing import agreements
from shared.runtime.stream import Stream
from shared.runtime.telemetry import counter
from shared.runtime.work import Connection

log = logging.getLogger(__name__)
LONDON = ZoneInfo("Europe/London")  # whose days agreements begin and end with
UNHEARD = counter("decisions_unheard", "cases that need a decision and had no agency to tell of it")

LANE = Stream(
    kind="lane",
    topic="notifications",
    state=LaneState,
    evolve=lane.evolve,
    payloads=(
        notifications.DeliverySucceeded,
        notifications.DeliveryFailed,
        notifications.DeliveryRedriven,
    ),
)
MESSAGE = Stream(
    kind="message",
    topic="notifications",
    state=MessageState,
    evolve=message.evolve,
    payloads=(
        notifications.MessageAccepted,
        notifications.MessageSending,
        notifications.MessageSent,
        notifications.MessageUnknown,
        notifications.MessageNotMade,
    ),
)

# What is told of a person is decided from what is known of the cases, and the other way round, by events of different
# topics. Without this lock two transactions, each blind to the other's rows, could both tell nobody.
_LOCK_PEOPLE = """
SELECT pg_advisory_xact_lock(key) FROM (
  SELECT DISTINCT hashtextextended(person, 3) AS key FROM unnest($1::text[]) AS person ORDER BY 1) AS wanted
"""
# Key by key (OFFSET 0 keeps the planner from turning it round): with lists in the conditions, it reads whole indexes of a
# table that it believes to be small.
_PARTS = """
WITH wanted(case_id) AS (
  SELECT unnest($1::text[])
  UNION SELECT l.case_id FROM unnest($2::text[]) AS w(id)
    CROSS JOIN LATERAL (SELECT case_id FROM part WHERE role = 'lead' AND person = w.id OFFSET 0) AS l
  UNION SELECT l.case_id FROM unnest($2::text[]) AS w(id)
    CROSS JOIN LATERAL (SELECT case_id FROM part WHERE role = 'lead' AND about <> '' AND about = w.id OFFSET 0) AS l
)
SELECT p.* FROM wanted CROSS JOIN LATERAL (
  SELECT case_id, role, agency, about, person, worker, checks, sharing, since, ended FROM part
  WHERE part.case_id = wanted.case_id OFFSET 0) AS p
"""
_RESTRICTIONS = """
SELECT person, event_id::text AS event, kind, at, case_id, data FROM restriction WHERE person = ANY($1::text[])
"""
_AGENCIES = "SELECT agency, sharing, successor, since FROM agency WHERE agency = ANY($1::text[]) OR successor IS NOT NULL"
_SAVE_PARTS = """
INSERT INTO part (case_id, role, agency, about, person, worker, checks, sharing, since, ended)
SELECT case_id, role, agency, about, person, worker, string_to_array(checks, ','), sharing, since, ended
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
            $9::timestamptz[], $10::timestamptz[])
  AS p(case_id, role, agency, about, person, worker, checks, sharing, since, ended)
ORDER BY case_id, role, agency, about
ON CONFLICT (case_id, role, agency, about) DO UPDATE
SET person = excluded.person, worker = excluded.worker, checks = excluded.checks, sharing = excluded.sharing,
    since = excluded.since, ended = excluded.ended
"""
_LIFT = """
DELETE FROM restriction AS r USING unnest($1::text[], $2::uuid[], $3::text[]) AS l(person, event_id, case_id)
WHERE r.person = l.person AND r.event_id = l.event_id AND r.case_id = l.case_id
"""
_RESTRICT = """
INSERT INTO restriction (person, event_id, case_id, kind, at, data)
SELECT * FROM unnest($1::text[], $2::uuid[], $3::text[], $4::text[], $5::timestamptz[], $6::json[])
ON CONFLICT DO NOTHING
"""
_KNOWN = """
SELECT event_id::text, agency, kind, case_id, party FROM feed WHERE event_id = ANY($1::uuid[])
"""
# The counter's row stays locked until the commit: so numbers have no gaps, and become visible in their order. It comes last
# in a transaction, agencies in the order of their ids, because every other writer of that feed waits from here.
_NUMBERS = """
INSERT INTO feed_counter (agency, last, witness)
SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS c(agency, entries, marks) ORDER BY agency
ON CONFLICT (agency) DO UPDATE SET last = feed_counter.last + excluded.last,
  witness = (feed_counter.witness + excluded.witness) & 4611686018427387903
RETURNING agency, last, witness
"""
_WRITE_FEED = """
INSERT INTO feed (agency, number, at, kind, case_id, party, data, event_id, trace, witness)
SELECT * FROM unnest($1::text[], $2::bigint[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::json[], $8::uuid[],
                     $9::text[], $10::bigint[])
"""
_SAVE_AGENCY = """
INSERT INTO agency (agency, name, sharing, active, desk) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (agency) DO UPDATE SET name = excluded.name, sharing = excluded.sharing, active = excluded.active,
  desk = excluded.desk
"""
_SAVE_SUCCESSION = """
INSERT INTO agency (agency, successor, since) VALUES ($1, $2, $3)
ON CONFLICT (agency) DO UPDATE SET successor = excluded.successor, since = excluded.since
"""
_READ_FEED = """
SELECT number, at, kind, nullif(case_id, '') AS case_id, nullif(party, '') AS party, data, event_id::text AS event, witness
FROM feed WHERE agency = $1 AND number >= $2 ORDER BY number LIMIT $3
"""
# Whether somebody inherits the feed of `of`: over one succession or several, each of them in force.
_INHERITS = """
WITH RECURSIVE heir(agency) AS (
  SELECT successor FROM agency WHERE agency = $1 AND since <= (SELECT clock_timestamp() + shift FROM clock)
  UNION SELECT a.successor FROM agency AS a JOIN heir AS h ON a.agency = h.agency
        WHERE a.successor IS NOT NULL AND a.since <= (SELECT clock_timestamp() + shift FROM clock)
) SELECT EXISTS (SELECT FROM heir WHERE agency = $2)
"""


class Bell:
    """Wakes whoever waits for a feed in this process. What rings elsewhere is found by polling."""

    def __init__(self) -> None:
        """Nobody waits yet."""
        self._waiting: dict[str, set[asyncio.Event]] = {}

    def ring(self, agencies_told: Iterable[str]) -> None:
        """Wake those who wait for these agencies' feeds, or for any feed."""
        for agency in (*agencies_told, ANY):
            for event in self._waiting.get(agency, ()):
                event.set()

    @contextmanager
    def listening(self, agency: str) -> Iterator[asyncio.Event]:
        """Give an event that is set whenever the agency's feed (ANY: any feed) may have grown."""
        event = asyncio.Event()
        listeners = self._waiting.setdefault(agency, set())
        listeners.add(event)
        try:
            yield event
        finally:
            listeners.discard(event)


async def rung(event: asyncio.Event, seconds: float) -> None:
    """Return when the event is set, at the latest after `seconds`."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


ANY = ""
BELL = Bell()


def shared_kinds(day: date) -> dict[str, tuple[frozenset[str], frozenset[str]]]:
    """Return, for each sharing agreement in force, the kinds of entry that referring agencies may know of, and which may."""
    return {
        a.id: (frozenset(a.referrer_feed), frozenset(a.between))
        for a in agreements().values()
        if a.in_force(day)
    }


async def publish(connection: Connection, notices: list[Notice]) -> None:
    """Write what agencies are told of a batch of events into their feeds; fills in each notice's `told`."""
    book = await _read_book(connection, notices)
    told: list[Entry] = []
    for notice in notices:
        for entry in tell(notice.payload, notice, book):
            agency = book.heir(entry.agency)
            notice.told.add(agency)
            told.append(entry if agency == entry.agency else replace(entry, agency=agency))
        if isinstance(notice.payload, cases.CaseNeedsDecision) and not notice.told:
            UNHEARD.add(1)
            log.error("nobody was told that a case needs a decision", extra={"key": notice.subject})
    await _save_book(connection, book)
    await _write_feed(connection, told)


def _concerned(notices: Sequence[Notice]) -> tuple[list[str], list[str]]:
    """Return the cases and the people that these events speak of."""
    case_ids: dict[str, None] = {}
    people: dict[str, None] = {}
    for notice in notices:
        payload: Payload = notice.payload
        if isinstance(payload, cases.CaseAllocated):
            for party in payload.parties:
                people |= {party.party: None, party.person: None}
        if type(payload).__module__ == consent.__name__:
            people[notice.subject] = None
            case_ids |= dict.fromkeys(getattr(payload, "cases", ()))
            if (case := getattr(payload, "case", None)) is not None:
                case_ids[case] = None
            if isinstance(payload, consent.DoubleReachFound):
                people[payload.other] = None
        elif isinstance(payload, referrals.CaseFileJoined):
            case_ids |= {notice.subject: None, payload.into: None}
        elif not isinstance(payload, agencies.AgencySucceeded):
            case_ids[notice.subject] = None
    return list(case_ids), list(people)


async def _read_book(connection: Connection, notices: Sequence[Notice]) -> Book:
    now = max(notice.now for notice in notices)
    book = Book(shared=shared_kinds(now.astimezone(LONDON).date()))
    case_ids, people = _concerned(notices)
    if people:
        await connection.execute(_LOCK_PEOPLE, people)
    referrers = []
    for row in await connection.fetch(_PARTS, case_ids, people):
        case_id, role, agency, about, person, worker, checks, *rest = row
        book.know(Part(case_id, role, agency, about, person, worker, tuple(checks), *rest))
        if role == "referrer":
            referrers.append(agency)
    if people:
        for row in await connection.fetch(_RESTRICTIONS, people):
            data = msgspec.json.decode(row["data"])
            book.know_restriction(
                Restriction(row["person"], row["event"], row["kind"], row["at"], row["case_id"] or None, data)
            )
    rows = await connection.fetch(_AGENCIES, referrers)
    book.agreements = {row["agency"]: row["sharing"] for row in rows}
    book.heirs = {row["agency"]: row["successor"] for row in rows if row["successor"] and row["since"] <= now}
    return book


def _columns(rows: Iterable[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


async def _save_book(connection: Connection, book: Book) -> None:
    if book.changed:
        rows = (
            (
                p.case,
                p.role,
                p.agency,
                p.about,
                p.person,
                p.worker,
                ",".join(p.checks),
                p.sharing,
                p.since,
                p.ended,
            )
            for p in book.changed.values()
        )
        await connection.execute(_SAVE_PARTS, *_columns(rows))
    if book.lifted:
        lifted = ((person, event, case or "") for person, event, case in book.lifted)
        await connection.execute(_LIFT, *_columns(lifted))
    if book.added:
        added = ((r.person, r.event, r.case or "", r.kind, r.at, _json(r.data)) for r in book.added.values())
        await connection.execute(_RESTRICT, *_columns(added))


def _identity(entry: Entry) -> tuple[str, str, str, str, str]:
    return entry.event, entry.agency, entry.kind, entry.case or "", entry.party or ""


async def _write_feed(connection: Connection, told: Sequence[Entry]) -> None:
    # The same entry can be due twice: by a restrictive event that was applied early and comes again in its turn, and to a
    # lead that comes back. The first time counts, in this batch or before it; the unique index is the wall behind this.
    rows = await connection.fetch(_KNOWN, list({entry.event for entry in told}))
    known = {tuple(row) for row in rows}
    fresh = {_identity(entry): entry for entry in reversed(told) if _identity(entry) not in known}
    if not fresh:
        return
    entries = list(reversed(fresh.values()))
    marks: dict[str, list[int]] = {}
    for entry in entries:
        marks.setdefault(entry.agency, []).append(cursor.mark(*_identity(entry)))
    counts = [len(each) for each in marks.values()]
    ends = await connection.fetch(_NUMBERS, list(marks), counts, [cursor.total(m) for m in marks.values()])
    following = {
        agency: zip(
            count(last - len(marks[agency]) + 1), cursor.witnesses(witness, marks[agency]), strict=False
        )
        for agency, last, witness in ends
    }
    numbered = []
    for e in entries:
        number, witness = next(following[e.agency])
        what = (e.kind, e.case or "", e.party or "", _json(e.data), e.event, e.trace)
        numbered.append((e.agency, number, e.at, *what, witness))
    await connection.execute(_WRITE_FEED, *_columns(numbered))


async def save_agencies(
    connection: Connection, rows: list[tuple[str, str, str | None, bool, agencies.Desk | None]]
) -> None:
    """Write (agency, name, sharing agreement, active, how people reach it)."""
    await connection.executemany(_SAVE_AGENCY, [(*row, _json(desk) if desk else None) for *row, desk in rows])


async def save_successions(connection: Connection, rows: list[tuple[str, str, datetime]]) -> None:
    """Write (agency, successor, since)."""
    await connection.executemany(_SAVE_SUCCESSION, rows)


async def read_feed(
    pool: asyncpg.Pool[asyncpg.Record], agency: str, after: int, limit: int
) -> list[asyncpg.Record]:
    """Return an agency's entries after a number, in order, and before them the one that has this number, if one has."""
    return await pool.fetch(_READ_FEED, agency, after, limit + 1)


async def last_number(pool: asyncpg.Pool[asyncpg.Record], agency: str) -> int:
    """Return the number of an agency's last entry, 0 if it has none."""
    return int(await pool.fetchval("SELECT last FROM feed_counter WHERE agency = $1", agency) or 0)


async def is_or_was(pool: asyncpg.Pool[asyncpg.Record], agency: str, of: str) -> bool:
    """Say whether what is another agency's is this one's: it is the same, or has succeeded it, directly or over others."""
    return agency == of or bool(await pool.fetchval(_INHERITS, of, agency))
