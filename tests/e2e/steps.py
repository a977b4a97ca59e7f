"""The steps of the scenarios: what an agency does through the public API, and what must come of it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from tests.e2e.conftest import Onefriend
from tests.support.running import until

_numbers = itertools.count(1)
# How long anything is waited for: far longer than it takes on a machine that is busy with other things.
SECONDS = 45.0
HERTFORDSHIRE = ("E23000027", "41")


def why(answer: httpx.Response) -> str:
    """Return a problem's type, without its address; "granted" and the like have none."""
    return str(answer.json().get("type", answer.status_code)).rsplit("/", 1)[-1]


def referral(
    place: tuple[str, str], *parties: dict[str, Any], incident: Mapping[str, Any] | None = None, **fields: Any
) -> dict[str, Any]:
    """Return a referral of these parties about an incident of its own."""
    number = next(_numbers)
    area, force = place
    happened = {
        "offence_class": "burglary",
        "reference": f"{force}/{5000 + number}/26",
        "force": force,
        "on": f"2026-02-{1 + number % 28:02d}",
        "area": area,
    }
    document = {
        "reference": f"R-{number}",
        "version": 1,
        "incident": {**happened, **(incident or {})},
        "parties": list(parties),
        "stage": "post_sentence",
        "initiated_by": "agency",
        "prior_contact": "none",
        "lawful_basis": "public_task",
    }
    return {**document, **fields}


@dataclass
class Case:
    """A case of one harmed party: what its agencies do."""

    onefriend: Onefriend
    id: str
    referral: str = ""

    async def allocated(self, agency: str, role: str = "harmed", seconds: float = 20) -> dict[str, Any]:
        """Wait until an agency is told that it leads a party of the case; return the entry."""
        return await self.onefriend.wait_for(agency, "case.allocated", self.id, seconds=seconds, role=role)

    async def ask(
        self, agency: str, person: str, *, channel: str = "phone", purpose: str = "approach", **more: Any
    ) -> httpx.Response:
        """Ask consent for a permit, once."""
        body = {"case": self.id, "person": person, "purpose": purpose, "channel": channel, **more}
        return await self.onefriend.post("consent", "/v1/permits", agency, body)

    async def permit(self, agency: str, person: str, **more: Any) -> dict[str, Any]:
        """Ask until granted: news of the clearance may still be on its way."""
        answers: list[httpx.Response] = []

        async def granted() -> bool:
            answers[:] = [await self.ask(agency, person, **more)]
            return answers[0].status_code == 201

        try:
            await until(granted, seconds=SECONDS, every=0.2)
        except AssertionError:
            raise AssertionError(answers[0].text) from None
        return dict(answers[0].json())

    async def refused(self, agency: str, person: str, *reasons: str, **more: Any) -> None:
        """Ask until the refusal has one of these reasons; it must never be granted."""
        answers: list[httpx.Response] = []

        async def told() -> bool:
            answers[:] = [await self.ask(agency, person, **more)]
            assert answers[0].status_code in {404, 409, 503}, answers[0].text
            return why(answers[0]) in reasons

        try:
            await until(told, seconds=SECONDS, every=0.2)
        except AssertionError:
            raise AssertionError(f"not {reasons}: {answers[0].text}") from None

    async def release(self, agency: str, permit: dict[str, Any]) -> dict[str, Any]:
        """Redeem a permit; return the details handed out."""
        answer = await self._redeem(agency, permit)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def _redeem(self, agency: str, permit: dict[str, Any]) -> httpx.Response:
        """Ask for the details. `behind` and a 503 mean: ask again in a moment."""
        body = {"permit": permit["permit"], "fence": permit["fence"]}
        answers: list[httpx.Response] = []

        async def not_behind() -> bool:
            answers[:] = [await self.onefriend.call("intake", "POST", "/v1/releases", agency, json=body)]
            return answers[0].status_code != 503 and why(answers[0]) != "behind"

        await until(not_behind, seconds=SECONDS, every=0.2)
        return answers[0]

    async def outcome(self, agency: str, permit: dict[str, Any], outcome: str, **more: Any) -> None:
        """Record what became of an attempt."""
        body = {"fence": permit["fence"], "outcome": outcome, **more}
        path = f"/v1/attempts/{permit['permit']}/outcome"
        answer = await self.onefriend.call("consent", "PUT", path, agency, json=body)
        assert answer.status_code == 200, answer.text

    async def contact(self, agency: str, person: str, outcome: str, **more: Any) -> dict[str, Any]:
        """Permit, release, outcome: one attempt. `more`: of the permit, but for what belongs to the outcome."""
        told = {name: more.pop(name) for name in ("agreement", "not_before", "scope") if name in more}
        permit = await self.permit(agency, person, **more)
        released = await self._redeem(agency, permit)
        while why(released) == "changed":
            # Something about the person was still on its way when the permit was given: as told, a new one is asked for.
            permit = await self.permit(agency, person, **more)
            released = await self._redeem(agency, permit)
        assert released.status_code == 200, released.text
        await self.outcome(agency, permit, outcome, **told)
        return dict(released.json())

    async def read(self, agency: str, *scopes: str) -> httpx.Response:
        """Read the case at allocation, as an agency."""
        return await self.onefriend.call(
            "allocation", "GET", f"/v1/cases/{self.id}", agency, *(scopes or ("cases.read",))
        )

    async def change(self, method: str, what: str, agency: str, body: object, *scopes: str) -> httpx.Response:
        """Change the case as it stands now (If-Match)."""
        wanted = scopes or ("cases.read", "cases.write")
        answers: list[httpx.Response] = []

        async def not_outrun() -> bool:
            seen = await self.read(agency, *wanted)
            headers = {"If-Match": seen.headers.get("etag", '"0"')}
            answers[:] = [
                await self.onefriend.call(
                    "allocation", method, f"/v1/cases/{self.id}/{what}", agency, *wanted,
                    headers=headers, json=body,
                )
            ]  # fmt: skip
            return answers[0].status_code != 412

        await until(not_outrun, seconds=SECONDS, every=0.1)
        return answers[0]

    async def hand_over(self, agency: str, party: str, target: str | None = None) -> httpx.Response:
        """Hand a party's lead over, to whom policy names unless told otherwise."""
        body = {"party": party, "reason": "interested"} | ({"target": target} if target else {})
        return await self.change("POST", "hand-over", agency, body)

    async def checks(self) -> list[dict[str, Any]]:
        """Return the checks of the case, as an operator sees them."""
        seen = await self.read("onefriend", "cases.read", "operator")
        assert seen.status_code == 200, seen.text
        return list(seen.json().get("checks", []))

    async def answer_check(self, agency: str, check: str, *, satisfied: bool = True) -> None:
        """Answer a check as the agency that is asked."""
        path = f"/v1/checks/{check}"
        answers: list[httpx.Response] = []

        async def not_outrun() -> bool:
            seen = await self.onefriend.call("allocation", "GET", path, agency)
            assert seen.status_code == 200, seen.text
            headers = {"If-Match": seen.headers["etag"]}
            answers[:] = [
                await self.onefriend.call(
                    "allocation", "PUT", f"{path}/answer", agency, headers=headers, json={"satisfied": satisfied}
                )
            ]  # fmt: skip
            return answers[0].status_code != 412

        await until(not_outrun, seconds=SECONDS, every=0.1)
        assert answers[0].status_code == 200, answers[0].text


async def status(onefriend: Onefriend, agency: str, referral_id: str) -> dict[str, Any]:
    """Return how a referral stands, as its agency reads it."""
    answer = await onefriend.call("intake", "GET", f"/v1/referrals/{referral_id}", agency)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def refer(onefriend: Onefriend, agency: str, document: dict[str, Any], cases: int = 1) -> list[Case]:
    """Post a referral, and wait until its cases are known."""
    posted = await onefriend.post_referral(agency, document)
    found: list[dict[str, Any]] = []

    async def matched() -> bool:
        found[:] = (await status(onefriend, agency, posted["referral"])).get("cases", [])
        return len(found) >= cases

    await until(matched, seconds=SECONDS, every=0.1)
    return [Case(onefriend, case["case"], posted["referral"]) for case in found]


async def withdraw(onefriend: Onefriend, agency: str, person: str, **more: Any) -> dict[str, Any]:
    """Withdraw a person through an agency; it must be in force."""
    body = {"person": person, "scope": "everything", "by": "person", **more}
    answer = await onefriend.post("intake", "/v1/withdrawals", agency, body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def register(onefriend: Onefriend, agency: str, kind: str) -> None:
    """Register an agency, as an operator does before it has workers or succeeds another."""
    body = {"kind": kind, "name": agency}
    answer = await onefriend.call(
        "allocation", "PUT", f"/v1/agencies/{agency}", "onefriend", "operator", json=body
    )
    assert answer.status_code in {200, 201}, answer.text
