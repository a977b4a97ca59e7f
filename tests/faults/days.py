"""What comes with days, or once in years, brought about: what is due in days, a succession, a hand-over, a double reach.

One history of it is a week. Its people live in Durham, where none of the agencies is at work that follow their feeds, so
that what is begun here stays as it was begun until its day comes. First all is begun whose day is to come: a check is
asked and not answered, details are released and no outcome is told, somebody asks to be called the day after tomorrow, a
child is about to be eighteen, an agency is to be succeeded. Then every service's clock is put forward day by day, each
time until all that is due has been done, by services that die of it and are started again. Clocks are never put back: a
week is a whole one, so that the stack is in office hours again.

Three things no work brings about, and are put in place by hand: timers of intake that its restoring handlers alone set, for
what a copy of its database lacks. Here it is for a referral and a person of which nothing is lost, so that they fire, look,
and find nothing to do.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import asyncpg
import httpx

from tests.faults.almanac import Almanac
from tests.faults.arena import Arena
from tests.faults.errands import Clerk
from tests.faults.people import DESK, DURHAM, Human

HUB, POLICE, OPERATOR = "durham-restorative-hub", "durham-constabulary", "onefriend"
WEEK = 7
ADULT = 18
# A history that is given up: so much dies in it that its week does not come to an end.
LONGEST = 420.0
# A permit is asked for so many times, half a second apart: until the case is cleared.
ASKED = 30
TROUBLE = (
    httpx.HTTPError,
    ValueError,
    KeyError,
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
)
_LOST = """
INSERT INTO timer (name, key, due_at, data) SELECT $1, $2, clock_timestamp() + shift, $3::text::jsonb FROM clock
ON CONFLICT DO NOTHING
"""
_WORKER = {
    "agency": HUB,
    "details": {"roles": ["facilitator", "victim_coordinator"], "training": "complex"},
}


@dataclass
class Days:
    """One such week."""

    arena: Arena

    def __post_init__(self) -> None:
        """Have a clerk go the errands."""
        self.clerk, self.almanac = Clerk(self.arena, knocks=False), Almanac(self.arena)
        self.known = self.clerk.known
        # The permit and the fence of the attempt of which nobody says what came of it.
        self.attempt: dict[str, str] = {}
        # A whole id: a point at which it stands in the name of a command is the same for all ids (shared/runtime/crash.py).
        tag = uuid.uuid4()
        self.known |= {name: f"{name}-{tag}" for name in ("gone", "heir", "third", "worker", "member")}

    async def run(self) -> None:
        """Begin everything, and let a week pass. What does not succeed in one part is not waited for in the next."""
        parts: tuple[Callable[[], Awaitable[None]], ...] = (
            self._agencies,
            self._subscription,
            self._case,
            self._attempt,
            self._hand_over,
            self._checks,
            self._child,
            self._queue,
            self._doubt,
            self._succession,
            self._lost,
            self._week,
        )
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LONGEST):
                for part in parts:
                    with contextlib.suppress(*TROUBLE):
                        await part()

    # --- what is begun

    async def _agencies(self) -> None:
        for name in ("gone", "heir", "third"):
            registered = {"name": name.title(), "kind": "provider"}
            await self._do(OPERATOR, "allocation", "PUT /v1/agencies/{" + name + "}", registered)

    async def _subscription(self) -> None:
        self.clerk.letters = len(self.arena.desk_links())
        await self._do("{heir}", "notifications", "POST /v1/subscriptions", {"url": f"mailto:{DESK}"})
        await self._do("{heir}", "notifications", "POST /v1/subscriptions/{subscription}/confirmation")
        await self._do("{heir}", "notifications", "POST /v1/subscriptions/link/{token}")

    async def _case(self) -> None:
        """A case, with its team."""
        self.harmed = self._human()
        people = await self._refer("referral", self._document(self.harmed))
        (self.known["person"], self.known["case"]), (self.known["other"], _) = (
            people["harmed"],
            people["responsible"],
        )
        await self.almanac.told("allocation", self.known["case"], "case.cleared")
        await self._do(OPERATOR, "allocation", "PUT /v1/workers/{member}", {"agency": "{third}"})
        case = "/v1/cases/{case}"
        await self._do(HUB, "allocation", f"PUT {case}/team", {"members": ["{member}"]}, case)

    async def _attempt(self) -> None:
        """Details are released, and nobody says what came of it."""
        await self._released(HUB, "person", "case", "phone")
        self.attempt = {name: self.known[name] for name in ("permit", "fence")}

    async def _hand_over(self) -> None:
        """The responsible party goes to an agency that is to be succeeded, and asks it to call the day after tomorrow."""
        case = "/v1/cases/{case}"
        body = {"party": "{other}", "target": "{gone}", "reason": "interested"}
        await self._do(HUB, "allocation", f"POST {case}/hand-over", body, case)
        await self.almanac.told("consent", self.known["other"], "lead.handed_over")
        answer = {
            "case": "{case}",
            "person": "{other}",
            "answer": "not_now",
            "not_before": self.almanac.day(2),
        }
        await self._do("{gone}", "consent", "POST /v1/inbound-contacts", answer)

    async def _checks(self) -> None:
        """Two questions about him: one is answered, one is not."""
        asked = {"kind": "research", "of": "{heir}", "party": "{other}"}
        path = "/v1/cases/{case}/checks"
        await self._do(HUB, "allocation", f"POST {path}", asked | {"due": self.almanac.moment(5)})
        await self.almanac.pause()
        await self._do(HUB, "allocation", f"POST {path}", asked | {"of": HUB, "due": self.almanac.moment(5)})
        await self.almanac.pause()
        check = "/v1/checks/{check}"
        await self._do(HUB, "allocation", f"PUT {check}/answer", {"satisfied": True}, check)

    async def _child(self) -> None:
        document = self._document(self._human())
        born = self.almanac.now() + timedelta(days=3)
        parent = {
            "relation": "parent",
            "name": {"full": "Dora Ackroyd"},
            "phones": [{"number": "07700 900999"}],
        }
        document["parties"][0] |= {
            # Whoever is born on a leap day has a birthday a day later.
            "date_of_birth": f"{born.year - ADULT}-{born:%m}-{min(born.day, 28):02d}",
            "contact_person": parent | {"date_of_birth": "1980-01-01"},
        }
        await self._refer("child", document)

    async def _queue(self) -> None:
        """A case for which nobody has the hours, until somebody has."""
        await self._do(OPERATOR, "allocation", f"PUT /v1/agencies/{HUB}", {"name": "Hub", "kind": "hub"})
        worker = "/v1/workers/{worker}"
        await self._do(OPERATOR, "allocation", f"PUT {worker}", _WORKER | {"capacity": 1})
        with contextlib.suppress(*TROUBLE):
            people = await self._refer("queued", self._document(self._human()))
            await self.almanac.told("allocation", people["harmed"][1], "case.queued")
        for hours in (400, 0):
            await self._do(OPERATOR, "allocation", f"PUT {worker}", _WORKER | {"capacity": hours}, worker)
            await self.almanac.done()

    async def _doubt(self) -> None:
        """The same human, of whom another case knows hardly more than the name, is taken for another, with another lead."""
        document = self._document(self.harmed)
        lines = [f"{self.harmed.number} {self.harmed.surname} Lane"]
        document["parties"][0] |= {
            "phones": [],
            "emails": [],
            "addresses": [{"lines": lines, "postcode": "DH1 3EE"}],
        }
        people = await self._refer("second", document)
        self.known["person2"], self.known["case2"] = people["harmed"]
        await self._review("decision", {"answer": "different", "reason": "different_people"})
        await self.almanac.told("allocation", self.known["case2"], "case.cleared")
        case = "/v1/cases/{case2}"
        body = {"party": "{person2}", "target": "{third}", "reason": "interested"}
        await self._do(HUB, "allocation", f"POST {case}/hand-over", body, case)
        await self.almanac.told("consent", self.known["person2"], "lead.handed_over")

    async def _succession(self) -> None:
        body = {"successor": "{heir}", "since": self.almanac.moment(1)}
        await self._do(OPERATOR, "allocation", "POST /v1/agencies/{gone}/succession", body)

    async def _lost(self) -> None:
        """What a restored intake would look for."""
        case, person, referral = (self.known[name] for name in ("case", "person", "referral"))
        connection = await asyncpg.connect(self.arena.onefriend.databases["intake"], timeout=5)
        try:
            await connection.execute(_LOST, "details-lost", case, "{}")
            await connection.execute(_LOST, "safety-lost", person, "{}")
            await connection.execute(_LOST, "retracted", referral, json.dumps({"case": case}))
        finally:
            await connection.close()
        await self.almanac.done()

    # --- what comes of it

    async def _week(self) -> None:
        for day in range(1, WEEK + 1):
            await self.almanac.next_day()
            if day == 3:  # the outcome is overdue by then; it is a Friday
                with contextlib.suppress(*TROUBLE):
                    await self._both_reached()

    async def _both_reached(self) -> None:
        """Two agencies have each reached somebody, and now it turns out that they are one human."""
        self.known |= self.attempt
        await self._outcome(HUB)
        await self._released("{third}", "person2", "case2", "letter")
        await self._outcome("{third}")
        await self._review("undo", {"reason": "clerical_error"})
        await self.almanac.pause()
        await self._review("decision", {"answer": "same", "reason": "same_details"})
        await self.almanac.told("consent", self.known["person"], "double_reach.found")

    async def _outcome(self, who: str) -> None:
        body = {"fence": "{fence}", "outcome": "agreed", "agreement": {"scope": ["be_contacted"]}}
        await self._do(who, "consent", "PUT /v1/attempts/{permit}/outcome", body)

    async def _released(self, who: str, person: str, case: str, channel: str) -> None:
        """Have a permit granted, and details handed out on the strength of it. Raises KeyError if it is refused."""
        self.known.pop("permit", None)
        asked = {"case": self.known[case], "person": self.known[person], "channel": channel}
        for _ in range(ASKED):
            await self._do(who, "consent", "POST /v1/permits", asked)
            if "permit" in self.known:
                break
            await asyncio.sleep(0.5)
        body = {"permit": self.known["permit"], "fence": "{fence}"}
        await self._do(who, "intake", "POST /v1/releases", body)

    async def _review(self, what: str, body: dict[str, str]) -> None:
        """Decide the review about the doubtful record, or undo that."""
        listed = "?state=decided" if what == "undo" else ""
        for _ in range(ASKED):
            page = await self.clerk.ask(HUB, "intake", "GET", f"/v1/match-reviews{listed}")
            found = [one for one in page.json()["reviews"] if one["person"] == self.known["person2"]]
            if found:
                path = f"/v1/match-reviews/{found[0]['id']}"
                await self._do(HUB, "intake", f"POST {path}/{what}", body, path)
                return
            await asyncio.sleep(0.5)

    # --- how

    async def _do(
        self, who: str, service: str, errand: str, body: dict[str, Any] | None = None, match: str = ""
    ) -> None:
        with contextlib.suppress(httpx.HTTPError, ValueError):
            await self.clerk.do(self.clerk.filled(who), service, errand, body, match)

    def _human(self) -> Human:
        human = self.arena.population.human()
        self.arena.humans |= {human.phone: human, human.email: human}
        return human

    def _document(self, harmed: Human) -> dict[str, Any]:
        return self.arena.population.referral(DURHAM, harmed, self._human())

    async def _refer(self, name: str, document: dict[str, Any]) -> dict[str, tuple[str, str]]:
        """Refer; return each role's person and case. Raises KeyError if that comes to nothing."""
        await self.clerk.post(name, document, POLICE)
        found: dict[str, tuple[str, str]] = {}

        async def there() -> bool:
            found.update(await self.clerk.referred(self.known[name]))
            return "harmed" in found

        await self.almanac.until(there)
        return found
