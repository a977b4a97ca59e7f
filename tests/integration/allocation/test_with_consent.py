"""Allocation and the real consent, over their topics and by call. Only intake's events are put there by the test."""

from __future__ import annotations

import msgspec

from shared.contracts.people import PersonReferred, Safety
from shared.contracts.referrals import PartyFact, ReferralChanged, ReferralReceived
from tests.integration.allocation.conftest import Together, referral
from tests.support.running import until
from tests.support.tokens import bearer

CO_ORDINATOR = "herts-rj-coordinator"


async def test_claimed_cleared_and_a_second_case_of_the_same_person_goes_to_whom_she_has(
    together: Together,
) -> None:
    world = together.world
    await together.refer("c1", "anna")
    await world.wait("c1", "case.proposed", "case.allocated", "case.cleared")
    # Begun by the responsible person and chosen on no document, the second case is proposed to Beacon all the same.
    await together.refer("c2", "anna")
    told = await world.wait("c2", "case.proposed", "case.allocated", "case.cleared")
    assert {p["agency"] for p in told["case.allocated"]["parties"]} == {"beacon", "mediation-hertfordshire"}


async def test_a_pause_is_in_force_when_it_is_answered(together: Together) -> None:
    world = together.world
    await together.refer("p1", "anna")
    await world.wait("p1", "case.proposed", "case.allocated", "case.cleared")
    paused = await world.change("p1", "pause", CO_ORDINATOR, {"reason": "safety"}, "hub")
    assert paused.status_code == 200, paused.text
    assert paused.json()["in_force"]

    async def reason() -> str | None:
        answer = await together.ask(
            "POST", "/v1/contact-checks", "beacon", "contact", case="p1", party="anna"
        )
        return str(answer.json().get("reason")) if answer.status_code == 200 else None

    # Consent answers no question before it has heard the broker; the first answer that it gives is the one that counts.
    answers: list[str | None] = []

    async def answered() -> bool:
        answers.append(await reason())
        return answers[-1] is not None

    await until(answered)
    assert answers[-1] == "paused"
    # What leaves the case is paused before anybody is claimed for it.
    await world.tell("p2", ReferralReceived(facts=referral("p2"), continues="p1"))

    async def claimed() -> bool:
        return len(await world.events("p2")) > 1

    await until(claimed)
    names = [(name, data.get("reason")) for name, data in await world.events("p2")]
    assert [name for name, _ in names[:2]] == ["case.paused", "case.proposed"]
    assert names[0][1] == "safety"
    resumed = await world.change("p1", "resumption", CO_ORDINATOR, {"reason": "safe_again"}, "hub")
    assert resumed.status_code == 200

    async def open_again() -> bool:
        return await reason() not in ("paused", None)

    await until(open_again)


async def test_a_child_whose_mother_is_named_by_a_later_version_can_be_spoken_to_through_her(
    together: Together,
) -> None:
    world = together.world
    await together.refer("m1", "cleo")
    await world.wait("m1", "case.proposed", "case.allocated", "case.cleared")
    named = PersonReferred(
        case="m1", incident="incident-m1", referral="r-m1", referrer="hertfordshire-constabulary", role="harmed",
        safety=Safety(channels=(), minor=True), contact_persons=("mona",),
    )  # fmt: skip
    await world.tell("cleo", named)
    speaks = msgspec.structs.replace(
        named, role="contact", safety=Safety(channels=("phone",)), contact_persons=(), speaks_for=("cleo",)
    )
    await world.tell("mona", speaks)
    parties = (
        PartyFact(person="cleo", role="harmed", contact_persons=("mona",), age_band="10_to_17"),
        PartyFact(person="ben-m1", role="responsible", admitted=True),
    )
    later = msgspec.structs.replace(referral("m1", parties=parties), version=2)
    await world.tell("m1", ReferralChanged(facts=later, changed=("parties",)))

    async def allowed() -> bool:
        body = {"case": "m1", "party": "cleo", "contact_person": "mona"}
        answer = await together.ask("POST", "/v1/contact-checks", "beacon", "contact", **body)
        return answer.status_code == 200 and bool(answer.json()["may"])

    await until(allowed)
    await together.last("m1", "case.allocated")
    told = await world.events("m1")
    assert {(p["party"], p["person"], p["agency"]) for p in told[-1][1]["parties"]} == {
        ("cleo", "mona", "beacon"),
        ("ben-m1", "ben-m1", "mediation-hertfordshire"),
    }


async def test_returned_before_anybody_called_it_goes_to_the_hub_which_names_another(
    together: Together,
) -> None:
    world = together.world
    await together.refer("r1", "anna")
    await world.wait("r1", "case.proposed", "case.allocated", "case.cleared")
    returned = await world.change("r1", "return", "beacon", {"reason": "conflict_of_interest"})
    assert returned.status_code == 200, returned.text
    assert returned.json()["still_lead"] is False
    await together.last("r1", "case.needs_decision")
    for agency in ("bench-crc", "beacon"):
        body = {"name": agency, "kind": "crc" if agency == "bench-crc" else "victim_care"}
        put = await world.http.put(f"/v1/agencies/{agency}", headers=bearer("ops", "operator"), json=body)
        assert put.status_code == 200, put.text
    decision = {"kind": "lead", "party": "anna", "agency": "bench-crc"}
    decided = await world.change("r1", "decision", CO_ORDINATOR, decision, "hub")
    assert decided.status_code == 200, decided.text
    await together.last("r1", "case.cleared")
    seen = (await world.get("/v1/cases/r1", CO_ORDINATOR, "cases.read", "hub")).json()
    assert seen["parties"][0]["agency"] == "bench-crc"
    assert (await world.get("/v1/cases/r1", "beacon")).status_code == 404


async def test_handed_over_to_whom_policy_names(together: Together) -> None:
    world = together.world
    await together.refer("h1", "anna")
    await world.wait("h1", "case.proposed", "case.allocated", "case.cleared")
    wrong = await world.change(
        "h1", "hand-over", "beacon", {"party": "anna", "target": "bench-crc", "reason": "x"}
    )
    assert wrong.status_code == 422
    body = {"party": "anna", "target": "mediation-hertfordshire", "reason": "interested"}
    done = await world.change("h1", "hand-over", "beacon", body)
    assert done.status_code == 200, done.text
    await together.last("h1", "case.allocated")
    seen = (await world.get("/v1/cases/h1", "mediation-hertfordshire")).json()
    assert seen["parties"][0]["agency"] == "mediation-hertfordshire"


async def test_withdrawn_at_consent_closes_the_case_here(together: Together) -> None:
    world = together.world
    await together.refer("w1", "anna")
    await world.wait("w1", "case.proposed", "case.allocated", "case.cleared")
    body = {"scope": "everything", "by": "person"}
    done = await together.ask("POST", "/v1/people/anna/withdrawals", "intake", "internal", **body)
    assert done.status_code == 201, done.text
    await together.last("w1", "case.closed")
    assert (await world.events("w1"))[-1][1]["reason"] == "withdrawn"
    assert (await world.change("w1", "acceptance", "beacon")).status_code == 409


async def test_consent_away_means_not_in_force(together: Together) -> None:
    world = together.world
    await together.refer("x1", "anna")
    await world.wait("x1", "case.proposed", "case.allocated", "case.cleared")
    world.service.settings.consent_url = "http://127.0.0.1:9"
    paused = await world.change("x1", "pause", CO_ORDINATOR, {"reason": "safety"}, "hub")
    assert (paused.status_code, paused.json()["type"].rpartition("/")[2]) == (503, "not-in-force")
    assert paused.headers["retry-after"]
    # It is recorded all the same, and reaches consent by its event.
    assert (await world.events("x1"))[-1][0] == "case.paused"
    returned = await world.change("x1", "return", "beacon", {"reason": "no_capacity"})
    assert returned.status_code == 503
    assert (await world.events("x1"))[-1][0] == "case.paused"
    world.service.settings.consent_url = together.url
    again = await world.change("x1", "pause", CO_ORDINATOR, {"reason": "safety"}, "hub")
    assert (again.status_code, again.json()["in_force"]) == (200, True)
    assert [name for name, _ in await world.events("x1")].count("case.paused") == 1


async def test_a_succession_moves_every_lead_and_everybody_stays_reachable(together: Together) -> None:
    world = together.world
    await together.refer("s1", "anna")
    await world.wait("s1", "case.proposed", "case.allocated", "case.cleared")
    for agency in ("beacon", "beacon-two"):
        body = {"name": agency, "kind": "victim_care"}
        await world.http.put(f"/v1/agencies/{agency}", headers=bearer("ops", "operator"), json=body)
    path = "/v1/agencies/beacon/succession"
    done = await world.send("POST", path, "ops", "operator", json={"successor": "beacon-two"})
    assert done.status_code == 201, done.text
    circle = await world.send(
        "POST", "/v1/agencies/beacon-two/succession", "ops", "operator", json={"successor": "beacon"}
    )
    assert circle.status_code == 422, circle.text
    seen = await world.get("/v1/cases/s1", "beacon-two")
    assert seen.status_code == 200
    await together.refer("s2", "bella")
    told = await world.wait("s2", "case.proposed", "case.allocated", "case.cleared")
    assert told["case.proposed"]["leads"][0]["agency"] == "beacon-two"
