"""The commissioner's figures, counted again from nothing but the journals."""

from __future__ import annotations

import csv
import io
from collections import Counter
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

import msgspec

from shared.contracts.consent import AttemptRecorded, PersonReached
from shared.contracts.envelope import Payload
from shared.contracts.referrals import CaseFileJoined, PartyFact, ReferralReceived, ReferralRetracted
from tests.integration.allocation.conftest import World, referral
from tests.support.running import until

# Case: where and by whom it was referred, what came of it.
OUTCOMES: dict[str, dict[str, Any]] = {
    "m1": {"form": "conference", "agreement": True, "kinds": ["apology", "reparation"], "satisfied": True},
    "m2": {"form": "indirect", "agreement": False, "satisfied": False},
    "m3": {"form": "none", "agreement": False, "reason": "harmed_declined"},
    "m5": {"form": "conference", "agreement": True, "kinds": ["apology"], "fulfilled": True},
}
OUTCOMES["m1"]["feedback"] = [{"by": "responsible", "satisfied": True}, {"by": "staff", "satisfied": False}]
AREAS = {"m1": "hertfordshire", "m2": "E23000027", "m3": "hertfordshire", "m4": "41", "m5": "london"}
REFERRERS = {"m2": "beacon"}
ANSWERS = {"m1": "agreed", "m2": "agreed", "m3": "declined"}


async def _happened(world: World) -> list[tuple[str, Payload, datetime]]:
    """What intake and consent journalled: (case, event, when)."""
    journal: list[tuple[str, Payload, datetime]] = []
    for case, area in AREAS.items():
        place = "metropolitan" if area == "london" else area
        parties = (
            PartyFact(person=f"anna-{case}", role="harmed"),
            PartyFact(person=f"ben-{case}", role="responsible", admitted=True),
        )
        stage = "community_order" if area == "london" else "post_sentence"
        facts = referral(
            case,
            area=place,
            parties=parties,
            initiated_by="harmed",
            stage=stage,
            agency=REFERRERS.get(case, "hertfordshire-constabulary"),
            received_at=datetime.now(UTC) - timedelta(days=int(case[1])),
        )
        journal.append((case, ReferralReceived(facts=facts), facts.received_at))
        await world.tell(case, ReferralReceived(facts=facts))
        await world.wait(case, "case.proposed")
        await world.assign(case)
        await world.wait(case, "case.proposed", "case.allocated", "case.cleared")
    for case, answer in ANSWERS.items():
        lead = "beacon"
        person = f"anna-{case}"
        said: list[Payload] = [
            AttemptRecorded(permit=f"p-{case}", case=case, agency=lead, channel="phone", outcome=answer),  # type: ignore[arg-type]
            PersonReached(case=case, agency=lead, answer=answer, began="agency"),  # type: ignore[arg-type]
        ]
        await world.tell(person, *said)
        journal.extend((case, payload, datetime.now(UTC)) for payload in said)
    await _joined_and_parted(world, journal)
    return journal


async def _joined_and_parted(world: World, journal: list[tuple[str, Payload, datetime]]) -> None:
    """A case that turned out to be m4, and one that left m4: each referral counts once."""
    joined = referral("m6", area="hertfordshire", agency="beacon", received_at=datetime.now(UTC))
    parted = referral("m7", area="hertfordshire", agency="beacon", received_at=datetime.now(UTC))
    await world.tell("m6", ReferralReceived(facts=joined))
    await world.wait("m6", "case.proposed")
    await world.tell("m4", ReferralReceived(facts=joined), ReferralReceived(facts=parted))
    await world.tell("m6", CaseFileJoined(into="m4"))
    await world.tell("m4", ReferralRetracted(referral=parted.referral, agency=parted.agency, remaining=2))
    await world.tell("m7", ReferralReceived(facts=parted, continues="m4"))
    await world.wait("m6", "case.proposed", "case.closed")
    await world.wait("m7", "case.proposed")
    journal.append(("m4", ReferralReceived(facts=joined), joined.received_at))
    journal.append(("m7", ReferralReceived(facts=parted), parted.received_at))


async def _outcomes(world: World) -> None:
    for case, body in OUTCOMES.items():
        lead = "london-crc" if case == "m5" else "beacon"
        path = f"/v1/cases/{case}/outcomes"
        done = await world.send("POST", path, lead, "cases.write", json=body)
        assert done.status_code == 201, (case, done.text)
    await world.change("m3", "closure", "beacon", {"reason": "harmed_declined"})


def _again(journal: list[tuple[str, str, Any, datetime]], cases: set[str]) -> dict[str, Any]:
    """The figures, by nothing but events: (case, type, data, when)."""
    here = [entry for entry in journal if entry[0] in cases]

    def of(kind: str) -> list[tuple[str, Any, datetime]]:
        return [(case, data, at) for case, name, data, at in here if name == kind]

    received = {case: at for case, _, at in reversed(of("referral.received"))}
    outcomes = of("outcome.recorded")
    restorative = {case for case, data, _ in outcomes if data["form"] != "none"}
    first = {case: at for case, data, at in reversed(of("attempt.recorded")) if data["outcome"] != "not_made"}
    allocated = {case: at for case, _, at in reversed(of("case.allocated"))}
    days = [(at - received[case]).total_seconds() / 86400 for case, at in first.items()]
    to_lead = [(at - received[case]).total_seconds() / 86400 for case, at in allocated.items()]
    reached = [(case, data) for case, data, _ in of("person.reached")]
    return {
        "referrals": Counter(data["facts"]["agency"] for _, data, _ in of("referral.received")),
        "cases_received": len(received),
        "cases_allocated": len(allocated),
        "victims_offered": len({case for case, _ in reached}),
        "victims_answers": Counter(data["answer"] for _, data in reached),
        "completed_cases": len(restorative),
        "outcomes": Counter(data["form"] for _, data, _ in outcomes),
        "conversion_percent": round(100 * len(restorative) / len(received), 1) if received else None,
        "days_to_first_contact": round(median(days), 2) if days else None,
        "days_to_allocation": round(median(to_lead), 2) if to_lead else None,
        "not_proceeding": Counter(
            data["reason"] for case, data, _ in of("case.closed") if case not in restorative
        ),
        "agreements_made": Counter(
            ",".join(data.get("kinds", ())) or "unspecified" for _, data, _ in outcomes if data["agreement"]
        ),
        "agreements_fulfilled": Counter(
            "yes" if data["fulfilled"] else "no"
            for _, data, _ in outcomes
            if data.get("fulfilled") is not None
        ),
        "victims_satisfied": Counter(
            "yes" if data["satisfied"] else "no"
            for _, data, _ in outcomes
            if data.get("satisfied") is not None
        ),
        "feedback": Counter(
            f"{said['by']}: {'satisfied' if said['satisfied'] else 'not satisfied'}"
            for _, data, _ in outcomes
            for said in data.get("feedback", ())
        ),
    }


async def _journals(
    world: World, told: list[tuple[str, Payload, datetime]]
) -> list[tuple[str, str, Any, datetime]]:
    own = await world.pool.fetch("SELECT key, type, data, recorded_at FROM journal WHERE topic = 'cases'")
    found = [
        (row["key"], row["type"].rpartition(".v")[0], msgspec.json.decode(row["data"]), row["recorded_at"])
        for row in own
    ]
    names = {
        ReferralReceived: "referral.received",
        AttemptRecorded: "attempt.recorded",
        PersonReached: "person.reached",
    }
    found += [(case, names[type(payload)], msgspec.to_builtins(payload), at) for case, payload, at in told]
    return found


async def test_every_figure_is_what_a_recount_from_the_journals_gives(world: World) -> None:
    told = await _happened(world)

    async def heard() -> bool:
        facts = await world.pool.fetchval(
            "SELECT count(*) FROM case_fact WHERE fact IN ('contact', 'harmed_reached')"
        )
        return bool(facts == 2 * len(ANSWERS))

    await until(heard, seconds=30)
    await _outcomes(world)
    journal = await _journals(world, told)
    herts = {case for case, area in AREAS.items() if area != "london"} | {"m7"}
    for area, cases in (
        ("", {*AREAS, "m7"}), ("hertfordshire", herts), ("E23000027", herts), ("Metropolitan", {"m5"}), ("kent", set()),
    ):  # fmt: skip
        query = f"?area={area}" if area else ""
        answer = await world.get(f"/v1/measures{query}", "opcc", "commissioner")
        assert answer.status_code == 200, answer.text
        figures = {one["measure"]: one for one in answer.json()["measures"]}
        assert all(one["definition"] for one in figures.values())
        counted = {
            name: one["values"] if "by" in one else one["value"]
            for name, one in figures.items()
            if name != "near_the_clock"
        }
        again = _again(journal, cases)
        assert counted.keys() == again.keys()
        for name, value in again.items():
            if name.startswith("days"):
                assert (value is None) == (counted[name] is None), (area, name)
                assert value is None or abs(counted[name] - value) <= 0.02, (area, name)
            else:
                assert counted[name] == value, (area, name)

    # A period before anything happened, the same figures as CSV, an area that there is not.
    nothing = await world.get("/v1/measures?until=2020-01-01T00:00:00Z", "opcc", "commissioner")
    assert not any(one.get("value") or one.get("values") for one in nothing.json()["measures"])
    table = await world.get("/v1/measures?format=csv&area=hertfordshire", "opcc", "commissioner")
    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert {row["value"] for row in rows if row["measure"] == "cases_received"} == {"5"}
    assert all(row["definition"] for row in rows)
    wrong = await world.get("/v1/measures?area=atlantis", "opcc", "commissioner")
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "area")
