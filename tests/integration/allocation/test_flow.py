"""From a referral to a cleared case, on the real broker and database."""

from __future__ import annotations

from shared.contracts.consent import ConsentWithdrawn, LeadAssigned, LeadEnded, LeadRefused
from shared.contracts.referrals import CaseFileJoined, PartyFact, ReferralReceived, ReferralRetracted
from tests.integration.allocation.conftest import World


async def test_a_referral_is_proposed_allocated_and_cleared(world: World) -> None:
    await world.refer("c1")
    first = await world.wait("c1", "case.proposed")
    proposed = first["case.proposed"]
    assert [(lead["party"], lead["agency"]) for lead in proposed["leads"]] == [
        ("anna-c1", "beacon"),
        ("ben-c1", "mediation-hertfordshire"),
    ]
    assert proposed["partnership"] == "hertfordshire"
    assert proposed["why"][0].startswith("Lead for the harmed party: Beacon")
    await world.assign("c1")
    done = await world.wait("c1", "case.proposed", "case.allocated", "case.cleared")
    assert {p["party"]: p["agency"] for p in done["case.allocated"]["parties"]} == {
        "anna-c1": "beacon",
        "ben-c1": "mediation-hertfordshire",
    }
    assert {p["party"] for p in done["case.cleared"]["parties"]} == {"anna-c1", "ben-c1"}
    row = await world.pool.fetchrow("SELECT * FROM case_row WHERE case_id = 'c1'")
    assert row is not None
    assert (row["status"], row["hub"]) == ("cleared", "herts-rj-coordinator")


async def test_many_cases_in_one_batch(world: World) -> None:
    names = [f"m{number}" for number in range(120)]
    for name in names:
        await world.refer(name)
    for name in names:
        await world.wait(name, "case.proposed")
        await world.assign(name)
    for name in names:
        await world.wait(name, "case.proposed", "case.allocated", "case.cleared")


async def test_led_elsewhere_is_allocated_to_whom_the_person_has_already(world: World) -> None:
    anna = PartyFact(person="anna", role="harmed")
    await world.allocate("e1", parties=(anna, PartyFact(person="ben", role="responsible", admitted=True)))
    parties = (anna, PartyFact(person="carl", role="responsible", admitted=True))
    await world.refer("e2", parties=parties, initiated_by="responsible")
    await world.wait("e2", "case.proposed")
    claim = (await world.events("e2"))[0][1]["claim"]
    refused = LeadRefused(claim=claim, case="e2", party="anna", agency="beacon", reason="led_elsewhere")
    await world.tell("anna", refused)
    await world.assign("e2", "carl")
    done = await world.wait("e2", "case.proposed", "case.allocated", "case.cleared")
    told = next(p for p in done["case.allocated"]["parties"] if p["party"] == "anna")
    assert (told["agency"], told["refused"]) == ("beacon", "led_elsewhere")

    # The other case is over, and that lead with it: nobody leads anna any more, unless this case claims her again.
    await world.tell("anna", LeadEnded(agency="beacon", reason="case_closed", cases=("e1",)))
    await world.wait("e2", "case.proposed", "case.allocated", "case.cleared", "case.proposed")


async def test_led_elsewhere_since_the_same_batch_names_who_leads_now(world: World) -> None:
    """What the batch itself has changed is in no row yet: neither the lead that has just begun nor the one that is over."""
    anna = PartyFact(person="una", role="harmed")
    for case, ben in (("b1", "bob"), ("b2", "bill"), ("b3", "bert")):
        await world.refer(case, parties=(anna, PartyFact(person=ben, role="responsible", admitted=True)))
        await world.wait(case, "case.proposed")
    claims = {case: (await world.events(case))[0][1]["claim"] for case in ("b1", "b2", "b3")}
    await world.tell(
        "una",
        LeadAssigned(claim=claims["b2"], case="b2", party="una", agency="beacon", worker="w-2"),
        LeadEnded(agency="beacon", reason="case_closed", cases=("b2",)),
        LeadAssigned(claim=claims["b1"], case="b1", party="una", agency="beacon", worker="w-1"),
        LeadRefused(claim=claims["b3"], case="b3", party="una", agency="beacon", reason="led_elsewhere"),
    )
    await world.assign("b3", "bert")
    done = await world.wait("b3", "case.proposed", "case.allocated", "case.cleared")
    told = next(p for p in done["case.allocated"]["parties"] if p["party"] == "una")
    assert (told["agency"], told["worker"]) == ("beacon", "w-1")


async def test_withdrawal_from_everything_closes_every_case_of_the_person(world: World) -> None:
    anna = PartyFact(person="anna", role="harmed")
    for case in ("w1", "w2"):
        await world.allocate(
            case, parties=(anna, PartyFact(person=f"b-{case}", role="responsible", admitted=True))
        )
    withdrawn = ConsentWithdrawn(scope="everything", by="person", via="probation", withdrawal="x")
    await world.tell("anna", withdrawn)
    for case in ("w1", "w2"):
        await world.wait(case, "case.proposed", "case.allocated", "case.cleared", "case.closed")


async def test_a_joining_that_is_heard_after_the_parting_brings_nobody_back(world: World) -> None:
    """Intake joined one case to another and parted them again; of two cases either's events may come first."""
    await world.allocate("g1")
    facts = await world.refer("g2")
    await world.wait("g2", "case.proposed")
    await world.tell("g1", ReferralReceived(facts=facts))
    gone = ReferralRetracted(referral=facts.referral, agency=facts.agency, remaining=1)
    await world.tell("g1", gone)
    await world.tell("g2", CaseFileJoined(into="g1"))
    await world.wait("g2", "case.proposed", "case.closed")
    seen = (await world.get("/v1/cases/g1", "herts-rj-coordinator", "cases.read", "hub")).json()
    assert {p["party"]: p["place"] for p in seen["parties"] if p["place"] != "led"} == {
        "anna-g2": "out",
        "ben-g2": "out",
    }
