"""A scenario on the stage: the running services, its people, and its cases as they stand."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from tests.e2e.conftest import Onefriend
from tests.e2e.steps import Case
from tests.partnerships.cast import Cast
from tests.partnerships.scenario import Scenario, policy
from tests.partnerships.selfreferred import asks, referral_of
from tests.support.running import until

SECONDS: Final = 60.0
EVERY: Final = 0.2
Step = Callable[["Play", Any], Awaitable[None]]
STEPS: Final[dict[str, Step]] = {}


def step(function: Step) -> Step:
    """Make a function a step of scenarios, by its name."""
    STEPS[function.__name__] = function
    return function


def listed(said: Any) -> list[Any]:
    """One or several."""
    return list(said) if isinstance(said, list) else [said]


@dataclass
class World:
    """The services, and every agency's feed as far as it has been read: entries never change, so nothing is read twice."""

    onefriend: Onefriend
    _read: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    _at: dict[str, float] = field(default_factory=dict)
    _locks: dict[str, asyncio.Lock] = field(default_factory=dict)

    async def feed(self, agency: str, case: str) -> list[dict[str, Any]]:
        """Return what an agency has been told of a case, up to now."""
        asked = time.monotonic()
        async with self._locks.setdefault(agency, asyncio.Lock()):
            read = self._read.setdefault(agency, [])
            while self._at.get(agency, 0.0) < asked:
                after = read[-1]["number"] if read else 0
                began = time.monotonic()
                path = f"/v1/feed?after={after}&limit=500"
                answer = await self.onefriend.call("notifications", "GET", path, agency)
                assert answer.status_code == 200, answer.text
                page = answer.json()
                read += page["entries"]
                if not page["more"]:
                    self._at[agency] = began
        return [entry for entry in read if entry["case"] == case]

    async def told(self, agency: str, kind: str, case: str, **data: Any) -> dict[str, Any]:
        """Wait for an entry of a kind about a case, with these data (`party` is the entry's own); return the first."""
        found: list[dict[str, Any]] = []

        def fits(entry: Mapping[str, Any]) -> bool:
            said = {**entry["data"], "party": entry["party"]}
            return entry["kind"] == kind and all(said.get(name) == value for name, value in data.items())

        async def there() -> bool:
            found[:] = [entry for entry in await self.feed(agency, case) if fits(entry)]
            return bool(found)

        try:
            await until(there, seconds=SECONDS, every=EVERY)
        except AssertionError:
            seen = [(e["kind"], e["data"]) for e in await self.feed(agency, case)]
            message = f"{agency} was not told {kind} {data}, but {seen}"
            raise AssertionError(message) from None
        return found[0]


class Play:
    """What is known of a scenario while it goes on. Steps look at it and change it."""

    def __init__(self, world: World, scenario: Scenario) -> None:
        """Nothing has been posted yet."""
        self.world = world
        self.onefriend = world.onefriend
        self.scenario = scenario
        self.cast = Cast(scenario)
        self.given: dict[str, Any] = dict(scenario.given)
        self.document: dict[str, Any] = {}
        self.by: str = scenario.given["by"]
        self.referral = ""
        self.cases: list[Case] = []
        self.leads: dict[str, str] = {}
        self.permits: dict[str, dict[str, Any]] = {}
        self.numbers = itertools.count(2)

    async def run(self) -> None:
        """Post the referral and take the steps, each in its turn."""
        for one in self.scenario.before:
            await self._take(one)
        self.document = self.cast.referral(self.given)
        if self.by == "self":
            asked = await asks(self.onefriend, self.document["parties"][0], self.document["incident"])
            self.referral = await referral_of(self.onefriend, asked.number)
        else:
            self.referral = (await self.onefriend.post_referral(self.by, self.document))["referral"]
        await until(self._matched, seconds=SECONDS, every=EVERY)
        for one in self.scenario.then:
            await self._take(one)

    async def _take(self, one: Mapping[str, Any]) -> None:
        ((word, said),) = one.items()
        assert word in STEPS, f"there is no step {word!r}: use one of {sorted(STEPS)}"
        try:
            await STEPS[word](self, said)
        except AssertionError as error:
            where = f"{self.scenario.id}: {yaml.safe_dump(dict(one), default_flow_style=True).strip()}"
            raise AssertionError(f"{where}\n{error}\n{await self._holds()}") from error

    async def _holds(self) -> str:
        """What intake holds against the people of the case: the first thing to look at when a permit is refused."""
        found = []
        for party in (await self.seen()).get("parties", []) if self.cases else []:
            for person in {party["party"], party["person"]}:
                answer = await self.onefriend.call(
                    "intake", "GET", f"/v1/people/{person}", "onefriend", "hub", "people.write"
                )
                found.append(f"{party['role']} {answer.json()}")
        return "\n".join(found)

    async def _matched(self) -> bool:
        answer = await self.onefriend.call("intake", "GET", f"/v1/referrals/{self.referral}", self.by)
        assert answer.status_code == 200, answer.text
        wanted = max(1, sum(party["role"] == "harmed" for party in self.document["parties"]))
        cases = sorted(case["case"] for case in answer.json().get("cases", []))
        if len(cases) < wanted:
            return False
        self.cases = [Case(self.onefriend, case, self.referral) for case in cases]
        return True

    def case_of(self, party: str) -> Case:
        """The case in which a party is spoken of: `harmed-2` has the second, everybody else the first."""
        role, _, number = party.partition("-")
        return self.cases[int(number) - 1] if role == "harmed" and number else self.cases[0]

    async def seen(self, case: Case | None = None) -> dict[str, Any]:
        """The case as allocation has it; nothing while it has not heard of it."""
        answer = await (case or self.cases[0]).read("onefriend", "cases.read", "operator")
        assert answer.status_code in {200, 404}, answer.text
        return dict(answer.json()) if answer.status_code == 200 else {}

    async def when(
        self, holds: Callable[[dict[str, Any]], bool], what: str, case: Case | None = None
    ) -> dict[str, Any]:
        """Wait until the case stands so; return it."""
        last: list[dict[str, Any]] = []

        async def so() -> bool:
            last[:] = [await self.seen(case)]
            return bool(last[0]) and holds(last[0])

        try:
            await until(so, seconds=SECONDS, every=EVERY)
        except AssertionError:
            raise AssertionError(f"never {what}: {last[0] if last else 'no case'}") from None
        return last[0]

    async def party(self, key: str) -> dict[str, Any]:
        """A party as allocation has it, by its name in the scenario."""
        role, _, number = key.partition("-")
        place = int(number or 1) if role != "harmed" else 1

        def known(seen: dict[str, Any]) -> bool:
            return len(_of(seen, role)) >= place

        seen = await self.when(known, f"a party {key}", self.case_of(key))
        return _of(seen, role)[place - 1]

    def partners(self) -> list[str]:
        """Every agency that the partnership's policy names."""
        return list(policy(self.scenario.partnership)["agencies"])


def _of(seen: Mapping[str, Any], role: str) -> list[dict[str, Any]]:
    # Ids are drawn in the order of the referral, and sort so.
    found = [party for party in seen.get("parties", []) if party["role"] == role]
    return sorted(found, key=lambda party: str(party["party"]))
