"""`onefriend simulate`: seeded, realistic load through the public API of a running stack, and every stage of it live.

Another stack than this checkout's is named in the environment: ONEFRIEND_INTAKE_URL, ONEFRIEND_CONSENT_URL,
ONEFRIEND_ALLOCATION_URL, ONEFRIEND_NOTIFICATIONS_URL, ONEFRIEND_TOKEN_URL, and ONEFRIEND_CREDENTIALS, a JSON file of
{"agency": "secret"} for the agencies that take part.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
import uuid
from collections import Counter
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import httpx
import yaml
from rich.live import Live
from rich.table import Table

from deploy.local import agencies
from deploy.local.demo.agency import OK, Lead, Witness
from deploy.local.demo.client import Client
from deploy.local.demo.show import console, counted
from deploy.local.elsewhere import SERVICES, Elsewhere, Where
from deploy.local.measures import STAGES, Stages
from deploy.local.place import Place
from deploy.local.processes import DidNotStart
from deploy.local.streams import Area, Arrival, Referrals

REFERRERS = ("police", "victim_care", "prison", "yot", "crc", "nps", "court")
WORKER = "simulated-worker"
ACCEPTED, NOT_FOUND = 202, 404
LOST = "lost"
# Of people who have a lead: how many say, unasked and through any agency, that they want no more of it.
WITHDRAW = 0.03
QUIET_SECONDS = 3.0
SETTLED_SECONDS = 60.0
AT_ONCE = 64


@dataclass
class Simulation:
    """One run."""

    place: Place
    http: httpx.AsyncClient
    where: Where
    draw: random.Random
    stages: Stages
    witness: Witness = field(default_factory=Witness)
    posted: dict[str, Client] = field(default_factory=dict)  # who posted, by referral
    answers: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    withdrawals: Counter[str] = field(default_factory=Counter)

    def client(self, agency: str, worker: str | None = None) -> Elsewhere:
        """Return an agency's client."""
        return Elsewhere(self.place, self.http, agency, worker, where=self.where)

    async def post(self, client: Client, arrival: Arrival) -> None:
        """Post a referral."""
        at = time.perf_counter()
        try:
            answer = await client.call("intake", "POST", "/v1/referrals", json=arrival.document)
        except httpx.TransportError as error:
            self.answers[type(error).__name__] += 1
            return
        self.seconds.append(time.perf_counter() - at)
        self.answers[str(answer.status_code)] += 1
        self.stages.counts["posted"] += 1
        if answer.status_code in {OK, ACCEPTED}:
            self.stages.counts["accepted"] += answer.status_code == ACCEPTED
            self.posted[answer.json()["referral"]] = client

    async def load(self, referrals: Referrals, clients: dict[str, Elsewhere], seconds: float) -> None:
        """Post referrals as they arrive, for so long; some at once at most: what a stack cannot take is not piled up."""
        began, room, due = time.monotonic(), asyncio.Semaphore(AT_ONCE), 0.0

        async def one(arrival: Arrival) -> None:
            try:
                await self.post(clients[arrival.agency], arrival)
            finally:
                room.release()

        async with asyncio.TaskGroup() as group:
            while True:
                arrival = referrals.next()
                due += arrival.after
                if due > seconds or time.monotonic() - began > seconds:
                    return
                await asyncio.sleep(began + due - time.monotonic())
                await room.acquire()
                group.create_task(one(arrival))

    async def withdraw(self, leads: Iterable[Lead], clients: list[Elsewhere]) -> None:
        """Let some of the people who have a lead withdraw, for ever."""
        asked: set[str] = set()
        while True:
            for lead in leads:
                for party, entry in list(lead.cases.items()):
                    if party not in asked:
                        asked.add(party)
                        if self.draw.random() < WITHDRAW:
                            await self._withdraw(self.draw.choice(clients), lead, entry)
            await asyncio.sleep(0.5)

    async def _withdraw(self, client: Elsewhere, lead: Lead, entry: dict[str, Any]) -> None:
        # Another agency than the lead knows her only if it referred her: half of the time it is the lead that she tells.
        teller = lead.client if self.draw.random() < 0.5 else client  # noqa: PLR2004 - one in two
        body = {"person": entry["data"]["person"], "scope": "everything", "by": "person"}
        answer = await teller.call("intake", "POST", "/v1/withdrawals", json=body)
        self.withdrawals[str(answer.status_code)] += 1

    async def watch(self) -> None:
        """Keep the live view up to date."""
        while True:
            with contextlib.suppress(httpx.HTTPError):
                await self.stages.look(
                    self.http, {name: self.client("operator").url(name) for name in SERVICES}
                )
            self.stages.counts["approached"] = len(self.witness.contacts)
            await asyncio.sleep(0.5)

    async def settle(self, leads: list[Lead]) -> bool:
        """Wait until nothing moves any more; say whether it came to that."""
        last, since, began = dict(self.stages.counts), time.monotonic(), time.monotonic()
        while time.monotonic() - began < SETTLED_SECONDS:
            await asyncio.sleep(0.25)
            if dict(self.stages.counts) != last or not all(lead.idle for lead in leads):
                last, since = dict(self.stages.counts), time.monotonic()
            if time.monotonic() - since > QUIET_SECONDS:
                return True
        return False

    async def became(self) -> Became:
        """Ask intake, as its agency, what became of each referral."""
        found = Became()
        gate = asyncio.Semaphore(12)

        async def one(referral: str, client: Client) -> None:
            async with gate:
                answer = await client.call("intake", "GET", f"/v1/referrals/{referral}")
            found.take(answer)

        with contextlib.suppress(TimeoutError, httpx.TransportError):
            async with asyncio.timeout(SETTLED_SECONDS):
                await asyncio.gather(*(one(*item) for item in self.posted.items()))
        unanswered = len(self.posted) - found.status.total()
        if unanswered:
            found.status["not answered"] = unanswered
        return found


@dataclass
class Became:
    """What became of the referrals: how many have each status, and of those on hold, why."""

    status: Counter[str] = field(default_factory=Counter)
    holds: Counter[str] = field(default_factory=Counter)

    def take(self, answer: httpx.Response) -> None:
        """Count one answer. What intake does not know is lost; what it does not say now is not."""
        if answer.status_code == OK:
            body = answer.json()
            self.status[str(body["status"])] += 1
            self.holds.update({str(hold["reason"]) for hold in body["holds"]})
        elif answer.status_code == NOT_FOUND:
            self.status[LOST] += 1

    @property
    def lost(self) -> int:
        """How many of those accepted intake does not know."""
        return self.status[LOST]


def _taking_part(count: int, draw: random.Random) -> tuple[dict[str, Area], list[str]]:
    """Return the agencies that refer, each with its area, and all agencies of their partnerships: any of those may lead.

    Raises:
        DidNotStart: if there are not so many.
    """
    found = [
        (agency.id, agency.areas[0], path)
        for path in sorted(agencies.POLICIES.glob("*.yaml"))
        for agency in agencies.in_policy(path)
        if agency.kind in REFERRERS and agency.areas
    ]
    if count > len(found):
        raise DidNotStart(f"--agencies: the policies know {len(found)} agencies that refer; ask for fewer")
    chosen = draw.sample(found, count)
    codes = yaml.safe_load((agencies.POLICIES / "areas.yaml").read_text())
    paths = sorted({path for _, _, path in chosen})
    leads = sorted({agency.id for path in paths for agency in agencies.in_policy(path)})
    force = {area: said.get("force") or codes[said["within"]]["force"] for area, said in codes.items()}
    return {agency: Area(codes[area]["ons"], force[area]) for agency, area, _ in chosen}, leads


async def simulate(place: Place, count: int, rate: float, seconds: float, seed: int) -> int:
    """Run it; return 1 if a referral that was accepted is lost."""
    draw = random.Random(seed)  # noqa: S311 - the same seed, the same load
    where = Where.from_environment()
    areas, may_lead = _taking_part(count, draw)
    if where.credentials:
        areas = {agency: area for agency, area in areas.items() if agency in where.credentials} or areas
        may_lead = [agency for agency in may_lead if agency in where.credentials]
    limits = httpx.Limits(max_connections=AT_ONCE + 2 * len(may_lead) + 16)
    async with httpx.AsyncClient(timeout=30, limits=limits) as http:
        run = Simulation(place, http, where, draw, Stages(int(rate * seconds)))
        clients = {agency: run.client(agency, WORKER) for agency in areas}
        await _answers(run)
        console.print(
            f"[bold]{len(areas)} agencies[/], {rate:g} referrals a second for {seconds:g} s: {', '.join(areas)}\n"
        )
        leads = [Lead(run.client(agency, WORKER), run.witness, lambda: None) for agency in may_lead]
        # What earlier runs have left is not this run's: it would be asked for over and over.
        await asyncio.gather(*(lead.skip() for lead in leads))
        # References are new at each run: the same seed against a stack that has seen it is still new load.
        referrals = Referrals(draw, areas, rate, prefix=f"SIM{seed}-{uuid.uuid4().hex[:6]}")
        behind = [
            asyncio.create_task(run.watch()),
            asyncio.create_task(run.withdraw(leads, list(clients.values()))),
        ]
        behind += [asyncio.create_task(lead.follow()) for lead in leads]
        began = time.monotonic()
        try:
            with _live(run.stages):
                await run.load(referrals, clients, seconds)
                loaded = time.monotonic() - began
                _wait_is_told(run)
                settled = await run.settle(leads)
        finally:
            for task in behind:
                task.cancel()
            await asyncio.gather(*behind, return_exceptions=True)
        became = await run.became()
        _table(run, became, loaded)
        _what_waits(run, became, leads, settled=settled)
        return 1 if became.lost else 0


def _live(stages: Stages) -> AbstractContextManager[object]:
    return Live(stages, console=console, refresh_per_second=4) if console.is_terminal else nullcontext()


async def _answers(run: Simulation) -> None:
    """Look at every service once, from where the counts begin.

    Raises:
        DidNotStart: if one does not answer.
    """
    for name in SERVICES:
        url = run.client("operator").url(name)
        try:
            (await run.http.get(f"{url}/readyz")).raise_for_status()
        except httpx.HTTPError:
            raise DidNotStart(
                f"{name} is not ready at {url}: run `onefriend up`, or name it by ONEFRIEND_{name.upper()}_URL"
            ) from None
    await run.stages.look(run.http, {name: run.client("operator").url(name) for name in SERVICES}, first=True)


def _wait_is_told(run: Simulation) -> None:
    """Without a live view, say what is being waited for."""
    if not console.is_terminal:
        posted = run.stages.counts["posted"]
        console.print(
            f"{posted} posted; waiting until nothing of it moves any more (at most {SETTLED_SECONDS:g} s)"
        )


def _what_waits(run: Simulation, became: Became, leads: list[Lead], *, settled: bool) -> None:
    """Print what has not come to its end, and why."""
    if not settled:
        asking = ", ".join(lead.client.id for lead in leads if not lead.idle)
        moving = [f"{waiting:.0f} events {what}" for what, waiting in run.stages.backlog.items() if waiting]
        moving += [f"still asking: {asking}"] if asking else []
        console.print(
            f"  [yellow]Something still moved after {SETTLED_SECONDS:g} s[/]: "
            + ("; ".join(moving) or "others use the stack as well")
        )
    if became.holds:
        console.print(f"  on hold, until somebody has looked or answered: {counted(became.holds)}")
    why = Counter(f"{refusal.words} ({refusal.reason})" for refusal in run.witness.refusals.values())
    if why:
        console.print("  people led and not approached:")
    for words, count in why.most_common():
        console.print(f"  {count:>5}  {words}")


def _table(run: Simulation, became: Became, loaded: float) -> None:
    """Print what came of it."""
    table = Table(
        title=f"\n{run.stages.counts['posted']} referrals in {loaded:.0f} s",
        title_justify="left",
        title_style="bold",
    )
    table.add_column("what")
    table.add_column("count", justify="right")
    for stage, text in STAGES:
        table.add_row(text, str(run.stages.counts[stage]))
    times = sorted(run.seconds) or [0.0]
    table.add_row("answered within, median", f"{1000 * times[len(times) // 2]:.0f} ms")
    table.add_row("answered within, 99 of 100", f"{1000 * times[int(len(times) * 0.99)]:.0f} ms")
    table.add_row("[bold]referrals lost[/]", f"[bold]{became.lost}[/]")
    console.print(table)
    console.print(f"  answers to POST: {counted(run.answers)}")
    console.print(f"  referrals now: {counted(became.status)}")
    console.print(f"  withdrawals, by answer: {counted(run.withdrawals)}")
