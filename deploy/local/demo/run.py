"""`onefriend demo`: the whole flow on real people's records, checked at the end against the truth in the data."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import signal
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import httpx

from deploy.local import agencies, services
from deploy.local.demo.agency import OK, Lead, Witness
from deploy.local.demo.client import Client
from deploy.local.demo.people import PEOPLE, SEED, Posting, postings
from deploy.local.demo.show import Board, console, counted, interactive, live, verdict
from deploy.local.demo.story import Story, referral
from deploy.local.demo.truth import Outcome, Truth, weigh
from deploy.local.hours import until_tuesday
from deploy.local.place import Place
from deploy.local.stack import Stack
from deploy.local.supervisor import Supervisor

LEADS = ("victims-first-northumbria", "northumbria-police", "northumbria-crc", "nps-northumbria")
WORKER = "demo-worker"
ACCEPTED, REFUSED = 202, 422
KILLED = "allocation"
SETTLED_SECONDS = 120
QUIET_SECONDS = 4
# What the display counts, from the services' own databases. The table at the end is made from answers and records instead.
COUNTS = {
    "accepted": ("intake", "SELECT count(*) FROM referral"),
    "recognised": ("intake", "SELECT count(DISTINCT referral) FROM referral_case"),
    "held": ("intake", "SELECT count(*) FROM hold WHERE lifted_at IS NULL"),
    "cases": ("intake", "SELECT count(DISTINCT case_id) FROM referral_case"),
    "proposed": ("allocation", "SELECT count(DISTINCT key) FROM journal WHERE type = 'case.proposed.v1'"),
    "allocated": ("allocation", "SELECT count(DISTINCT key) FROM journal WHERE type = 'case.allocated.v1'"),
    "fed": ("notifications", "SELECT count(DISTINCT case_id) FROM feed WHERE kind = 'case.allocated'"),
    "refused": ("consent", "SELECT count(*) FROM journal WHERE type = 'permit.refused.v1'"),
}


@dataclass
class Demo:
    """One demonstration on a stack that is up."""

    place: Place
    pools: dict[str, Any]
    http: httpx.AsyncClient
    board: Board
    posted: dict[str, tuple[Client, Posting]] = field(default_factory=dict)
    witness: Witness = field(default_factory=Witness)
    lost: int = 0
    corrected: int = 0

    def client(self, agency: str, worker: str | None = None) -> Client:
        """Return a client of an agency."""
        return Client(self.place, self.http, agency, worker)

    async def at_ten_on_a_tuesday(self) -> None:
        """Move every service's clock to the next Tuesday at 10:00 in London: nobody is rung at night."""
        ahead = until_tuesday().total_seconds()
        operator = self.client("operator")
        for service in self.pools:
            await operator.call(service, "PUT", "/v1/clock", json={"seconds": ahead})

    async def post_all(self, all_of_them: Sequence[Posting]) -> None:
        """Post every referral, twelve at a time; kill a service in the middle."""
        clients = {posting.agency: self.client(posting.agency) for posting in all_of_them}
        todo = iter(enumerate(all_of_them))

        async def worker() -> None:
            for number, posting in todo:
                if number == len(all_of_them) // 2:
                    self._kill()
                client = clients[posting.agency]
                answer = await self._post(client, posting)
                if answer.status_code in {OK, ACCEPTED}:
                    self.posted[answer.json()["referral"]] = (client, posting)
                else:
                    fields = ", ".join(error["field"] for error in answer.json().get("errors", []))
                    self.board.say(f"a referral was refused: {answer.status_code} {fields}")
                    self.lost += 1
                self.board.counts["posted"] = self.board.counts.get("posted", 0) + 1

        await asyncio.gather(*(worker() for _ in range(12)))

    async def _post(self, client: Client, posting: Posting) -> httpx.Response:
        """Post a referral; refused for a field, do as the answer says: send it again without that field's bad value."""
        answer = await client.call("intake", "POST", "/v1/referrals", json=posting.document)
        if answer.status_code == REFUSED and all(
            "postcode" in error["field"] for error in answer.json()["errors"]
        ):
            document = copy.deepcopy(posting.document)
            document["parties"][0].pop("addresses")
            answer = await client.call("intake", "POST", "/v1/referrals", json=document)
            self.corrected += 1
        return answer

    def _kill(self) -> None:
        for process in services.running(self.place, KILLED):
            process.kill()
            self.board.say(
                f"{KILLED} (process {process.pid}) is killed with -9; it is started again by itself"
            )

    async def count(self) -> None:
        """Keep the display up to date."""
        while True:
            with contextlib.suppress(asyncpg.PostgresError, OSError):
                for stage, (service, sql) in COUNTS.items():
                    self.board.counts[stage] = await self.pools[service].fetchval(sql)
            self.board.counts["approached"] = len(self.witness.contacts)
            await asyncio.sleep(0.25)

    async def settle(self, leads: Sequence[Lead]) -> None:
        """Wait until nothing has moved for a while and every lead has approached everyone."""
        last, since = None, time.monotonic()
        deadline = time.monotonic() + SETTLED_SECONDS
        while time.monotonic() < deadline:
            now = (tuple(sorted(self.board.counts.items())), len(self.witness.contacts))
            if now != last:
                last, since = now, time.monotonic()
            done = self._decided() and all(lead.idle for lead in leads)
            if done and time.monotonic() - since > QUIET_SECONDS:
                return
            await asyncio.sleep(0.2)

    def _decided(self) -> bool:
        """Say whether every referral was recognised, every case proposed, and every lead told.

        A case whose referral is on hold is proposed and waits there: how many those are cannot be known beforehand, so the
        quiet that follows is what says that consent has answered the rest.
        """
        counts = {stage: self.board.counts.get(stage, 0) for stage in COUNTS}
        proposed = counts["proposed"] >= counts["cases"]
        return counts["recognised"] >= len(self.posted) and proposed and counts["fed"] >= counts["allocated"]

    async def outcomes(self) -> list[Outcome]:
        """Ask intake, as each agency, what became of each of its referrals. One that it does not know is lost."""
        gate = asyncio.Semaphore(12)

        async def one(referral_id: str, client: Client, posting: Posting) -> Outcome:
            async with gate:
                answer = await client.call("intake", "GET", f"/v1/referrals/{referral_id}")
            if answer.status_code != OK:
                self.lost += 1
                return Outcome(posting, (), ())
            body = answer.json()
            if not body["cases"] and not body["holds"]:
                self.lost += 1
            holds = tuple(hold["reason"] for hold in body["holds"])
            return Outcome(posting, tuple(case["case"] for case in body["cases"]), holds)

        return list(await asyncio.gather(*(one(key, *value) for key, value in self.posted.items())))

    async def story(self, leads: Sequence[Lead]) -> list[str]:
        """Tell the story of one victim; return what did not go as promised."""
        police, other = (
            self.client("northumbria-police", WORKER),
            self.client("witness-service-northumbria", WORKER),
        )
        first = await police.call("intake", "POST", "/v1/referrals", json=referral("STORY-1"))
        await other.call("intake", "POST", "/v1/referrals", json=referral("STORY-2"))
        case = await self._case_of(police, first.json()["referral"])
        for lead in leads:
            answer = await lead.client.call("notifications", "GET", "/v1/feed?after=0&limit=200")
            while answer.status_code == OK and answer.json()["entries"]:
                found = answer.json()["entries"]
                for entry in found:
                    mine = entry["case"] == case and entry["kind"] == "case.allocated"
                    if mine and entry["data"].get("role") == "harmed":
                        return await Story(police, lead.client, other).tell(entry)
                last = found[-1]["number"]
                answer = await lead.client.call("notifications", "GET", f"/v1/feed?after={last}&limit=200")
        status = await police.call("intake", "GET", f"/v1/referrals/{first.json()['referral']}")
        return [f"her case reached no lead agency's feed: {status.json()['status']} {status.json()['holds']}"]

    async def _case_of(self, client: Client, referral_id: str) -> str:
        for _ in range(200):
            body = (await client.call("intake", "GET", f"/v1/referrals/{referral_id}")).json()
            if body["cases"] and body["status"] == "allocated":
                return str(body["cases"][0]["case"])
            await asyncio.sleep(0.1)
        return ""


def table(truth: Truth, witness: Witness, corrected: int, seconds: float) -> None:
    """Print what came of it."""
    could = truth.could_join
    verdict(
        f"{truth.referrals} referrals about {truth.people} people by six agencies, in {seconds:.0f} s",
        [
            ("people referred", str(truth.people), str(truth.people)),
            (
                f"referrals joined to their person's case (of {could})",
                str(truth.joined),
                str(truth.exact_joined),
            ),
            ("referrals wrongly joined", str(truth.wrongly_joined), str(truth.exact_wrongly_joined)),
            ("referrals on hold for a person to decide", str(sum(truth.held.values())), "0"),
            ("contacts made, each with a permit", str(len(witness.contacts)), ""),
            ("permits and releases refused", str(len(witness.refusals)), ""),
            (
                "[bold]people approached twice[/]",
                f"[bold]{truth.approached_twice}[/]",
                f"[bold]{truth.exact_approached_twice}[/]",
            ),
            ("  of these known to be one human", str(truth.known_as_one_and_approached_twice), ""),
            ("[bold]referrals lost[/]", f"[bold]{truth.lost}[/]", ""),
        ],
        [
            f"on hold: {counted(truth.held)}",
            f"refused: {counted(witness.refused)}",
            f"answered 422 for a postcode that is none, and sent again without it: {corrected}",
            "A person approached twice and not known to be one human is a recognition that failed: two records too unlike.",
        ],
    )


@contextlib.asynccontextmanager
async def _stack(place: Place) -> AsyncIterator[dict[str, Any]]:
    began = time.monotonic()

    def tell(part: str, doing: str) -> None:
        console.print(f"[dim]{time.monotonic() - began:6.1f} s[/]  {part:<14} {doing}")

    stack = Stack(place)
    async with Supervisor(place, stack, tell).running() as running:
        operator = Client(place, httpx.AsyncClient(), "operator")
        async with operator.http:
            token = await operator.token()
            await agencies.register(services.url(place, "allocation"), token, agencies.known(place))
        urls = await asyncio.to_thread(stack.ensure_databases)
        names = [service.name for service in running if service.name in urls]
        pools = {name: await asyncpg.create_pool(urls[name], min_size=1, max_size=2) for name in names}
        try:
            yield pools
        finally:
            for pool in pools.values():
                await pool.close()


async def demonstrate(place: Place, people: int = PEOPLE, seed: int = SEED) -> int:
    """Run the demonstration; return the exit status: 1 if anything was lost or a known human was approached twice."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None  # noqa: S101 -- asyncio.run made it
    for ended_by in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Everything that was started is stopped on the way out, also when the terminal is closed.
        loop.add_signal_handler(ended_by, task.cancel)
    all_of_them = postings(people, seed)
    console.print("[bold]Onefriend[/]: starting a database, a broker and the services\n")
    async with _stack(place) as pools, httpx.AsyncClient(timeout=30) as http:
        began = time.monotonic()
        demo = Demo(place, pools, http, Board(len(all_of_them)))
        await demo.at_ten_on_a_tuesday()
        leads = [Lead(demo.client(agency, WORKER), demo.witness, lambda: None) for agency in LEADS]
        console.print(f"\n[bold]{len(all_of_them)} referrals about {people} people who lived long ago[/]\n")
        tasks = [asyncio.create_task(demo.count()), *(asyncio.create_task(lead.follow()) for lead in leads)]
        try:
            with live(demo.board):
                await demo.post_all(all_of_them)
                await demo.settle(leads)
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        for error in ended:
            if isinstance(error, Exception):
                raise error
        if not console.is_terminal:
            console.print(demo.board)
        truth = weigh(await demo.outcomes(), demo.witness.contacts, demo.lost)
        broken = await demo.story(leads)
        table(truth, demo.witness, demo.corrected, time.monotonic() - began)
        for sentence in broken:
            console.print(f"  [red]not as promised[/]: {sentence}")
        harm = truth.lost or truth.known_as_one_and_approached_twice or broken
        if interactive():
            _go_on(place)
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
        return 1 if harm else 0


def _go_on(place: Place) -> None:
    """Print how to go on by hand."""
    console.print("\n[bold]It stays up.[/] Ctrl-C stops it. To go on, in another terminal:")
    for name in ("intake", "consent", "allocation", "notifications"):
        console.print(f"  {name:<14} {services.url(place, name)}/docs")
    console.print(f"\n  export ONEFRIEND_HOME='{place.home}'")
    console.print("  TOKEN=$(bin/onefriend token victims-first-northumbria)")
    feed = f"{services.url(place, 'notifications')}/v1/feed?limit=3"
    console.print(f'  curl -H "Authorization: Bearer $TOKEN" "{feed}"')
    console.print("  bin/onefriend status; bin/onefriend doctor")
