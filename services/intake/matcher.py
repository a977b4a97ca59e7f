"""The matcher: what the doorstep has stored becomes people and cases, batch after batch, for as long as the service runs.

One transaction a batch. The order is what makes "the same new person posted twice at the same instant" one person:
1. take referrals that are due (rows locked, those of another matcher skipped);
2. lock the blocking keys of all their people, in order;
3. look, in a new statement, who is stored under them: whoever held the locks before has committed;
4. decide; lock the people and the case files; make sure that nothing moved meanwhile; record events and rows.
A crash anywhere leaves the referrals in the queue. A referral that cannot be handled is put off and tried again for ever;
the others of its batch go on.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from services.intake import facts
from services.intake.core import CASE_FILE, PERSON, Intake, intake_of
from services.intake.precedence import Patience
from services.intake.recognising.cases import Cases, Place
from services.intake.recognising.lifted import forget_decided
from services.intake.recognising.load import Pending, Someone, load
from services.intake.recognising.people import Crowd, HotKeys, RecordCache
from services.intake.recognising.tell import Teller
from services.intake.store import matching as store
from services.intake.store import people as details
from shared.runtime.database import INFRASTRUCTURE
from shared.runtime.errors import Conflict, Unavailable
from shared.runtime.service import Service
from shared.runtime.stream import Ref
from shared.runtime.telemetry import counter
from shared.runtime.work import Work

log = logging.getLogger(__name__)

BATCH = 100
# Another matcher waits for this one's blocking keys: a batch is no larger than what is worked out in this time, as the last
# one went. A process that gets little of its processor takes a few referrals at a time, and another soon has its turn.
FEWEST = 5
HELD_SECONDS = 0.2
IDLE_SECONDS = 0.5
# After a batch, wait a little in proportion to it: under load the next one is larger and each referral cheaper.
LINGER_PER_REFERRAL = 0.002
LINGER_MOST = 0.03
_COUNT_SECONDS = 60
# Whoever erases somebody empties the memory of that process at once. This one's, if it is another, goes by itself.
_KEPT_SECONDS = 600
RECEIVED = counter("referrals_matched", "referrals whose people were worked out")
ANSWERS = counter("identity_answers", "people of referrals, by answer: join, hold, different")
DELAYED = counter("referrals_put_off", "referrals that could not be matched and are tried again")


@dataclass
class Matcher:
    """The matcher of one process."""

    service: Intake
    cache: RecordCache = field(init=False)
    hot: HotKeys = field(default_factory=HotKeys)
    _count: int = 0
    _referrals: int = 0
    _counted: float = field(default=-1e9)
    _forgot: float = field(default=-1e9)
    _most: int = BATCH

    def __post_init__(self) -> None:
        """Make the cache of opened records."""
        self.cache = RecordCache(self.service.keyring)

    async def run(self) -> None:
        """Match until cancelled."""
        while True:
            self.service.bell.clear()
            most = self._most
            done = await self.match_due()
            if done:
                await asyncio.sleep(min(LINGER_MOST, LINGER_PER_REFERRAL * done))
            if done < most:
                with suppress(TimeoutError):
                    async with asyncio.timeout(IDLE_SECONDS):
                        await self.service.bell.wait()

    async def match_due(self) -> int:
        """Match what is due, at most a batch; return how many referrals that was."""
        await self._refresh_count()
        self._forget_at_times()
        try:
            return await self.service.transact(self._match, self._most, None)
        except (Unavailable, *INFRASTRUCTURE):
            raise
        except Exception as error:
            log.warning("batch failed; one by one", extra={"error": type(error).__name__}, exc_info=True)
        rows = await self.service.pool.fetch(
            "SELECT referral::text AS id FROM to_match WHERE due_at <= clock_timestamp() ORDER BY due_at LIMIT $1",
            self._most,
        )
        return sum([await self._match_one(row["id"]) for row in rows])

    async def _match_one(self, referral: str) -> int:
        try:
            return await self.service.transact(self._match, 1, referral)
        except (Unavailable, *INFRASTRUCTURE):
            raise
        except Exception as error:
            attempts = await self.service.transact(store.put_off, referral)
            extra = {"referral": referral, "error": type(error).__name__, "attempt": attempts}
            log.exception("referral cannot be matched", extra=extra)
            DELAYED.add(1)
            return 1

    async def _refresh_count(self) -> None:
        if time.monotonic() - self._counted > _COUNT_SECONDS:
            row = await self.service.pool.fetchrow(store.COUNT)
            self._count, self._referrals = (row["people"], row["referrals"]) if row else (0, 0)
            self._counted = time.monotonic()

    def _forget_at_times(self) -> None:
        if time.monotonic() - self._forgot > _KEPT_SECONDS:
            self.service.keyring.forget()
            self._forgot = time.monotonic()

    # --- one batch, in one transaction; may be run several times

    async def _match(self, work: Work, limit: int, only: str | None) -> int:
        batch = await store.take_due(work, limit, only)
        if not batch:
            return 0
        patience = Patience(self.service.precedence)
        pending = await load(work, self.service.doorstep, batch, patience)
        crowd = Crowd(self.cache, self.hot, self._count, self._referrals)
        people = [one for p in pending for one in p.people if one.identified]
        await crowd.gather(work, people)
        for p in pending:
            await patience.give_way()
            for one in p.people:
                if one.identified:
                    crowd.recognise(one, p.beside(one))
                else:
                    one.person = one.previous or _nobody(p, one)
        await forget_decided(work, self.service.keyring, crowd, people)
        cases = Cases(self.service.keyring, crowd)
        harmed = [p.party(positions[0]) for p in pending for positions in facts.cases_of(p.referral)]
        await cases.gather(work, harmed)
        places = [[cases.place(p, positions) for positions in facts.cases_of(p.referral)] for p in pending]
        await work.lock(*_keys(pending, places))
        _nothing_moved(work, people, crowd)
        # Of people whom an earlier version named: what everybody else says, without what that version said.
        named = sorted({one.person for p in pending for one in p.people if one.previous})
        later = [p.due.id for p in pending if p.due.version > 1]
        others = await details.said_of(work, named, later) if named else {}
        teller = Teller(work, self.service.keyring, crowd, cases)
        for p, of in zip(pending, places, strict=True):
            # No longer than that: the people are locked, and a release may be waiting for one of them.
            await asyncio.sleep(0)
            teller.tell(p, of, others)
        work.write(store.save_results, teller.rows)
        work.after_commit(lambda: self._committed(len(pending), people, crowd))
        return len(pending)

    def _committed(self, referrals: int, people: Sequence[Someone], crowd: Crowd) -> None:
        held = max(time.monotonic() - crowd.locked_at, 0.001)
        self._most = min(BATCH, max(FEWEST, int(referrals * HELD_SECONDS / held)))
        self._count, self._referrals = crowd.count, crowd.referrals or 0
        RECEIVED.add(referrals)
        answers = Counter(one.decision.answer if one.decision else "none" for one in people)
        for answer, count in answers.items():
            ANSWERS.add(count, {"answer": answer})


def _nobody(pending: Pending, one: Someone) -> str:
    """Return the id of a party whom nobody has identified: of this referral, this place and nobody else."""
    return f"{pending.due.id}.{one.position}"


def _keys(pending: Sequence[Pending], places: Sequence[Sequence[Place]]) -> list[Ref]:
    people = {one.person for p in pending for one in p.people if one.identified}
    people |= {one.link_to for p in pending for one in p.people if one.link_to}
    files = {place.case for of in places for place in of} | {
        case for p in pending for case, _ in p.cases.values()
    }
    return [(PERSON, person) for person in sorted(people)] + [(CASE_FILE, case) for case in sorted(files)]


def _nothing_moved(work: Work, people: Sequence[Someone], crowd: Crowd) -> None:
    """Make sure that nobody was erased, linked or unlinked between the look and the lock; else run again.

    Raises Conflict.
    """
    for one in people:
        state = work.state(PERSON, one.person)
        if state.erased or not set(state.links) <= crowd.members(one.person):
            raise Conflict("a person moved between the look and the lock")


async def match_loop(service: Service) -> None:
    """Run the matcher of this process."""
    await Matcher(intake_of(service)).run()
