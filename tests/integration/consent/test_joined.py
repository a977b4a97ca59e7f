"""What is said by the old name of a case that has been joined to another: agencies learn of a joining later than consent."""

from __future__ import annotations

import pytest

from shared.contracts.cases import CaseClosed
from tests.integration.consent.conftest import World, agency_of, hub

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def _joined(world: World, c2: str, c1: str) -> None:
    await world.tell(c2, CaseClosed(reason="joined", joined_into=c1))


async def _two_cases(world: World) -> tuple[str, str, str]:
    """One person, two cases of one agency, of which the second will turn out to be the first."""
    c1, c2, vera = world.new("c1"), world.new("c2"), world.new("vera")
    await world.lead(vera, c1)
    await world.lead(vera, c2)
    return c1, c2, vera


async def _reason(world: World, person: str, case: str) -> str | None:
    stands = (await world.http.get(f"/v1/people/{person}/standing", headers=hub())).json()
    reasons: dict[str, str | None] = {found["case"]: found["reason"] for found in stands["cases"]}
    return reasons[case]


async def test_a_no_by_the_old_name_of_a_case_binds_in_the_case_as_which_it_goes_on(world: World) -> None:
    c1, c2, vera = await _two_cases(world)
    await _joined(world, c2, c1)
    rang = {"person": vera, "case": c2, "answer": "declined"}
    assert (await world.send("POST", "/v1/inbound-contacts", agency_of("beacon"), rang)).status_code == 201
    assert await _reason(world, vera, c1) == "declined"


async def test_a_withdrawal_by_the_old_name_of_a_case_binds_in_the_case_as_which_it_goes_on(
    world: World,
) -> None:
    c1, c2, vera = await _two_cases(world)
    await _joined(world, c2, c1)
    await world.withdraw(vera, scope="case", cases=[c2])
    assert await _reason(world, vera, c1) == "withdrawn"


@pytest.mark.parametrize(("outcome", "reason"), [("declined", "declined"), ("withdrew", "withdrawn")])
async def test_a_no_in_a_conversation_that_began_before_the_case_was_joined(
    world: World, outcome: str, reason: str
) -> None:
    c1, c2, vera = await _two_cases(world)
    await world.attempt(vera, c2, "agreed")
    talk = await world.granted(vera, c2, purpose="conversation")
    assert (await world.redeem(talk)).status_code == 200
    await _joined(world, c2, c1)
    assert (await world.outcome(talk, outcome)).status_code == 200
    assert await _reason(world, vera, c1) == reason


async def test_what_she_agreed_to_goes_on_with_the_case(world: World) -> None:
    c1, c2, vera = await _two_cases(world)
    await world.attempt(vera, c2, "agreed")
    await _joined(world, c2, c1)
    talk = await world.ask(vera, c1, purpose="conversation")
    assert talk.status_code == 201, talk.text


async def test_what_she_agrees_to_by_the_old_name_holds_and_what_she_asks_opens_both(world: World) -> None:
    c1, c2, vera = await _two_cases(world)
    await _joined(world, c2, c1)
    await world.attempt(vera, c1, "declined")
    asked = {"cases": [c2], "evidence": "letter-4"}
    assert (
        await world.send("POST", f"/v1/people/{vera}/reopenings", agency_of("beacon"), asked)
    ).status_code == 201
    assert await _reason(world, vera, c1) is None
    rang = {"person": vera, "case": c2, "answer": "agreed"}
    assert (await world.send("POST", "/v1/inbound-contacts", agency_of("beacon"), rang)).status_code == 201
    stands = await world.ask(vera, c1, purpose="conversation")
    assert stands.status_code == 201, stands.text


async def test_a_childs_no_by_the_old_name_binds_whoever_is_spoken_to_for_it(world: World) -> None:
    c1, c2, cleo, paul = world.new("c1"), world.new("c2"), world.new("cleo"), world.new("paul")
    for case in (c1, c2):
        await world.refer(paul, case, role="contact", speaks_for=(cleo,))
        await world.refer(cleo, case, contact_persons=(paul,))
        await world.propose(case, (paul, "beacon"), party=cleo)
        await world.clear(case, cleo)
    await _joined(world, c2, c1)
    rang = {"person": paul, "case": c2, "answer": "declined"}
    assert (await world.send("POST", "/v1/inbound-contacts", agency_of("beacon"), rang)).status_code == 201
    assert await _reason(world, cleo, c1) == "declined"
