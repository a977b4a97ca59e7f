"""One seed, one history: people, agencies, a hub and faults, on the simulated machine; then calm, and everybody must agree.

Three ids, of which some turn out to be one human and some of those to be two after all; two agencies that lead them and
ask again and again; a hub that links, holds, hands leads over and resolves; people who withdraw. Meanwhile processes die
between any two awaits, connections break, commits are ambiguous, topics are lost, groups rebalance over zombies, events
cannot be handled, clocks jump.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import time
import zlib
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from datetime import timedelta
from typing import Any

from services.allocation.handlers import handlers as allocation_handlers
from services.consent.handlers import handlers as consent_handlers
from services.intake import domain
from services.intake.core import CASE_FILE, PERSON
from services.intake.domain.safety import CHANNELS
from shared.contracts.envelope import Envelope
from shared.contracts.people import PersonReferred, Safety
from shared.contracts.referrals import OffenceClass, PartyFact, ReferralFacts
from shared.runtime.errors import Unavailable
from shared.runtime.handlers import EventHandler, Handlers
from shared.runtime.identifiers import new_id
from shared.runtime.peers import Reply
from shared.runtime.work import Work
from tests.simulation.casework import Casework
from tests.simulation.cluster import AGENCIES, Cluster, agency_caller, instead_of_the_world
from tests.simulation.database import UnknownStatement
from tests.simulation.faults import Faults
from tests.simulation.loop import Loop, Stuck
from tests.simulation.tally import Outcome
from tests.simulation.witness import PEOPLE, Witness
from tests.support.promise import Promise, Violation

CASES: dict[str, tuple[str, str, OffenceClass]] = {
    "case-a": ("a", "incident", "burglary"),
    "case-b": ("b", "incident", "theft"),
    "case-c": ("c", "incident", "burglary"),
    "case-a2": ("a", "another", "theft"),
    "case-b2": ("b", "another", "burglary"),
    "case-c2": ("c", "another", "burglary"),
}
"""Each case: whose, which incident, and the offence, by which policy chooses the agency. Those in 2 come sometimes."""
ACTIVE, BOUND = 10.0, 150.0
"""Seconds in which things happen; seconds within which everybody must then agree."""
LONGER, RECOVERY, AFTERWARDS = 0.6, 15.0, 3.0
"""How many of the histories in which consent is restored go on, for how many seconds until it is open, and then."""


class History:
    """Everything that happens under one seed."""

    def __init__(self, seed: int) -> None:
        self.cluster = Cluster(seed)
        self.random = self.cluster.chance.random
        self.witness = Witness(self.cluster)
        self.casework = Casework(self.cluster, self.witness)
        self.referred: list[str] = []
        self.known = {person: asyncio.Event() for person in PEOPLE}
        self.seed = seed
        self.granted = self.refused = 0
        self.faults = Faults(seed, self.cluster, self.witness)

    # --- intake's people

    async def at_intake(self, function: Callable[..., Awaitable[None]], *args: Any) -> None:
        """Do something in intake until it is done."""
        for _ in range(40):
            living = self.cluster.living("intake")
            if living:
                process, service = living[0]
                task = process.start(service.transact(function, *args))
                await asyncio.wait({task})
                if not task.cancelled() and task.exception() is None:
                    return
                if not task.cancelled() and not isinstance(task.exception(), Unavailable):
                    raise task.exception() or RuntimeError
            await asyncio.sleep(0.3)

    async def refer(self, case: str) -> None:
        """A referral comes in; allocation hears of it, and proposes a lead."""
        await self.at_intake(_refer, case)
        self.referred.append(case)
        self.known[CASES[case][0]].set()

    async def hub(self) -> None:
        """Decide who is who, hold and lift, resolve."""
        people = sorted(PEOPLE)
        while True:
            one, other = self.random.sample(people, 2)
            pause = self.random.expovariate(1 / 1.0)
            if self.random.random() < 0.15:
                await self._until_asked(one, pause)
            else:
                await asyncio.sleep(pause)
            kind = self.random.random()
            if kind < 0.35:
                await self.at_intake(_link, one, other)
            elif kind < 0.5:
                await self.at_intake(_unlink, one, other)
            elif kind < 0.6:
                await self.at_intake(_hold, one)
            elif kind < 0.8:
                await self.at_intake(_lift, one)
            else:
                await self.resolve()

    async def resolve(self) -> None:
        """Find out about attempts that are unknown or overdue: nobody answered."""
        tables = self.cluster.consent.tables
        for row in [r for r in tables["permit"].rows.values() if r["unresolved"]]:
            version = tables["stream"].rows["person", row["person"]]["version"]
            body = {"outcome": "no_answer", "version": version}
            path = f"/v1/unresolved-attempts/{row['id']}/resolution"
            with suppress(Unavailable):
                await self.cluster.ask("consent", "POST", path, caller=agency_caller("hub"), json=body)

    # --- agencies

    async def agency(self, name: str) -> None:
        """Ask for permits, present them, contact, report: as somebody who retries, double-clicks and forgets."""
        await asyncio.sleep(self.random.uniform(0.2, 1))
        while True:
            await asyncio.sleep(self.random.expovariate(1 / 0.6))
            person = self.random.choice(sorted(PEOPLE))
            with suppress(Unavailable):
                await self._approach(name, person)

    async def eager(self) -> None:
        """Ask for somebody again and again, as an agency does where a restored consent does not show what it was given."""
        await self.faults.unheard.wait()
        name, person = self.faults.approached
        while True:
            await asyncio.sleep(self.random.expovariate(1 / 0.3))
            with suppress(Unavailable):
                await self._approach(name, person)

    async def _request(self, name: str, person: str) -> Reply:
        """Ask for a permit."""
        body = {
            "person": person,
            "case": self.random.choice(
                [case for case in self.referred if CASES[case][0] == person] or ["none"]
            ),
            "purpose": "approach",
            "channel": "phone",
            "worker": "worker",
        }
        headers = {"Idempotency-Key": new_id()}
        return await self.cluster.ask(
            "consent", "POST", "/v1/permits", caller=agency_caller(name), json=body, headers=headers
        )

    async def _approach(self, name: str, person: str) -> None:
        answer = await self._request(name, person)
        if answer.status_code != 201:
            self.refused += 1
            return
        self.granted += 1
        permit = answer.json()["permit"]
        await asyncio.sleep(self.random.expovariate(1 / 0.25))
        presented = [self._present(name, permit, answer.json()["fence"])]
        if self.random.random() < 0.2:
            presented.append(self._present(name, permit, answer.json()["fence"]))
        got = [found for found in await asyncio.gather(*presented) if found is not None]
        if len(got) > 1:
            self.witness.fail(Promise.N3, f"the details for {permit[-4:]} were handed out twice")
        if got:
            await self._use(name, permit, answer.json()["fence"])

    async def _present(self, name: str, permit: str, fence: int) -> dict[str, Any] | None:
        for _ in range(3):
            try:
                answer = await self.cluster.ask(
                    "intake",
                    "POST",
                    f"/v1/permits/{permit}/release",
                    caller=agency_caller(name),
                    json={"fence": fence},
                )
            except Unavailable:
                await asyncio.sleep(self.random.uniform(0.1, 1))
                continue
            if answer.status_code == 200:
                found: dict[str, Any] = answer.json()
                return found
            if answer.status_code != 503 and not answer.headers.get("retry-after"):
                return None
            await asyncio.sleep(self.random.uniform(0.1, 1))
        return None

    async def _use(self, name: str, permit: str, fence: int) -> None:
        """Contact, once, if there is still time; then say what became of it, or not."""
        kind = self.random.random()
        await asyncio.sleep(self.random.expovariate(1 / 0.3))
        if kind < 0.1:
            await self._report(name, permit, fence, "not_made")
            return
        if self.cluster.now >= self.witness.handed[permit].use_by:
            return
        self.witness.contact(permit)
        if kind < 0.25:
            return
        await asyncio.sleep(self.random.expovariate(1 / 0.5))
        await self._report(
            name, permit, fence, self.random.choice(["no_answer", "no_answer", "unknown", "declined"])
        )

    async def _report(self, name: str, permit: str, fence: int, outcome: str) -> None:
        if outcome == "not_made":
            self.witness.handed[permit].resting = True
        for _ in range(4):
            path, body = f"/v1/attempts/{permit}/outcome", {"fence": fence, "outcome": outcome}
            with suppress(Unavailable):
                answer = await self.cluster.ask("consent", "PUT", path, caller=agency_caller(name), json=body)
                if answer.status_code == 200:
                    self.witness.acknowledged(permit, outcome)
                if answer.status_code != 503:
                    return
            await asyncio.sleep(self.random.uniform(0.2, 2))

    async def person(self, person: str) -> None:
        """Withdraw, perhaps; sometimes just when somebody is about to be handed their details."""
        moment = self.random.uniform(1, ACTIVE)
        if self.random.random() < 0.4:
            await self._until_asked(person, moment)
        else:
            await asyncio.sleep(moment)
        if self.random.random() < 0.5:
            return
        for _ in range(5):
            with suppress(Unavailable):
                answer = await self.cluster.ask(
                    "intake", "POST", "/v1/withdrawals", caller=agency_caller(self.random.choice(AGENCIES)),
                    json={"person": person},
                )  # fmt: skip
                if answer.status_code == 200:
                    return
            await asyncio.sleep(self.random.uniform(0.2, 2))

    async def _until_asked(self, person: str, seconds: float) -> None:
        """Wait until a release of this person is under way, at most so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.witness.asked[person].wait()
            await asyncio.sleep(self.random.expovariate(1 / 0.02))

    # --- from the beginning to the end

    async def run(self) -> None:
        """Let things happen; then let them settle."""
        for name in ("intake", "consent", "allocation"):
            self.cluster.start(name)
        loop = asyncio.get_running_loop()
        first = [loop.create_task(self._refer_soon(case)) for case in CASES]
        busy = [loop.create_task(self.person(person)) for person in PEOPLE]
        busy += [loop.create_task(self.agency(name)) for name in AGENCIES]
        busy += [loop.create_task(work) for work in (
            self.eager(), self.hub(), self.casework.coordinate(), self.casework.hasten(),
            self.faults.run(),
        )]  # fmt: skip
        await self._while(lambda: loop.time() < ACTIVE, (*busy, *first))
        if self.faults.unheard.is_set() and self.random.random() < LONGER:
            # What a restored consent allows when it is open again shows only while somebody asks.
            closed = loop.time() + RECOVERY
            await self._while(lambda: self.witness.restoring and loop.time() < closed, busy)
            opened = loop.time() + AFTERWARDS
            await self._while(lambda: loop.time() < opened, busy)
        for task in busy:
            task.cancel()
        await asyncio.gather(*busy, return_exceptions=True)
        await asyncio.gather(*first)
        if self.witness.broken is None:
            await self._settle()

    async def _while(self, goes_on: Callable[[], bool], tasks: Iterable[asyncio.Task[None]]) -> None:
        """Let things happen as long as nothing is broken. Raises what a task raised: a mistake in the simulation."""
        while goes_on() and self.witness.broken is None:
            await asyncio.sleep(0.25)
            for task in tasks:
                if task.done() and not task.cancelled() and task.exception() is not None:
                    raise task.exception()  # type: ignore[misc]

    async def _refer_soon(self, case: str) -> None:
        second = case.endswith("2")
        if second and self.random.random() < 0.6:
            return
        await asyncio.sleep(self.random.uniform(0.3, 5) if second else self.random.uniform(0.02, 0.8))
        # Who is named is known by then: the matcher holds a human's keys until the first referral is in.
        if second:
            await self.known[CASES[case][0]].wait()
        await self.refer(case)

    async def _settle(self) -> None:
        """End all faults. Within a bound everybody must agree."""
        self.witness.say("(all faults are over)")
        self.faults.end()
        until = asyncio.get_running_loop().time() + BOUND
        for second in itertools.count():
            # Again and again: what was under way when the faults ended may begin something that has to expire.
            if second % 20 == 0:
                self.cluster.pass_time(timedelta(days=2))
            await asyncio.sleep(1)
            if self.witness.broken is not None:
                return
            await self._redrive()
            await self.resolve()
            left = self.witness.unsettled()
            if left is None:
                self.witness.last_look()
                return
            if asyncio.get_running_loop().time() > until:
                self.witness.fail(Promise.N9, f"long after all faults are over: {left}")

    async def _redrive(self) -> None:
        for name, database in self.cluster.databases.items():
            rows = database.tables["quarantine"].rows.values()
            for row in [r for r in rows if r["resolved"] is None and r["key"]]:
                for process, service in self.cluster.living(name)[:1]:
                    task = process.start(service.exits.redrive(row["id"], dry_run=False))
                    await asyncio.wait({task})


async def _refer(work: Work, case: str) -> None:
    person, incident, offence = CASES[case]
    await work.lock((PERSON, person), (CASE_FILE, case))
    if work.version(CASE_FILE, case):
        return
    referral = f"referral-{case}"
    work.record(
        PERSON, person,
        PersonReferred(case=case, incident=incident, referral=referral, referrer="x", role="harmed",
                       safety=Safety(channels=CHANNELS)),
    )  # fmt: skip
    facts = ReferralFacts(
        referral=referral, agency="x", version=1, incident=incident, received_at=work.now, offence_class=offence,
        stage="community_order", initiated_by="harmed", parties=(PartyFact(person=person, role="harmed"),),
        area="hampshire",
    )  # fmt: skip
    work.record(CASE_FILE, case, *domain.receive(work.state(CASE_FILE, case), facts))


async def _link(work: Work, one: str, other: str) -> None:
    await work.lock((PERSON, one), (PERSON, other))
    if not (work.version(PERSON, one) and work.version(PERSON, other)):
        return
    work.record(PERSON, one, *domain.link(work.state(PERSON, one), one, other, "matched"))
    work.record(PERSON, other, *domain.link(work.state(PERSON, other), other, one, "matched"))


async def _unlink(work: Work, one: str, other: str) -> None:
    await work.lock((PERSON, one), (PERSON, other))
    work.record(PERSON, one, *domain.unlink(work.state(PERSON, one), other, "two"))
    work.record(PERSON, other, *domain.unlink(work.state(PERSON, other), one, "two"))


async def _hold(work: Work, person: str, hold: str = "doubt") -> None:
    await work.lock((PERSON, person))
    if work.version(PERSON, person):
        work.record(PERSON, person, *domain.hold_person(work.state(PERSON, person), hold, "identity_doubt"))


async def _lift(work: Work, person: str) -> None:
    await work.lock((PERSON, person))
    work.record(PERSON, person, *domain.lift_person(work.state(PERSON, person), "doubt", "settled"))


def _with_poison(cluster: Cluster, handlers: Handlers) -> dict[str, EventHandler]:
    """Return a service's handlers, which fail while their event is poisoned."""

    def failing(handler: EventHandler) -> EventHandler:
        async def function(work: Work, event: Envelope) -> None:
            if event.type in cluster.poisoned:
                raise ValueError(event.type)
            await handler.function(work, event)

        return EventHandler(function, handler.locks)

    return {name: failing(handler) for name, handler in handlers.events.items()}


def run(seed: int, *, keep: bool = False) -> Outcome:
    """Run the history of a seed. `keep`: its whole story too."""
    loop = Loop()
    began = time.process_time()
    # Nothing is collected meanwhile: what a collector finds, and when, must not depend on what else this process did.
    gc.disable()
    asyncio.set_event_loop(loop)
    history = History(seed)
    real = [(handlers, dict(handlers.events)) for handlers in (consent_handlers, allocation_handlers)]
    try:
        for handlers, _ in real:
            handlers.events.update(_with_poison(history.cluster, handlers))
        with instead_of_the_world(history.cluster):
            try:
                loop.run_until_complete(history.run())
            except Stuck:
                history.witness.lines.append("(nothing can happen any more)")
                history.witness.broken = Violation(
                    Promise.N9, "everything waits for ever", tuple(history.witness.lines[-38:])
                )
            finally:
                _end_all(loop, history)
    finally:
        for handlers, events in real:
            handlers.events.update(events)
        asyncio.set_event_loop(None)
        loop.close()
        gc.enable()
    unknown = set[str]().union(*(database.unknown for database in history.cluster.databases.values()))
    if unknown:
        raise UnknownStatement("\n".join(sorted(unknown)))
    if history.cluster.unexpected:
        raise RuntimeError(history.cluster.unexpected[0])
    return _outcome(history, time.process_time() - began, keep=keep)


def _outcome(history: History, seconds: float, *, keep: bool) -> Outcome:
    witness = history.witness
    broken, clean = witness.broken, sum(not in_flight for _, in_flight, _ in witness.answers)
    counts = {
        "contacts": sum(h.contacts for h in witness.handed.values()),
        "permits granted": history.granted,
        "permits refused": history.refused,
        "withdrawals answered clean": clean,
        "withdrawals answered in flight": len(witness.answers) - clean,
    }
    lines = tuple(witness.lines)
    return Outcome(
        history.seed,
        broken.promise.name if broken else "",
        str(broken or ""),
        counts,
        dict(history.cluster.chance.met),
        seconds,
        zlib.crc32("\n".join(lines).encode()),
        lines if keep else (),
    )


def _end_all(loop: Loop, history: History) -> None:
    """Kill what still runs, and let every task come to its end."""
    for processes in history.cluster.running.values():
        for process, _ in processes:
            process.kill()
    while tasks := asyncio.all_tasks(loop):
        for task in tasks:
            task.cancel()
        try:
            loop.run_until_complete(asyncio.wait(tasks, timeout=10))
        except Stuck:
            return
