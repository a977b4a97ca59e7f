"""The story of one victim, told with the answers that the services gave."""

from __future__ import annotations

from typing import Any

from deploy.local.demo.agency import CREATED, OK
from deploy.local.demo.client import Client, kind
from deploy.local.demo.show import console

VICTIM = {
    "role": "harmed",
    "name": {"forenames": "Beatrice Ann", "surname": "Harrowgate"},
    "date_of_birth": "1979-05-17",
    "sex": "female",
    "addresses": [{"lines": ["12 Ouse Terrace"], "postcode": "NE2 4HH"}],
    "phones": [{"number": "07700 900461"}],
    "emails": [{"address": "b.harrowgate@example.org"}],
}


def referral(reference: str) -> dict[str, Any]:
    """Return a referral about her."""
    return {
        "reference": reference,
        "version": 1,
        "incident": {
            "offence_class": "burglary",
            "on": "2026-10-02",
            "area": "E23000007",
            "reference": "NP-HARROW-26",
            "force": "10",
        },
        "parties": [VICTIM],
        "stage": "post_sentence",
        "initiated_by": "agency",
        "prior_contact": "none",
        "lawful_basis": "public_task",
    }


class Story:
    """One victim, three agencies."""

    def __init__(self, police: Client, lead: Client, other: Client) -> None:
        self.police, self.lead, self.other = police, lead, other
        self.went_wrong: list[str] = []

    def _say(self, who: str, what: str, *, good: bool = True) -> None:
        console.print(f"  [bold]{who:<22}[/] {what}")
        if not good:
            self.went_wrong.append(what)

    async def tell(self, entry: dict[str, Any]) -> list[str]:
        """Tell it, from her case in the lead agency's feed on. Returns what did not go as promised."""
        console.print("\n[bold]The story of one victim[/] (invented)")
        self._say(
            "police", "posts a referral about Beatrice; the witness service posts another an hour later"
        )
        await self._why(entry)
        permit = await self._permit(self.lead, entry)
        if permit is None:
            return [*self.went_wrong, "the lead agency got no permit"]
        await self._other_asks(entry)
        await self._contact(permit)
        await self._withdraw(entry)
        for who, client in (("lead agency", self.lead), ("witness service", self.other)):
            answer = await self._ask(client, entry)
            self._say(
                who,
                f"asks for a permit: {answer.status_code} [red]{kind(answer)}[/]",
                good=answer.status_code != CREATED,
            )
        return self.went_wrong

    async def _why(self, entry: dict[str, Any]) -> None:
        answer = await self.lead.call("allocation", "GET", f"/v1/cases/{entry['case']}")
        why = answer.json().get("why", []) if answer.status_code == OK else []
        self._say("one case, one lead", f"{self.lead.id}, because:")
        for sentence in why[:4]:
            text = sentence if isinstance(sentence, str) else sentence.get("sentence", "")
            console.print(f"  {'':<22} [dim]{text}[/]")

    async def _ask(self, client: Client, entry: dict[str, Any]) -> Any:  # noqa: ANN401 -- httpx's answer
        body = {
            "case": entry["case"],
            "person": entry["data"]["person"],
            "purpose": "approach",
            "channel": "phone",
        }
        return await client.call("consent", "POST", "/v1/permits", json=body)

    async def _permit(self, client: Client, entry: dict[str, Any]) -> dict[str, Any] | None:
        answer = await self._ask(client, entry)
        if answer.status_code != CREATED:
            self._say("lead agency", f"asks for a permit: {answer.status_code} {kind(answer)}", good=False)
            return None
        permit = dict(answer.json())
        self._say(
            "lead agency",
            f"asks for a permit: [green]granted[/], fence {permit['fence']}, until {permit['expires'][11:16]} UTC",
        )
        return permit

    async def _other_asks(self, entry: dict[str, Any]) -> None:
        answer = await self._ask(self.other, entry)
        self._say(
            "witness service",
            f"asks for a permit too: {answer.status_code} [red]{kind(answer)}[/]",
            good=answer.status_code != CREATED,
        )

    async def _contact(self, permit: dict[str, Any]) -> None:
        body = {"permit": permit["permit"], "fence": permit["fence"]}
        release = await self.lead.call("intake", "POST", "/v1/releases", json=body)
        self._say(
            "lead agency",
            f"redeems it for her telephone number: {release.status_code}",
            good=release.status_code == OK,
        )
        again = await self.lead.call("intake", "POST", "/v1/releases", json=body)
        self._say(
            "a second click",
            f"is handed nothing: {again.status_code} [red]{kind(again)}[/]",
            good=again.status_code != OK,
        )
        outcome = {"fence": permit["fence"], "outcome": "no_answer"}
        answer = await self.lead.call(
            "consent", "PUT", f"/v1/attempts/{permit['permit']}/outcome", json=outcome
        )
        self._say(
            "lead agency",
            f"records the attempt, no answer: {answer.status_code}",
            good=answer.status_code == OK,
        )

    async def _withdraw(self, entry: dict[str, Any]) -> None:
        body = {"person": entry["data"]["person"], "scope": "everything", "by": "person"}
        answer = await self.police.call("intake", "POST", "/v1/withdrawals", json=body)
        state = answer.json()
        self._say(
            "Beatrice tells police",
            f"she wants no more of this: {answer.status_code} {state.get('state', '')} {state.get('answer', '')}".rstrip(),
            good=answer.status_code in {CREATED, 202},
        )
