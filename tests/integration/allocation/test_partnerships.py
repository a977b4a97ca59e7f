"""P1 Hertfordshire, P2 Northumbria and P3 Sussex, as far as allocation goes, through its topics and its HTTP API."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest

from shared.contracts.referrals import PartyFact, ReferralRetracted
from tests.integration.allocation.conftest import World
from tests.support.running import until


@dataclass(frozen=True)
class Scenario:
    """A referral (facts of the case, of the harmed and of the responsible party) and what must come of it."""

    name: str
    source: str
    facts: dict[str, Any]
    harmed_lead: str
    responsible_lead: str
    funder: str
    harmed: dict[str, Any] = field(default_factory=dict)
    responsible: dict[str, Any] = field(default_factory=dict)
    asked: tuple[tuple[str, str], ...] = ()
    facilitators: int = 2


MULTI = "rjc-multi-agency-partnerships"
HERTS = {"area": "hertfordshire"}
SCENARIOS = (
    Scenario(
        "p1-beacon-first",
        f"{MULTI}, area 1: Beacon contacts every victim, nobody else does",
        {**HERTS, "initiated_by": "harmed"},
        "beacon",
        "mediation-hertfordshire",
        "hertfordshire-opcc",
    ),
    Scenario(
        "p1-offender-initiated",
        f"{MULTI}, area 1: offender-initiated -> BeNCH CRC leads",
        {**HERTS, "initiated_by": "responsible", "agency": "bench-crc", "stage": "licence"},
        "beacon",
        "bench-crc",
        "bench-crc",
        responsible={"supervising_agency": "bench-crc"},
    ),
    Scenario(
        "p1-community-remedy",
        f"{MULTI}, area 1: the victim chose RJ on the Community Remedy document -> the constabulary",
        {**HERTS, "stage": "community_resolution", "chosen_on_remedy_document": True},
        "hertfordshire-constabulary",
        "hertfordshire-constabulary",
        "hertfordshire-constabulary",
        harmed={"prior_contact": "yes", "prior_contact_agency": "hertfordshire-constabulary"},
    ),
    Scenario(
        "p2-usual",
        f"{MULTI}, area 2: police -> Victims First Northumbria, whose victims' co-ordinator makes first contact",
        {"area": "northumbria", "agency": "northumbria-police", "stage": "pre_sentence"},
        "victims-first-northumbria",
        "victims-first-northumbria",
        "victims-grant",
    ),
    Scenario(
        "p2-young-offender",
        f"{MULTI}, area 2: offender referrals go to the agency that holds the offender: six YOTs",
        {
            "area": "sunderland",
            "agency": "yot-sunderland",
            "initiated_by": "responsible",
            "stage": "community_order",
        },
        "victims-first-northumbria",
        "yot-sunderland",
        "local-authority-and-youth-justice-board",
        responsible={"age_band": "10_to_17", "supervising_agency": "yot-sunderland"},
    ),
    Scenario(
        "p3-west-hub",
        f"{MULTI}, area 3: the hub of the area asks each agency for its research",
        {"area": "west-sussex", "agency": "sussex-police", "stage": "conditional_caution"},
        "hub-bognor-regis",
        "hub-bognor-regis",
        "sussex-police",
        asked=(("research", "sussex-police"), ("research", "victim-support-sussex")),
    ),
    Scenario(
        "p3-east-prison",
        f"{MULTI}, area 3: prison and probation are asked where they hold the offender; co-facilitated",
        {"area": "east-sussex", "agency": "hmp-lewes", "stage": "custody"},
        "hub-bexhill",
        "hub-bexhill",
        "sussex-opcc",
        responsible={"custody_agency": "hmp-lewes"},
        asked=(
            ("research", "hmp-lewes"),
            ("research", "nps-sussex"),
            ("research", "sussex-police"),
            ("research", "victim-support-sussex"),
        ),
    ),
)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
async def test_who_leads_who_pays_and_what_is_asked(world: World, scenario: Scenario) -> None:
    case = scenario.name
    parties = (
        PartyFact(person=f"anna-{case}", role="harmed", **scenario.harmed),
        PartyFact(person=f"ben-{case}", role="responsible", admitted=True, **scenario.responsible),
    )
    await world.refer(case, parties=parties, **scenario.facts)
    await until(partial(has, world, case, "case.proposed"))
    await world.assign(case)
    await until(partial(has, world, case, "case.allocated"))
    events = await world.events(case)
    told = dict(events)["case.allocated"]
    leads = {party["role"]: party["agency"] for party in told["parties"]}
    assert leads == {"harmed": scenario.harmed_lead, "responsible": scenario.responsible_lead}, told["why"]
    assert told["funder"] == scenario.funder
    asked = sorted((data["kind"], data["of"]) for name, data in events if name == "check.requested")
    assert asked == sorted(scenario.asked)
    assert told["delivery"].get("facilitators", 2) == scenario.facilitators  # two is the contract's default
    cleared = [party["party"] for name, data in events if name == "case.cleared" for party in data["parties"]]
    assert (f"anna-{case}" in cleared) == (not scenario.asked)
    # Every lead finds the case in its list, with the reason; an agency of another area does not.
    seen = (await world.get(f"/v1/cases/{case}", scenario.harmed_lead)).json()
    assert seen["why"] == told["why"]
    assert (await world.get(f"/v1/cases/{case}", "durham-restorative-hub")).status_code == 404


async def has(world: World, case: str, name: str) -> bool:
    return name in [event for event, _ in await world.events(case)]


async def test_a_sensitive_case_without_agreement_to_share_is_on_hold(world: World) -> None:
    """National: for sexual offences an explicit agreement to share with its evidence comes first."""
    await world.refer("sensitive", offence_class="sexual", sensitive=("sexual",), **HERTS)
    await until(partial(has, world, "sensitive", "case.proposed"))
    await world.assign("sensitive")
    await until(partial(has, world, "sensitive", "case.allocated"))
    names = [name for name, _ in await world.events("sensitive")]
    assert names[0] == "case.paused"
    assert "case.cleared" not in names
    assert dict(await world.events("sensitive"))["case.paused"]["reason"] == "agreement_to_share_missing"


async def test_the_divisional_meeting_decides_after_the_research(world: World) -> None:
    """Sussex: the challenging cases go to the monthly divisional meeting, once every agency has answered."""
    case = "divisional"
    await world.refer(case, area="brighton-and-hove", offence_class="hate", stage="conditional_caution")
    await until(partial(has, world, case, "case.proposed"))
    await world.assign(case)
    await until(partial(has, world, case, "check.requested"))
    hub = "hub-brighton"
    assert (await world.get(f"/v1/cases/{case}", hub, "cases.read", "hub")).json()["hub"] == hub
    answered = 0
    while not await has(world, case, "case.cleared"):
        rows = await world.pool.fetch(
            "SELECT check_id, of_agency, kind FROM case_check WHERE case_id = $1 AND satisfied IS NULL ORDER BY kind DESC",
            case,
        )
        open_research = [row for row in rows if row["kind"] == "research"]
        row = (open_research or rows)[0]
        # The meeting is asked only when no research is open.
        assert not open_research or all(one["kind"] != "approval" for one in rows)
        path = f"/v1/checks/{row['check_id']}"
        etag = (await world.get(path, row["of_agency"])).headers["etag"]
        done = await world.send(
            "PUT", f"{path}/answer", row["of_agency"], "cases.write", etag=etag, json={"satisfied": True}
        )
        assert done.status_code == 200, done.text
        answered += 1
    assert answered >= 3


async def test_several_agencies_refer_the_same_and_one_takes_it_back(world: World) -> None:
    """One case, whoever refers; posted in error by one of them, it goes on for the others."""
    case = "several"
    await world.allocate(case)
    await world.refer(case, referral="r-second", agency="bench-crc")
    await world.tell(
        case, ReferralRetracted(referral=f"r-{case}", agency="hertfordshire-constabulary", remaining=1)
    )

    async def known() -> bool:
        return bool(
            await world.pool.fetchval(
                "SELECT count(*) FROM case_agency WHERE agency = 'bench-crc' AND case_id = $1", case
            )
        )

    await until(known)
    await world.tell(case, ReferralRetracted(referral="r-second", agency="bench-crc", remaining=0))
    await until(partial(has, world, case, "case.closed"))
    names = [name for name, _ in await world.events(case)]
    assert names == ["case.proposed", "case.allocated", "case.cleared", "case.closed"]
    assert (await world.get(f"/v1/cases/{case}", "hertfordshire-constabulary")).status_code == 404
