"""Steps: permits, releases, what people answer, and what they take back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from tests.e2e.steps import Case, why
from tests.partnerships.play import EVERY, SECONDS, Play, listed, step
from tests.support.running import until

OVER = ("no-lead", "not-lead", "case-closed", "not-found")
NOBODY_ELSE = frozenset({404, 409})


class Asking:
    """A party, whoever is spoken to for it, and an agency that asks."""

    def __init__(self, play: Play, said: Mapping[str, Any]) -> None:
        """`said`: `to`, the party; `agency`, left out its lead; `by`, the channel; `purpose`; `case`, left out its own."""
        self.play, self.said = play, said
        self.key: str = said["to"]
        self.agency: str = said.get("agency") or play.leads[self.key]
        self.case: Case = play.case_of(said.get("case", self.key))
        self.who = play.cast.parties[said.get("case", self.key)]

    async def more(self) -> dict[str, Any]:
        """The rest of the request: a prisoner is visited, a child asked through whoever speaks for it."""
        custody = "visit" if self.who.get("custody_agency") else "phone"
        found: dict[str, Any] = {"channel": self.said.get("by", custody)}
        found |= {name: self.said[name] for name in ("purpose", "worker") if name in self.said}
        if "contact_person" in self.who:
            found["contact_person"] = (await self.play.party(self.key))["person"]
        return found

    async def id(self) -> str:
        """The party's id."""
        return str((await self.play.party(self.key))["party"])


@step
async def speaks(play: Play, said: Mapping[str, Any]) -> None:
    """Permit, release, outcome: one attempt by the lead, and the answer; `agrees_to`: the agencies that the person names."""
    asking = Asking(play, said)
    told: dict[str, Any] = {name: said[name] for name in ("not_before", "scope") if name in said}
    if "agrees_to" in said:
        told["agreement"] = {
            "scope": ["take_part"], "agencies": listed(said["agrees_to"]), "wording": "v1", "means": "phone",
        }  # fmt: skip
    details = await asking.case.contact(
        asking.agency, await asking.id(), said["answer"], **await asking.more(), **told
    )
    wanted = asking.who.get("contact_person", asking.who)["name"]["surname"]
    assert details["name"]["surname"] == wanted, f"{details['name']} was handed out for {asking.key}"


@step
async def talks(play: Play, said: Any) -> None:
    """After an agreement: one lease of conversation, redeemed; what is said in it stays between them."""
    asking = Asking(play, {**(said if isinstance(said, dict) else {"to": said}), "purpose": "conversation"})
    permit = await asking.case.permit(asking.agency, await asking.id(), **await asking.more())
    assert await asking.case.release(asking.agency, permit)
    await asking.case.outcome(asking.agency, permit, "delivered")


@step
async def asks_for_feedback(play: Play, said: Any) -> None:
    """Who took part is asked once how it was; a second time is refused."""
    asking = Asking(play, {**(said if isinstance(said, dict) else {"to": said}), "purpose": "feedback"})
    person, more = await asking.id(), await asking.more()
    permit = await asking.case.permit(asking.agency, person, **more)
    assert await asking.case.release(asking.agency, permit)
    await asking.case.outcome(asking.agency, permit, "delivered")
    await asking.case.refused(asking.agency, person, "already-asked", **more)


@step
async def has_a_permit(play: Play, said: Any) -> None:
    """The lead has a permit, and has not redeemed it yet."""
    asking = Asking(play, said if isinstance(said, dict) else {"to": said})
    play.permits[asking.key] = await asking.case.permit(
        asking.agency, await asking.id(), **await asking.more()
    )


@step
async def begins_to_speak(play: Play, said: Any) -> None:
    """The details are in the lead's hands, and the outcome is not known yet."""
    await has_a_permit(play, said)
    asking = Asking(play, said if isinstance(said, dict) else {"to": said})
    assert await asking.case.release(asking.agency, play.permits[asking.key])


@step
async def answers_at_last(play: Play, said: Mapping[str, Any]) -> None:
    """What came of the attempt that was under way."""
    asking = Asking(play, said)
    await asking.case.outcome(asking.agency, play.permits[asking.key], said["answer"])


@step
async def cannot_redeem(play: Play, said: str) -> None:
    """The permit that the lead had is worth nothing now, and no detail is handed out."""
    asking, permit = Asking(play, {"to": said}), play.permits[said]
    body = {"permit": permit["permit"], "fence": permit["fence"]}
    answer = await play.onefriend.call("intake", "POST", "/v1/releases", asking.agency, json=body)
    assert answer.status_code == 409, answer.text
    assert "phones" not in answer.text


@step
async def may(play: Play, said: Any) -> None:
    """A permit is granted, and given back unused."""
    asking = Asking(play, said if isinstance(said, dict) else {"to": said})
    permit = await asking.case.permit(asking.agency, await asking.id(), **await asking.more())
    answer = await play.onefriend.call("consent", "DELETE", f"/v1/permits/{permit['permit']}", asking.agency)
    assert answer.status_code == 204, answer.text


@step
async def may_not(play: Play, said: Mapping[str, Any]) -> None:
    """A permit is refused for one of these reasons, and never granted."""
    asking = Asking(play, said)
    await asking.case.refused(
        asking.agency, await asking.id(), *listed(said["because"]), **await asking.more()
    )


@step
async def nobody_else(play: Play, said: Any) -> None:
    """Of all agencies of the partnership only the lead may speak with the party: everybody else is refused."""
    for key in listed(said):
        asking = Asking(play, {"to": key})
        person, more = await asking.id(), await asking.more()
        for agency in play.partners():
            if agency != asking.agency:
                answer = await asking.case.ask(agency, person, **more)
                assert answer.status_code in NOBODY_ELSE, f"{agency}: {answer.text}"


@step
async def nobody(play: Play, said: Any) -> None:
    """No agency at all may speak with the party any more, its last lead neither."""
    for key in listed(said):
        asking = Asking(play, {"to": key, "agency": play.leads.get(key, play.by)})
        for agency in {*play.partners(), asking.agency, play.by}:
            await _refused_for_good(asking, agency)


async def _refused_for_good(asking: Asking, agency: str) -> None:
    person, more = await asking.id(), await asking.more()
    answers: list[httpx.Response] = []

    async def refused() -> bool:
        answers[:] = [await asking.case.ask(agency, person, **more)]
        assert answers[0].status_code != 201, f"{agency} was granted a permit"
        return answers[0].status_code in NOBODY_ELSE

    await until(refused, seconds=SECONDS, every=EVERY)
    assert why(answers[0]) != "not-cleared", "refused for another reason than the no"


@step
async def withdraws(play: Play, said: Mapping[str, Any]) -> None:
    """The person tells one agency that it takes part no longer; the answer is `clean` or `in_flight`; leads are told."""
    person = (await play.party(said["who"]))["person"]
    body = {"person": person, "scope": "everything", "by": "person"}
    answer = await play.onefriend.post("intake", "/v1/withdrawals", said["through"], body)
    assert answer.status_code == 201, answer.text
    assert answer.json()["outcome"] == said.get("answer", "clean"), answer.text
    for agency in listed(said.get("told", [])):
        await play.world.told(agency, "consent.withdrawn", play.case_of(said["who"]).id)


@step
async def comes_back(play: Play, said: Mapping[str, Any]) -> None:
    """The person asks to take part after all; only it can, through the agency that it tells."""
    body = {"evidence": "letter-17", "by": "person"}
    person = (await play.party(said["who"]))["person"]
    answer = await play.onefriend.post("consent", f"/v1/people/{person}/reopenings", said["through"], body)
    assert answer.status_code == said.get("answer", 201), answer.text


@step
async def agrees(play: Play, said: Mapping[str, Any]) -> None:
    """Later on, the person names to its lead the agencies that may go on."""
    asking = Asking(play, said)
    body = {
        "case": asking.case.id, "scope": ["take_part"], "agencies": listed(said["agencies"]), "wording": "v1",
        "means": "phone",
    }  # fmt: skip
    person = (await play.party(asking.key))["person"]
    answer = await play.onefriend.post("consent", f"/v1/people/{person}/agreements", asking.agency, body)
    assert answer.status_code == 201, answer.text


@step
async def hands_over(play: Play, said: Mapping[str, Any]) -> None:
    """The lead of a party moves to another agency (left out: whom policy names); the old one may call no more."""
    key, before = said["of"], said.get("by") or play.leads[said["of"]]
    party = await play.party(key)
    body = {"party": party["party"], "reason": said.get("reason", "interested")}
    if "to" in said:
        body["target"] = said["to"]
    scopes = ("cases.read", "cases.write", "hub") if "as_hub" in said else ()
    case = play.case_of(key)
    answer = await case.change("POST", "hand-over", said.get("as_hub", before), body, *scopes)
    refusal = said.get("refused")
    if refusal:
        assert (answer.status_code, why(answer)) in {(409, refusal), (403, refusal), (422, refusal)}, (
            answer.text
        )
        return
    assert answer.status_code == 200, answer.text
    target = answer.json()["handed_over_to"]
    await play.world.told(target, "case.allocated", case.id, role=party["role"], party=party["party"])
    play.leads[key] = target
    asking = Asking(play, {"to": key, "agency": before})
    await case.refused(
        before, party["party"], "not-lead", "not-found", "already-approached", **await asking.more()
    )
