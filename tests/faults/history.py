"""One history: people of its own, agencies that do what agencies do, and one fault (or two) in the middle."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx

from tests.faults.agency import ACCEPTED, CREATED, OK, Agency
from tests.faults.arena import Arena
from tests.faults.faults import FAULTS
from tests.faults.people import HERTFORDSHIRE, LEADS, NORTHUMBRIA, Human
from tests.faults.record import Told
from tests.support.running import until

# Seconds on a quiet machine: `until` waits four times as long, and longer where it is busy.
CONVERGED_WITHIN = 15.0
BUSY = 4.0
FOLLOWERS = (*LEADS, "mediation-hertfordshire", "hertfordshire-constabulary")


@dataclass
class History:
    """What happened in one history."""

    number: int
    faults: tuple[str, ...]
    humans: list[Human] = field(default_factory=list)
    referrals: dict[str, tuple[str, Human]] = field(default_factory=dict)
    began: float = field(default_factory=time.time)
    converged_after: float = -1.0
    unsettled: list[str] = field(default_factory=list)
    last: list[str] = field(default_factory=list)
    skipped: str = ""
    # When each part of it ended, in seconds from its beginning.
    parts: dict[str, float] = field(default_factory=dict)

    def mark(self, part: str) -> None:
        """Note that a part has ended."""
        self.parts[part] = round(time.time() - self.began, 1)


class Episode:
    """Runs one history."""

    def __init__(
        self,
        arena: Arena,
        number: int,
        faults: Sequence[str],
        *,
        pairs: int = 4,
        busy: float = BUSY,
        also: Sequence[Coroutine[Any, Any, None]] = (),
        reviews: bool = True,
    ) -> None:
        """`pairs` of people say no within `busy` seconds, and are referred within half of that; `also` is done beside it.

        `reviews`: whether somebody decides whatever is in doubt.
        """
        self.arena = arena
        self.history = History(number, tuple(faults))
        self.pairs = pairs
        self.busy = busy
        self.also = also
        self.reviews = reviews
        self.draw = arena.draw
        self._open: list[str] = []
        self._last_open: list[str] = []
        names = {*HERTFORDSHIRE.referrers, *NORTHUMBRIA.referrers, *LEADS, "mediation-hertfordshire"}
        self.agencies = {
            name: Agency(
                name, arena.onefriend, arena.calls, arena.records, arena.draw, after=arena.after.get(name, 0)
            )
            for name in sorted(names)
        }
        for name in LEADS:
            self.agencies[name].rivals = [a for other, a in self.agencies.items() if other != name]

    async def run(self) -> History:
        """Run it to the end; the checker then looks at what is left."""
        following = [
            asyncio.create_task(agency.follow())
            for name, agency in self.agencies.items()
            if name in FOLLOWERS
        ]
        self.arena.winding_down = False
        try:
            life = [asyncio.create_task(work) for work in self._life()]
            if self.reviews:
                life.append(asyncio.create_task(self._review(list(life))))
            await asyncio.sleep(self.draw.uniform(0.3, 2.5))
            self.history.mark("before")
            await self._break()
            self.history.mark("fault")
            await asyncio.gather(*life)
            self.history.mark("life")
            self.arena.onefriend.mend()
            await self._converge()
            self.history.mark("agreement")
            for name in FOLLOWERS:
                await self.agencies[name].read()
        finally:
            for task in following:
                task.cancel()
            await asyncio.gather(*following, return_exceptions=True)
            self.arena.after |= {name: agency.after for name, agency in self.agencies.items()}
        return self.history

    async def _break(self) -> None:
        """Let the faults happen: two at once, unless both are done to the same thing."""
        things = [name.split()[-1] for name in self.history.faults]
        if len(set(things)) < len(things) or {"restore consent", "fill disk", "fill broker"} & set(
            self.history.faults
        ):
            for name in self.history.faults:
                await FAULTS[name](self.arena)
            return

        async def later(name: str) -> None:
            await asyncio.sleep(self.draw.uniform(0, 1.5))
            await FAULTS[name](self.arena)

        await asyncio.gather(*(later(name) for name in self.history.faults))

    def _life(self) -> list[Any]:
        works: list[Any] = [*self.also]
        for _ in range(self.pairs):
            harmed, responsible = self.arena.population.human(), self.arena.population.human()
            self.history.humans += [harmed, responsible]
            self.arena.partner[harmed.number] = responsible
            self.arena.humans |= {human.phone: human for human in (harmed, responsible)}
            self.arena.humans |= {human.email: human for human in (harmed, responsible)}
            plan = self._plan()
            # Whoever refers second writes down what was heard, not what the first one wrote: the matcher has to join them.
            works += [
                self._refer(place, harmed, responsible, incident, slips=number > 0)
                for number, (place, incident) in enumerate(plan)
            ]
            if self.draw.random() < 0.2:  # a share: referred once more, by hardly more than a name
                works.append(self._refer(*plan[0][:1], harmed, responsible, plan[0][1], doubtful=True))
            if self.draw.random() < 0.4:  # a share: says no at some moment
                works.append(self._say_no(harmed))
        return works

    def _plan(self) -> list[tuple[Any, str | None]]:
        """Return where and about what a human is referred: once, twice about one thing, or by two areas about two."""
        place = self.draw.choice((HERTFORDSHIRE, NORTHUMBRIA))
        incident = f"{place.force}/{self.draw.randint(1, 999_999)}/26"
        other = NORTHUMBRIA if place is HERTFORDSHIRE else HERTFORDSHIRE
        here, there = (place, incident), (other, None)
        plans: list[list[tuple[Any, str | None]]] = [[here], [here, here], [here, there], [here, here, there]]
        return self.draw.choice(plans)

    async def _refer(
        self,
        place: Any,
        harmed: Human,
        responsible: Human,
        incident: str | None,
        *,
        doubtful: bool = False,
        slips: bool = False,
    ) -> None:
        await asyncio.sleep(self.draw.uniform(0, self.busy / 2))
        agency = self.agencies[self.draw.choice(place.referrers)]
        document = self.arena.population.referral(place, harmed, responsible, incident)
        if slips:
            self.arena.population.with_errors(document)
        if doubtful:
            document["parties"][0] |= {"phones": [], "emails": []}
        referral = await agency.refer(document)
        if referral is not None:
            self.history.referrals[referral] = (agency.name, harmed)

    async def _review(self, life: Sequence[asyncio.Task[None]]) -> None:
        """A worker at the hub decides that doubtful records are one human: they are linked, whatever is in flight.

        Some decisions are undone: the ids are taken apart, on hold, and in doubt again; and then joined once more.
        """
        while True:
            last = all(task.done() for task in life)
            with contextlib.suppress(httpx.HTTPError, ValueError, KeyError):
                page = await self._at_hub("GET", "/v1/match-reviews")
                for review in page.json()["reviews"]:
                    await self._decide(review["id"])
            if last:
                return
            await asyncio.sleep(0.4)

    async def _decide(self, review: str) -> None:
        path = f"/v1/match-reviews/{review}"
        seen = await self._at_hub("GET", path)
        headers = {"If-Match": seen.headers["etag"]}
        body = {"answer": "same", "reason": "same_details"}
        decided = await self._at_hub("POST", f"{path}/decision", json=body, headers=headers)
        if decided.status_code == OK and self.draw.random() < 0.4:  # a share
            await asyncio.sleep(self.draw.uniform(0, 1))
            headers = {"If-Match": decided.headers["etag"]}
            await self._at_hub("POST", f"{path}/undo", json={"reason": "clerical_error"}, headers=headers)

    async def _at_hub(self, method: str, path: str, **more: Any) -> httpx.Response:
        hub = ("herts-rj-coordinator", "hub", "referrals.read")
        return await self.arena.onefriend.call("intake", method, path, *hub, **more)

    async def _say_no(self, human: Human) -> None:
        """The person says no to whichever agency happens to be there: by what it knows of them, or by their id."""
        await asyncio.sleep(self.draw.uniform(min(1, self.busy), self.busy))
        agency = self.agencies[
            self.draw.choice((*LEADS, "northumbria-police", "victim-support-hertfordshire"))
        ]
        if self.draw.random() < 0.3 and await self._by_link(human):  # a share
            return
        await agency.withdraw({"identifiers": human.identifiers()})

    async def _by_link(self, human: Human) -> bool:
        """By the link in a message, if one has come: pressed, not merely opened. It is known to have worked by its page."""
        links = [c["link"] for c in self.arena.contacts() if c["to"] == human.email and c.get("link")]
        for _ in range(8 if links else 0):
            asked = time.time()
            try:
                url = self.arena.onefriend.url("intake") + urlsplit(links[-1]).path
                answer = await self.arena.onefriend.http.post(url, data={"scope": "everything"}, timeout=4)
            except httpx.HTTPError:
                answer = None
            if answer is not None and answer.status_code == OK:
                body = {"link": True}
                told = Told("person", "link", human.phone, asked, time.time(), OK, body)
                self.arena.records.told.append(told)
                return True
            await asyncio.sleep(0.4)
        return False

    # --- the end

    async def _converge(self) -> None:
        """Wait until every agency is idle, every no is in force, and every event is everywhere; note how long that took."""
        began = time.monotonic()
        self.arena.last_unsettled, self.arena.winding_down = [], True
        for _ in range(3):
            # The bound is that of running services: on a machine that does other things, one takes its time to start, and
            # one that was armed to die may do so only now.
            await self.arena.onefriend.ready()
            self.history.mark("ready")
            self.history.unsettled = await self._come_together(began)
            if not self.history.unsettled or not await self.arena.onefriend.not_ready():
                break

    async def _come_together(self, began: float) -> list[str]:
        """Return what did not come together within the bound."""
        try:
            await until(self._answered, seconds=CONVERGED_WITHIN, every=0.3)
            self.history.mark("answered")
            # Agencies are at work still: what there is now has to arrive everywhere, whatever they add meanwhile.
            arrived = await self.arena.arrived(CONVERGED_WITHIN)
            took = time.monotonic() - began
            self.history.mark("arrived")
            self.history.last = [*self._last_open, *self.arena.last_unsettled]
            # And then nobody adds anything any more: it must all come to rest.
            await until(self._idle, seconds=CONVERGED_WITHIN * 2, every=0.2)
            self.history.mark("idle")
            resting = time.monotonic()
            if arrived and await self.arena.settled(CONVERGED_WITHIN):
                self.history.converged_after = max(took, time.monotonic() - resting)
                return []
        except AssertionError as error:
            return [str(error), *self._open]
        return [*self.arena.last_unsettled, *await self.arena.onefriend.not_ready()]

    def _idle(self) -> bool:
        return not any(agency.busy for agency in self.agencies.values())

    async def _answered(self) -> bool:
        """Whether every referral has come to a case or a hold, and no withdrawal is merely recorded."""
        asking = [
            *(self._referral_open(referral) for referral in self.history.referrals),
            *(self._withdrawal_open(*no) for no in self._noes()),
        ]
        try:
            self._open = [line for line in await asyncio.gather(*asking) if line]
        except httpx.HTTPError as error:
            self._open = [f"a service does not answer: {type(error).__name__}"]
        self._last_open = self._open or self._last_open
        return not self._open

    def _noes(self) -> list[tuple[str, str, Human | None]]:
        """Return who was told of which withdrawal, and of whom, where that is known without the services."""
        humans = {json.dumps({"identifiers": human.identifiers()}): human for human in self.history.humans}
        return [
            (told.agency, str(told.body["withdrawal"]), humans.get(told.about))
            for told in self.arena.records.of("withdrawal")
            if told.asked_at >= self.history.began and told.status in {CREATED, ACCEPTED}
        ]

    async def _referral_open(self, referral: str) -> str:
        name, human = self.history.referrals[referral]
        answer = await self.arena.onefriend.call("intake", "GET", f"/v1/referrals/{referral}", name)
        if answer.status_code != OK:
            return f"referral {referral} of {name}: {answer.status_code}"
        body = answer.json()
        both = (human, self.arena.partner[human.number])
        self.arena.pairs |= {case["case"]: both for case in body["cases"]}
        return "" if body["cases"] or body["holds"] else f"referral {referral} of {name}: {body}"

    async def _withdrawal_open(self, name: str, withdrawal: str, human: Human | None) -> str:
        """A no of somebody whom nobody had referred yet stays recorded: then every referral must have been stopped by it."""
        answer = await self.arena.onefriend.call("intake", "GET", f"/v1/withdrawals/{withdrawal}", name)
        if answer.status_code != OK:
            return f"withdrawal {withdrawal} of {name}: {answer.status_code}"
        if answer.json()["state"] != "recorded":
            return ""
        for referral, (agency, of) in self.history.referrals.items():
            if of == human:
                read = await self.arena.onefriend.call("intake", "GET", f"/v1/referrals/{referral}", agency)
                if read.status_code != OK or not read.json()["holds"]:
                    return f"withdrawal {withdrawal} is not in force, and referral {referral} is not on hold: {read.text}"
        return ""
