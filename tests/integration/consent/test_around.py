"""What lies around the protocol: entries made in error, later and wider answers, mistyped cases, forged cursors."""

from __future__ import annotations

import base64
import json

import httpx
import pytest

from services.consent.api.answers import problem
from services.consent.domain.decision import Reason, Refusal
from tests.integration.consent.conftest import World, agency_of, hub, kind

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def _standing(world: World, person: str) -> dict[str, object]:
    found: dict[str, object] = (await world.http.get(f"/v1/people/{person}/standing", headers=hub())).json()
    return found


async def _correction(world: World, person: str) -> str:
    """Propose one; gives the path of its confirmation."""
    proposed = await world.send("POST", "/v1/corrections", hub(), {"person": person, "evidence": "minutes-3"})
    assert proposed.status_code == 201, proposed.text
    return f"/v1/corrections/{proposed.json()['correction']}/confirmation"


async def test_a_correction_takes_back_no_no_that_was_said_after_it_was_proposed(world: World) -> None:
    c1, vera = world.new("c1"), world.new("vera")
    await world.lead(vera, c1)
    await world.attempt(vera, c1, "declined")
    confirmation = await _correction(world, vera)
    await world.withdraw(vera)
    assert kind(await world.send("POST", confirmation, hub("henry"))) == "said-since"
    assert (await _standing(world, vera))["reason"] == "withdrawn"
    # Looked at again, by two people: then both were entered in error.
    anew = await _correction(world, vera)
    assert (await world.send("POST", anew, hub("henry"))).status_code == 200
    assert (await _standing(world, vera))["standing"] == "open"


async def test_withdrawn_from_everything_after_withdrawn_from_the_case(world: World) -> None:
    c1, vera = world.new("c1"), world.new("vera")
    await world.lead(vera, c1)
    permit = await world.attempt(vera, c1, "withdrew")
    for _ in range(2):
        assert (await world.outcome(permit, "withdrew", scope="everything")).status_code == 200
    assert (await _standing(world, vera))["reason"] == "withdrawn"
    assert [name for name, _ in await world.events(vera)].count("consent.withdrawn") == 2


async def test_who_declined_and_then_withdrew_from_everything_has_withdrawn(world: World) -> None:
    c1, vera = world.new("c1"), world.new("vera")
    await world.lead(vera, c1)
    permit = await world.attempt(vera, c1, "declined")
    assert (await world.outcome(permit, "withdrew", scope="everything")).status_code == 200
    assert (await _standing(world, vera))["reason"] == "withdrawn"


async def test_no_to_everything_is_a_withdrawal_and_never_taken_for_less(world: World) -> None:
    c1, vera = world.new("c1"), world.new("vera")
    await world.lead(vera, c1)
    permit = await world.granted(vera, c1)
    assert (await world.redeem(permit)).status_code == 200
    refused = await world.outcome(permit, "declined", scope="everything")
    assert refused.status_code == 422
    assert "withdrew" in refused.text
    assert (await world.outcome(permit, "withdrew", scope="everything")).status_code == 200


async def test_a_mistyped_date_is_put_right_as_long_as_nothing_has_been_said_since(world: World) -> None:
    c1, vera = world.new("c1"), world.new("vera")
    await world.lead(vera, c1)
    permit = await world.attempt(vera, c1, "not_now", not_before="2126-03-01")
    for _ in range(2):
        assert (await world.outcome(permit, "not_now", not_before="2127-03-01")).status_code == 200
    assert (await _standing(world, vera))["not_before"] == "2127-03-01"
    assert kind(await world.outcome(permit, "not_now", not_before="2020-03-01")) == "needs-date"
    rang = {"person": vera, "case": c1, "answer": "not_now", "not_before": "2128-03-01"}
    assert (await world.send("POST", "/v1/inbound-contacts", agency_of("beacon"), rang)).status_code == 201
    assert kind(await world.outcome(permit, "not_now", not_before="2127-03-01")) == "already-recorded"
    assert (await _standing(world, vera))["not_before"] == "2128-03-01"


@pytest.mark.parametrize("answer", ["declined", "agreed"])
async def test_an_answer_for_a_mistyped_case_is_not_taken_for_an_answer(world: World, answer: str) -> None:
    c1, vera = world.new("c1"), world.new("vera")
    await world.lead(vera, c1)
    rang = {"person": vera, "case": f"{c1}x", "answer": answer}
    refused = await world.send("POST", "/v1/inbound-contacts", agency_of("beacon"), rang)
    assert refused.status_code == 422
    assert f"{c1}x" in refused.text


async def test_agreements_reopenings_and_corrections_name_cases_of_the_person(world: World) -> None:
    c1, vera = world.new("c1"), world.new("vera")
    await world.lead(vera, c1)
    other = f"{c1}x"
    agreed = {"case": other, "scope": ["be_contacted"]}
    assert (
        await world.send("POST", f"/v1/people/{vera}/agreements", agency_of("beacon"), agreed)
    ).status_code == 422
    await world.withdraw(vera)
    asked = {"cases": [c1, other], "evidence": "letter-4"}
    assert (await world.send("POST", f"/v1/people/{vera}/reopenings", hub(), asked)).status_code == 422
    assert (await world.send("POST", "/v1/corrections", hub(), {"person": vera, **asked})).status_code == 422
    assert (await _standing(world, vera))["standing"] == "closed"


def _cursor(*parts: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "parts",
    [
        ("yesterday", "", 0),
        ("2020-01-01T00:00:00", "", 0),
        ("0001-01-01T00:00:00+14:00", "", 0),
        ("2020-01-01T00:00:00+00:00", "\0", 0),
        ("2020-01-01T00:00:00+00:00", "", 2**70),
    ],
)
async def test_a_forged_cursor_is_no_fault_of_ours(world: World, parts: tuple[object, ...]) -> None:
    c1, vera = world.new("c1"), world.new("vera")
    await world.lead(vera, c1)

    async def page(path: str, *forged: object) -> httpx.Response:
        return await world.http.get(path, params={"cursor": _cursor(*forged)}, headers=hub())

    assert (await page(f"/v1/people/{vera}/ledger", *parts)).status_code == 422
    if parts[2] == 0:
        assert (await page("/v1/unresolved-attempts", *parts[:2])).status_code == 422


async def test_of_somebody_of_whom_nothing_was_decided_yet_the_ledger_is_empty(world: World) -> None:
    c1, vera = world.new("c1"), world.new("vera")
    await world.refer(vera, c1)
    found = await world.http.get(f"/v1/people/{vera}/ledger", headers=hub())
    assert found.json() == {"entries": [], "next": None}
    assert (await world.http.get("/v1/people/nobody/ledger", headers=hub())).status_code == 404


async def test_every_refusal_says_in_a_sentence_what_it_means() -> None:
    nowhere_asked = {"led_elsewhere", "second_person"}  # told by event; by another title
    silent = {
        reason
        for reason in set(Reason.__args__) - {"not_found", *nowhere_asked}  # type: ignore[attr-defined]
        if problem(Refusal(reason)).title == "This is not possible."
    }
    assert not silent
