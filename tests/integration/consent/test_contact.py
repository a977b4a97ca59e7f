"""Permits through HTTP, on the real database and broker: granted, redeemed, reported, refused, and raced for."""

from __future__ import annotations

from collections import Counter

import pytest

from shared.contracts.people import PersonChanged, PersonHeld, PersonHoldLifted, PersonLinked, Safety
from tests.integration.consent.conftest import World, agency_of, gather, hub, kind, service_of
from tests.support.running import until
from tests.support.tokens import bearer

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_one_person_from_referral_to_agreement_to_withdrawal(world: World) -> None:
    c1 = world.new("c1")
    vera = world.new("vera")
    await world.lead(vera, c1)
    check = await world.send("POST", "/v1/contact-checks", agency_of("beacon"), {"case": c1, "party": vera})
    assert check.json()["may"] is True
    permit = await world.granted(vera, c1)
    redeemed = await world.redeem(permit)
    assert redeemed.status_code == 200, redeemed.text
    assert redeemed.json().keys() == {
        "permit", "person", "party", "case", "agency", "worker", "purpose", "channel", "use_by", "outcome_due",
    }  # fmt: skip
    assert kind(await world.redeem(permit)) == "already-redeemed"
    assert (await world.outcome(permit, "agreed")).status_code == 200
    assert (await world.outcome(permit, "agreed")).status_code == 200, "the same again"
    assert kind(await world.outcome(permit, "no_answer")) == "already-recorded"
    assert kind(await world.ask(vera, c1)) == "already-approached"
    talk = await world.granted(vera, c1, purpose="conversation")
    assert (await world.redeem(talk)).status_code == 200
    withdrawn = await world.withdraw(vera)
    assert (withdrawn["state"], [a["permit"] for a in withdrawn["in_flight"]]) == (
        "in_flight",
        [talk["permit"]],
    )
    assert (await world.outcome(talk, "withdrew")).status_code == 200
    assert kind(await world.ask(vera, c1, purpose="conversation")) == "withdrawn"
    assert (await world.withdraw(vera))["state"] == "clean"
    names = [name for name, _ in await world.events(vera)]
    assert names[:4] == ["lead.assigned", "permit.granted", "permit.redeemed", "attempt.recorded"]


async def test_of_fifty_requests_at_once_by_two_agencies_one_is_granted(world: World) -> None:
    c1 = world.new("c1")
    vera = world.new("vera")
    await world.lead(vera, c1)
    await world.refer(vera, c1, by="mercia", referral="r-2")
    answers = await gather(*(world.ask(vera, c1, "beacon" if n % 2 else "mercia") for n in range(50)))
    outcomes = Counter("granted" if answer.status_code == 201 else kind(answer) for answer in answers)
    assert outcomes == {"granted": 1, "permit-live": 24, "not-lead": 25}
    sql = "SELECT count(*) FROM permit WHERE status = 'granted' AND person = $1"
    assert await world.pool.fetchval(sql, vera) == 1


async def test_the_database_itself_holds_one_live_permit_for_one_person(world: World) -> None:
    c1 = world.new("c1")
    vera = world.new("vera")
    await world.lead(vera, c1)
    await world.granted(vera, c1)
    with pytest.raises(Exception, match="permit_one_live"):
        await world.pool.execute(
            """INSERT INTO permit (id, person, party, case_id, agency, purpose, channel, fence, status, expires)
            SELECT 'other', person, party, case_id, agency, purpose, channel, 2, status, expires
            FROM permit WHERE person = $1""",
            vera,
        )


async def test_of_two_claims_at_once_one_wins(world: World) -> None:
    c1 = world.new("c1")
    c2 = world.new("c2")
    vera = world.new("vera")
    await world.refer(vera, c1)
    await world.refer(vera, c2, by="mercia")
    await gather(world.propose(c1, (vera, "beacon")), world.propose(c2, (vera, "mercia")))
    names = Counter(name for name, _ in await world.events(vera))
    assert (names["lead.assigned"], names["lead.refused"]) == (1, 1)


async def test_a_withdrawal_racing_redemptions_is_clean_only_if_none_came_first(world: World) -> None:
    for n in range(12):
        person, case = world.new(f"p{n}"), world.new(f"case{n}")
        await world.lead(person, case)
        permit = await world.granted(person, case)
        redeemed, withdrawn = await gather(world.redeem(permit), world.withdraw(person))
        if withdrawn["state"] == "clean":
            assert redeemed.status_code == 409
            assert kind(redeemed) == "withdrawn"
        else:
            assert redeemed.status_code == 200
            assert [a["permit"] for a in withdrawn["in_flight"]] == [permit["permit"]]


async def test_many_redemptions_at_once_redeem_once(world: World) -> None:
    c1 = world.new("c1")
    vera = world.new("vera")
    await world.lead(vera, c1)
    permit = await world.granted(vera, c1)
    answers = await gather(*(world.redeem(permit) for _ in range(20)))
    assert Counter(answer.status_code for answer in answers) == {200: 1, 409: 19}


async def test_a_lost_answer_is_asked_for_again_under_the_same_key(world: World) -> None:
    c1 = world.new("c1")
    vera = world.new("vera")
    await world.lead(vera, c1)
    permit = await world.granted(vera, c1)
    first = await world.redeem(permit, key='"release-1"')
    again = await world.redeem(permit, key='"release-1"')
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json() == again.json()
    assert kind(await world.redeem(permit, key='"release-2"')) == "already-redeemed"


async def test_the_same_request_for_a_permit_twice_is_one(world: World) -> None:
    c1 = world.new("c1")
    vera = world.new("vera")
    await world.lead(vera, c1)
    first = await world.ask(vera, c1, key='"k1"')
    again = await world.ask(vera, c1, key='"k1"')
    assert first.json() == again.json()
    assert again.headers["idempotent-replayed"] == "true"
    other = await world.ask(vera, c1, key='"k1"', channel="letter")
    assert other.status_code == 422


async def test_redemption_waits_for_what_intake_knows(world: World) -> None:
    c1 = world.new("c1")
    vera = world.new("vera")
    await world.lead(vera, c1)
    permit = await world.granted(vera, c1)
    behind = await world.redeem(permit, {vera: world.sequences["people", vera] + 1})
    assert (behind.status_code, kind(behind), behind.headers["retry-after"]) == (409, "behind", "1")
    assert (await world.redeem(permit)).status_code == 200


async def test_redemption_is_intakes_alone_and_names_the_person(world: World) -> None:
    c1 = world.new("c1")
    vera = world.new("vera")
    await world.lead(vera, c1)
    permit = await world.granted(vera, c1)
    path, body = f"/v1/permits/{permit['permit']}/redemption", {"fence": 1, "seen": {"other": 1}}
    assert (await world.http.post(path, headers=agency_of("beacon"), json=body)).status_code == 403
    assert (await world.http.post(path, headers=service_of("notifications"), json=body)).status_code == 403
    missing = await world.http.post(path, headers=service_of("intake"), json=body)
    assert missing.json()["errors"][0]["field"] == f"seen.{vera}"
    nobody = await world.http.post("/v1/permits/none/redemption", headers=service_of("intake"), json=body)
    assert nobody.status_code == 404


async def test_somebody_elses_person_and_nobody_look_the_same(world: World) -> None:
    c1 = world.new("c1")
    vera = world.new("vera")
    await world.lead(vera, c1)
    theirs, nobody = await world.ask(vera, c1, "elsewhere"), await world.ask("nobody", c1, "elsewhere")
    assert (theirs.status_code, nobody.status_code) == (404, 404)
    assert theirs.json() == nobody.json()
    permit = await world.granted(vera, c1)
    for answer in (
        await world.outcome(permit, "agreed", "elsewhere"),
        await world.send("DELETE", f"/v1/permits/{permit['permit']}", agency_of("elsewhere")),
    ):
        assert answer.status_code == 404


async def test_a_hold_on_the_key_ends_permits_and_its_end_frees(world: World) -> None:
    c1 = world.new("c1")
    vera = world.new("vera")
    await world.lead(vera, c1)
    permit = await world.granted(vera, c1)
    await world.tell(vera, PersonHeld(hold="h1", reason="identity_doubtful"))
    assert kind(await world.redeem(permit)) == "revoked"
    assert kind(await world.ask(vera, c1)) == "on-hold"
    await world.tell(vera, PersonHoldLifted(hold="h1", reason="looked_at"))
    await world.granted(vera, c1)


async def test_a_restriction_that_waits_behind_a_lost_event_is_in_force_and_the_key_is_parked(
    world: World,
) -> None:
    c1 = world.new("c1")
    vera = world.new("vera")
    await world.lead(vera, c1)
    permit = await world.granted(vera, c1)
    lost = world.envelope(vera, PersonChanged(safety=Safety()))
    held = world.envelope(vera, PersonHeld(hold="h1", reason="unsafe_number"))
    await world.publish(held)
    await until(lambda: _is_held(world, vera))
    assert kind(await world.redeem(permit, {vera: lost.sequence - 1})) == "revoked"
    assert kind(await world.ask(vera, c1)) == "parked"
    await world.publish(lost)
    await world.applied("people", vera)
    await until(lambda: _is_held(world, vera, held=False))
    assert kind(await world.ask(vera, c1)) == "on-hold"


async def _is_held(world: World, person: str, *, held: bool = True) -> bool:
    sql = "SELECT held FROM inbox WHERE topic = 'people' AND key = $1"
    return bool(await world.pool.fetchval(sql, person)) is held


async def test_a_link_joins_two_people_and_their_no(world: World) -> None:
    c1 = world.new("c1")
    c2 = world.new("c2")
    vera = world.new("vera")
    veronica = world.new("veronica")
    await world.lead(vera, c1, "beacon")
    await world.lead(veronica, c2, "mercia", by="mercia")
    permit = await world.granted(veronica, c2, "mercia")
    await world.tell(vera, PersonLinked(other=veronica, basis="identifier", number=1))
    assert kind(await world.redeem(permit)) == "revoked"
    assert kind(await world.ask(veronica, c2, "mercia")) == "not-lead"
    await world.withdraw(vera)
    assert kind(await world.ask(veronica, c2, "beacon")) in {"withdrawn", "not-found"}
    standing = await world.send("GET", f"/v1/people/{veronica}/standing", hub())
    assert standing.json()["standing"] == "closed"
    assert standing.json()["linked"] == [vera]


async def test_a_withdrawal_names_everybody_whom_intake_knows_to_be_linked(world: World) -> None:
    """Consent has not heard of the link: what is in flight under the other id is named all the same."""
    c1, vera, veronica = world.new("c1"), world.new("vera"), world.new("veronica")
    await world.lead(vera, c1)
    permit = await world.granted(vera, c1)
    assert (await world.redeem(permit)).status_code == 200
    withdrawn = await world.withdraw(veronica, linked=[vera])
    assert (withdrawn["state"], [a["permit"] for a in withdrawn["in_flight"]]) == (
        "in_flight",
        [permit["permit"]],
    )
    for person in (vera, veronica):
        assert "consent.withdrawn" in [name for name, _ in await world.events(person)]


async def test_agencies_withdraw_at_intake(world: World) -> None:
    vera = world.new("vera")
    answer = await world.send(
        "POST", f"/v1/people/{vera}/withdrawals", agency_of("mercia"), {"scope": "everything"}
    )
    assert answer.status_code == 403


async def test_a_no_after_another_outcome_is_taken_in_and_ends_what_was_granted_since(world: World) -> None:
    c1, vera = world.new("c1"), world.new("vera")
    await world.lead(vera, c1)
    first = await world.attempt(vera, c1, "no_answer")
    await world.later(days=2)
    second = await world.granted(vera, c1)
    assert (await world.outcome(first, "declined")).status_code == 200
    assert (await world.outcome(first, "declined")).status_code == 200, "the same again"
    assert kind(await world.outcome(first, "agreed")) == "already-recorded"
    assert kind(await world.redeem(second)) == "revoked"
    assert kind(await world.ask(vera, c1)) == "declined"


async def test_bad_input_names_every_field_at_once(world: World) -> None:
    c1 = world.new("c1")
    vera = world.new("vera")
    body = {"case": "a b", "person": "", "channel": "pigeon", "extra": 1}
    answer = await world.send("POST", "/v1/permits", agency_of("beacon"), body)
    assert answer.status_code == 422
    assert {e["field"] for e in answer.json()["errors"]} == {"case", "person", "channel", "extra"}
    undated = {"person": vera, "case": c1, "answer": "not_now"}
    answer = await world.send("POST", "/v1/inbound-contacts", agency_of("beacon"), undated)
    assert (answer.status_code, "not_before" in answer.text) == (422, True)
    over = {"case": c1, "scope": ["take_part"], "on": "2026-05-02", "expires": "2026-05-01"}
    answer = await world.send("POST", f"/v1/people/{vera}/agreements", agency_of("beacon"), over)
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["field"]) == (422, "expires")
    assert error["remedy"] == "Send the last day on which it holds, on or after on."


async def test_no_rubbish_is_a_fault_of_ours(world: World) -> None:
    headers = {
        **bearer("beacon", "contact", "withdrawals.write", "internal"),
        "Content-Type": "application/json",
    }
    deep = b'{"a":' * 300
    for path in (
        "/v1/permits",
        "/v1/people/%00/withdrawals",
        "/v1/people/x/withdrawals",
        "/v1/cases/a%20b/restrictions",
    ):
        for body in (
            b"",
            b"{",
            b"[]",
            b'{"case":"\\ud800"}',
            b"\xff",
            deep,
            b'"\\u0000"',
            b'{"scope":"\\u0000"}',
        ):
            answer = await world.http.post(path, headers={**headers, "Idempotency-Key": "k"}, content=body)
            assert 400 <= answer.status_code < 500, (path, body, answer.text)


async def test_expiry_and_overdue_outcomes_come_by_themselves(world: World) -> None:
    c1 = world.new("c1")
    vera = world.new("vera")
    await world.lead(vera, c1)
    lapsed = await world.granted(vera, c1)
    await world.later(minutes=16)
    await until(lambda: _has(world, vera, "permit.ended"))
    assert kind(await world.redeem(lapsed)) == "expired"
    permit = await world.granted(vera, c1)
    assert (await world.redeem(permit)).status_code == 200
    await world.later(hours=25)
    await until(lambda: _has(world, vera, "attempt.overdue"))
    listed = (await world.send("GET", "/v1/unresolved-attempts", hub())).json()["attempts"]
    assert permit["permit"] in [attempt["permit"] for attempt in listed]
    await world.later(hours=-1)
    assert kind(await world.ask(vera, c1)) == "unresolved"
    path = f"/v1/unresolved-attempts/{permit['permit']}"
    version = (await world.send("GET", path, hub())).headers["etag"]
    assert (
        await world.send("POST", f"{path}/resolution", hub(), {"outcome": "no_answer"})
    ).status_code == 428
    stale = await world.send("POST", f"{path}/resolution", hub(), {"outcome": "no_answer"}, If_Match='"1"')
    assert stale.status_code == 412
    done = await world.send("POST", f"{path}/resolution", hub(), {"outcome": "no_answer"}, If_Match=version)
    assert done.status_code == 200, done.text
    assert kind(await world.ask(vera, c1)) == "attempt-gap"


async def _has(world: World, person: str, name: str) -> bool:
    return name in [found for found, _ in await world.events(person)]


async def test_not_now_is_followed_up_when_the_date_has_come(world: World) -> None:
    c1 = world.new("c1")
    vera = world.new("vera")
    await world.lead(vera, c1)
    day = await world.pool.fetchval("SELECT (clock_timestamp() + shift)::date + 7 FROM clock")
    await world.attempt(vera, c1, "not_now", not_before=day.isoformat())
    refused = await world.ask(vera, c1)
    assert (kind(refused), refused.json()["not_before"][:10]) == ("not-before", day.isoformat())
    await world.later(days=7)
    await until(lambda: _has(world, vera, "standing.loosened"))
    await world.granted(vera, c1)
