"""Details are handed out once, against a permit, and only if nothing has moved."""

import asyncio
import json
from datetime import datetime

import httpx
import pytest

from services.intake.core import Intake
from services.intake.store import following
from services.intake.store import releases as store
from tests.integration.intake.helpers import Headers, harmed, kind, posted
from tests.integration.intake.stand_in import StandIn
from tests.support.referrals import offender, party, referral
from tests.support.running import until
from tests.support.tokens import bearer


@pytest.fixture
def consent(intake: Intake) -> StandIn:
    return StandIn(intake)


@pytest.fixture
async def victim(intake: Intake, client: httpx.AsyncClient, police: Headers) -> tuple[str, str]:
    """Give (person, case) of Mary Wells, referred by the police."""
    return await harmed(intake, await posted(intake, client, police, referral()))


async def release(client: httpx.AsyncClient, headers: Headers, permit: str, fence: int = 1) -> httpx.Response:
    return await client.post("/v1/releases", json={"permit": permit, "fence": fence}, headers=headers)


async def test_a_permit_gives_the_details_of_its_channel_once(
    intake: Intake, client: httpx.AsyncClient, care: Headers, consent: StandIn, victim: tuple[str, str]
) -> None:
    consent.permit("p1", *victim, "victim-care")
    answer = await release(client, care, "p1")
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json()["phones"] == ["+447700900123"]
    assert answer.json()["whose"] == {"+447700900123": "own"}
    assert "emails" not in answer.json()
    assert answer.json()["name"] == {"forenames": "Mary Ann", "surname": "Wells"}
    again = await release(client, care, "p1")
    assert (again.status_code, kind(again)) == (409, "already-redeemed")
    assert consent.called("PUT", "outcome") == []
    claims = "SELECT count(*) FROM contact_claim WHERE permit = 'p1'"
    assert await intake.pool.fetchval(claims), "a second try leaves the first one's claims alone"
    told = await client.get("/v1/releases", headers=bearer("consent", "internal", kind="service"))
    (listed,) = told.json()["releases"]
    assert (listed["permit"], listed["fence"], listed["channel"]) == ("p1", 1, "phone")
    assert datetime.fromisoformat(listed["use_by"]) == datetime.fromisoformat(answer.json()["use_by"])


async def test_a_number_is_drawn_under_the_lock_that_is_held_until_the_commit(
    intake: Intake, client: httpx.AsyncClient, care: Headers, consent: StandIn, victim: tuple[str, str]
) -> None:
    consent.permit("p1", *victim, "victim-care")
    async with intake.pool.acquire() as another, another.transaction():
        await another.execute("SELECT pg_advisory_xact_lock($1)", store._NUMBERING)
        releasing = asyncio.create_task(release(client, care, "p1"))
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = $1 AND NOT granted"
        await until(lambda: another.fetchval(waiting, store._NUMBERING))
        assert not await another.fetchval("SELECT is_called FROM release_number"), "drawn before its turn"
    assert (await releasing).status_code == 200
    assert await intake.pool.fetchval("SELECT number FROM release WHERE permit = 'p1'") == 1


async def test_a_permit_of_another_agency_is_not_found(
    client: httpx.AsyncClient, police: Headers, consent: StandIn, victim: tuple[str, str]
) -> None:
    consent.permit("p1", *victim, "victim-care")
    assert (await release(client, police, "p1")).status_code == 404


async def test_consent_away_means_do_not_contact(
    client: httpx.AsyncClient, care: Headers, consent: StandIn, victim: tuple[str, str]
) -> None:
    consent.permit("p1", *victim, "victim-care")
    consent.away = True
    answer = await release(client, care, "p1")
    assert answer.status_code == 503
    assert "retry-after" in answer.headers


async def test_behind_leaves_the_permit_to_be_tried_again(
    client: httpx.AsyncClient, care: Headers, consent: StandIn, victim: tuple[str, str]
) -> None:
    consent.permit("p1", *victim, "victim-care")
    consent.refuse = "behind"
    answer = await release(client, care, "p1")
    assert (answer.status_code, kind(answer), answer.headers["retry-after"]) == (409, "behind", "1")
    consent.refuse = None
    assert (await release(client, care, "p1")).status_code == 200


async def test_a_withdrawal_between_redemption_and_release_wins(
    intake: Intake,
    client: httpx.AsyncClient,
    care: Headers,
    police: Headers,
    consent: StandIn,
    victim: tuple[str, str],
) -> None:
    consent.permit("p1", *victim, "victim-care")
    consent.before_redemption = asyncio.Event()
    releasing = asyncio.create_task(release(client, care, "p1"))
    await consent.reached_redemption.wait()
    consent.away = True
    headers = {**police, "Idempotency-Key": '"w1"'}
    recorded = await client.post("/v1/withdrawals", json={"person": victim[0]}, headers=headers)
    assert (recorded.status_code, recorded.json()["state"]) == (202, "recorded")
    consent.away = False
    consent.before_redemption.set()
    answer = await releasing
    assert (answer.status_code, kind(answer)) == (409, "changed")
    await until(lambda: consent.called("PUT", "outcome") == [{"fence": 1, "outcome": "not_made"}])
    assert await intake.pool.fetchval("SELECT count(*) FROM release WHERE state = 'handed_out'") == 0


async def test_what_was_redeemed_but_never_handed_out_is_told_as_not_made(
    client: httpx.AsyncClient, care: Headers, consent: StandIn, victim: tuple[str, str]
) -> None:
    consent.permit("p1", *victim, "victim-care")
    consent.refuse = "behind"
    await release(client, care, "p1")
    # As after a crash between redemption and hand-out: consent has redeemed it, intake's row is still "asked".
    consent.refuse = None
    consent.redeemed.add("p1")
    answer = await release(client, care, "p1")
    assert (answer.status_code, kind(answer)) == (409, "already-redeemed")
    assert consent.called("PUT", "outcome") == [{"fence": 1, "outcome": "not_made"}]
    assert kind(await release(client, care, "p1")) == "already-redeemed"


async def test_fifty_tries_at_once_hand_out_at_most_once(
    intake: Intake, client: httpx.AsyncClient, care: Headers, consent: StandIn, victim: tuple[str, str]
) -> None:
    consent.permit("p1", *victim, "victim-care")
    answers = await asyncio.gather(*(release(client, care, "p1") for _ in range(50)))
    assert [a.status_code for a in answers].count(200) <= 1
    assert {a.status_code for a in answers} <= {200, 409}
    handed_out = await intake.pool.fetchval("SELECT count(*) FROM release WHERE state = 'handed_out'")
    assert handed_out == [a.status_code for a in answers].count(200)


async def test_another_persons_live_approach_at_the_same_telephone_needs_a_human(
    intake: Intake,
    client: httpx.AsyncClient,
    police: Headers,
    care: Headers,
    consent: StandIn,
    victim: tuple[str, str],
) -> None:
    neighbour = party(
        name={"forenames": "Gwendolyn", "surname": "Thackeray"},
        date_of_birth="1950-07-01",
        addresses=[],
        emails=[],
        phones=[{"number": "07700 900123", "whose": "shared"}],
    )
    other = referral("R-2", parties=[neighbour], incident={"offence_class": "theft", "on": "2025-12-24"})
    person, case = await harmed(intake, await posted(intake, client, police, other))
    assert person != victim[0]
    consent.permit("p1", *victim, "victim-care")
    assert (await release(client, care, "p1")).status_code == 200
    consent.permit("p2", person, case, "victim-care")
    answer = await release(client, care, "p2")
    assert (answer.status_code, kind(answer)) == (409, "contact-point")


async def test_the_number_of_the_one_responsible_is_never_handed_out(
    intake: Intake, client: httpx.AsyncClient, police: Headers, care: Headers, consent: StandIn
) -> None:
    together = referral(
        parties=[
            party(phones=[{"number": "07700 900555"}, {"number": "07700 900777"}]),
            offender(phones=[{"number": "07700 900555"}]),
        ]
    )
    person, case = await harmed(intake, await posted(intake, client, police, together))
    consent.permit("p1", person, case, "victim-care")
    held = await release(client, care, "p1")
    assert (held.status_code, kind(held)) == (409, "on-hold")
    hub = bearer("hub", "hub", "referrals.read", worker="h1")
    row = await intake.pool.fetchrow(
        "SELECT id, referral::text AS referral FROM hold WHERE reason = 'unsafe_contact'"
    )
    assert row is not None
    path = f"/v1/referrals/{row['referral']}/holds/{row['id']}/release"
    lifted = await client.post(path, json={"reason": "checked"}, headers={**hub, "If-Match": '"1"'})
    assert lifted.status_code == 200, lifted.text
    answer = await release(client, care, "p1")
    assert answer.json()["phones"] == ["+447700900777"]


async def test_a_channel_without_a_safe_way_is_refused(
    intake: Intake, client: httpx.AsyncClient, police: Headers, care: Headers, consent: StandIn
) -> None:
    unsafe = referral(parties=[party(phones=[{"number": "07700 900123", "safe": False}])])
    person, case = await harmed(intake, await posted(intake, client, police, unsafe))
    consent.permit("p1", person, case, "victim-care")
    answer = await release(client, care, "p1")
    assert (answer.status_code, kind(answer)) == (409, "unsafe")
    consent.permit("p2", person, case, "victim-care", "email")
    assert (await release(client, care, "p2")).json()["emails"] == ["mary.wells@example.org"]


async def test_the_same_try_asks_again_with_its_own_sequences(
    client: httpx.AsyncClient, care: Headers, consent: StandIn, victim: tuple[str, str]
) -> None:
    consent.permit("p1", *victim, "victim-care")
    consent.lost = 1
    assert (await release(client, care, "p1")).status_code == 200
    first, second = consent.called("POST", "redemption")
    assert first == second


async def test_a_try_that_was_never_answered_leaves_the_permit_unusable_and_is_given_up(
    intake: Intake, client: httpx.AsyncClient, care: Headers, consent: StandIn, victim: tuple[str, str]
) -> None:
    consent.permit("p1", *victim, "victim-care")
    consent.lost = 2
    assert (await release(client, care, "p1")).status_code == 503
    asked = len(consent.called("POST", "redemption"))
    again = await release(client, care, "p1")
    assert (again.status_code, kind(again)) == (409, "already-redeemed")
    assert len(consent.called("POST", "redemption")) == asked, "nobody else asks consent"
    consents = bearer("consent", "internal", kind="service")
    listed = (await client.get("/v1/releases", headers=consents)).json()
    assert ([(r["permit"], r["use_by"]) for r in listed["releases"]], listed["next"]) == (
        [("p1", None)],
        None,
    ), "it counts as redeemed, and nobody knows yet for how long"
    await intake.pool.execute("UPDATE release SET asked_at = asked_at - interval '3 minutes'")
    await until(lambda: consent.called("PUT", "outcome") == [{"fence": 1, "outcome": "not_made"}])
    assert kind(await release(client, care, "p1")) == "already-redeemed"
    assert (await client.get("/v1/releases", headers=consents)).json()["releases"] == []


async def test_a_refusal_that_is_certain_lets_the_permit_be_presented_again(
    client: httpx.AsyncClient, care: Headers, consent: StandIn, victim: tuple[str, str]
) -> None:
    consent.permit("p1", *victim, "victim-care")
    consent.refuse = "fence"
    assert kind(await release(client, care, "p1", 9)) == "fence"
    consent.refuse = None
    assert (await release(client, care, "p1")).status_code == 200


async def test_what_this_database_has_forgotten_is_not_told_as_not_made(
    client: httpx.AsyncClient, care: Headers, consent: StandIn, victim: tuple[str, str]
) -> None:
    """Consent has redeemed it and no row is here: a restored database cannot know that nothing was handed out."""
    consent.permit("p1", *victim, "victim-care")
    consent.redeemed.add("p1")
    assert kind(await release(client, care, "p1")) == "already-redeemed"
    assert consent.called("PUT", "outcome") == []


async def test_nothing_is_handed_out_after_use_by(
    intake: Intake, client: httpx.AsyncClient, care: Headers, consent: StandIn, victim: tuple[str, str]
) -> None:
    consent.permit("p1", *victim, "victim-care")
    consent.use_by = "2020-01-01T12:00:00Z"
    answer = await release(client, care, "p1")
    assert (answer.status_code, kind(answer)) == (409, "changed")
    assert await intake.pool.fetchval("SELECT state FROM release") == "given_up"


async def test_a_service_releases_for_the_holder_alone_and_consent_learns_who_sends(
    client: httpx.AsyncClient, consent: StandIn, victim: tuple[str, str]
) -> None:
    consent.permit("p1", *victim, "victim-care")
    sender = bearer("notifications", "internal", kind="service")
    for behalf in ({}, {"Onefriend-On-Behalf-Of": "police/w1"}):
        assert (await release(client, sender | behalf, "p1")).status_code == 404
    answer = await release(client, sender | {"Onefriend-On-Behalf-Of": "victim-care/w1"}, "p1")
    assert answer.status_code == 200
    assert [body["sender"] for body in consent.called("POST", "redemption")] == ["notifications"]


@pytest.mark.parametrize("how", ["says so", "not reached"])
async def test_a_permit_is_not_used_up_while_consent_certainly_did_nothing(
    client: httpx.AsyncClient, care: Headers, consent: StandIn, victim: tuple[str, str], how: str
) -> None:
    consent.permit("p1", *victim, "victim-care")
    consent.unreached = how == "not reached"
    consent.unable = {"type": "…/unavailable", "status": 503, "nothing_done": True}
    answer = await release(client, care, "p1")
    assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
    assert len(consent.called("POST", "redemption")) == 1
    consent.unreached, consent.unable = False, None
    assert (await release(client, care, "p1")).status_code == 200


async def test_a_503_that_leaves_it_open_counts_as_redeemed(
    client: httpx.AsyncClient, care: Headers, consent: StandIn, victim: tuple[str, str]
) -> None:
    """A gateway between the two may have passed the request on: nobody may be contacted twice on the strength of a guess."""
    consent.permit("p1", *victim, "victim-care")
    consent.unable = {"message": "upstream timed out"}
    assert (await release(client, care, "p1")).status_code == 503
    consent.unable = None
    again = await release(client, care, "p1")
    assert (again.status_code, kind(again)) == (409, "already-redeemed")


async def test_the_last_of_the_other_side_withdrew_and_consent_has_not_heard(
    intake: Intake, client: httpx.AsyncClient, police: Headers, care: Headers, consent: StandIn
) -> None:
    victim, case = await harmed(intake, await posted(intake, client, police, referral()))
    facts = await intake.pool.fetchval("SELECT facts FROM referral_case WHERE case_id = $1", case)
    [other] = [p["person"] for p in json.loads(facts)["parties"] if p["role"] == "responsible"]
    consent.permit("p1", victim, case, "victim-care")
    consent.away = True
    headers = {**police, "Idempotency-Key": '"w1"'}
    recorded = await client.post("/v1/withdrawals", json={"person": other, "case": case}, headers=headers)
    assert (recorded.status_code, recorded.json()["state"]) == (202, "recorded")
    await intake.pool.execute(
        "UPDATE withdrawal SET state = 'needs_person'"
    )  # consent is not asked about it again
    consent.away = False
    answer = await release(client, care, "p1")
    assert (answer.status_code, kind(answer)) == (409, "counterpart-withdrawn")
    await intake.pool.execute("UPDATE withdrawal SET state = 'in_force'")
    assert (await release(client, care, "p1")).status_code == 200, "once it is in force consent decides"


async def test_consent_is_told_which_worker_presents_the_permit(
    client: httpx.AsyncClient, consent: StandIn, victim: tuple[str, str]
) -> None:
    consent.permit("p1", *victim, "victim-care")
    await release(client, bearer("victim-care", "contact", worker="w7"), "p1")
    assert [body["worker"] for body in consent.called("POST", "redemption")] == ["w7"]


async def test_a_refusal_of_consent_says_why_in_a_sentence(
    client: httpx.AsyncClient, care: Headers, consent: StandIn, victim: tuple[str, str]
) -> None:
    consent.permit("p1", *victim, "victim-care")
    for reason in ("hours_unsafe", "paused", "parked"):
        consent.refuse = reason
        answer = await release(client, care, "p1")
        assert (answer.status_code, kind(answer)) == (409, reason.replace("_", "-"))
        assert answer.json()["title"] == f"{reason}, in a sentence."
        assert answer.headers.get("retry-after") == ("5" if reason == "parked" else None)


async def test_a_hub_sees_who_is_at_the_telephone_of_a_linked_id_and_may_clear_it(
    intake: Intake,
    client: httpx.AsyncClient,
    police: Headers,
    care: Headers,
    consent: StandIn,
    victim: tuple[str, str],
) -> None:
    bare = {"role": "harmed", "name": {"forenames": "Mary Ann", "surname": "Wells"}}
    await posted(intake, client, care, referral("V-1", parties=[bare]))
    whole = party(phones=[{"number": "07700 900123"}, {"number": "07700 900555"}])
    await posted(intake, client, care, referral("V-1", version=2, parties=[whole]))
    neighbour = party(
        name={"forenames": "Gwendolyn", "surname": "Thackeray"}, date_of_birth="1950-07-01", addresses=[], emails=[],
        phones=[{"number": "07700 900555"}],
    )  # fmt: skip
    theft = {"offence_class": "theft", "on": "2025-12-24"}
    number = await posted(intake, client, police, referral("R-2", parties=[neighbour], incident=theft))
    other, _ = await harmed(intake, number)
    async with intake.pool.acquire() as connection:
        await following.save_ledger(connection, [following.LedgerRow(other, refused=True)])
    consent.permit("p1", *victim, "victim-care")
    assert kind(await release(client, care, "p1")) == "contact-point"
    hub = bearer("hub", "hub", worker="h1")
    path = f"/v1/people/{victim[0]}/contact-points"
    near = (await client.get(path, headers=hub)).json()["people"]
    assert near == [{"person": other, "live": False, "refused": True, "cleared": False}]
    await client.post(f"{path}/clearances", json={"other": other}, headers=hub)
    assert (await release(client, care, "p1")).status_code == 200
