"""Checks with their clocks: reminded, overdue, late, answered twice, by the wrong agency; and what the hub sees of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from shared.contracts.referrals import PartyFact
from tests.integration.allocation.conftest import World
from tests.support.running import until
from tests.support.tokens import bearer

HUB = "herts-rj-coordinator"
PROBATION = "bench-crc"


async def asked(world: World, case: str) -> dict[str, Any]:
    """A case in which nobody has said whether anything is admitted: who supervises him is asked."""
    parties = (
        PartyFact(person=f"anna-{case}", role="harmed"),
        PartyFact(person=f"ben-{case}", role="responsible", supervising_agency=PROBATION),
    )
    await world.refer(case, parties=parties, stage="community_order")
    await world.wait(case, "case.proposed")
    await world.assign(case)
    told = await world.wait(case, "case.proposed", "case.allocated", "check.requested", "case.cleared")
    return dict(told["check.requested"])


async def shift(world: World, seconds: float) -> None:
    answer = await world.http.put("/v1/clock", headers=bearer("ops", "operator"), json={"seconds": seconds})
    assert answer.is_success, answer.text


async def answer(world: World, check: str, agency: str, satisfied: bool) -> tuple[int, dict[str, Any]]:
    read = await world.get(f"/v1/checks/{check}", agency)
    tag = read.headers.get("etag", '"0"')
    path = f"/v1/checks/{check}/answer"
    done = await world.send("PUT", path, agency, "cases.write", etag=tag, json={"satisfied": satisfied})
    return done.status_code, done.json()


async def types(world: World, case: str) -> list[str]:
    return [name for name, _ in await world.events(case)]


async def test_a_check_is_reminded_of_then_overdue_then_answered_late_and_counts_as_a_fact(
    world: World,
) -> None:
    check = await asked(world, "k1")
    assert (check["kind"], check["of"]) == ("admission", PROBATION)
    due = datetime.fromisoformat(check["due"])
    left = (due - datetime.now(UTC)).total_seconds()
    await shift(world, left - 60)  # the last minute: a day before, it was said

    async def reminded() -> bool:
        return "check.reminded" in await types(world, "k1")

    await until(reminded, seconds=40)
    assert "check.overdue" not in await types(world, "k1")
    assert (await world.get("/v1/checks?overdue=true", PROBATION)).json()["checks"] == []
    await shift(world, left + 60)

    async def overdue() -> bool:
        return "check.overdue" in await types(world, "k1")

    await until(overdue, seconds=40)
    (late,) = (await world.get("/v1/checks?overdue=true", PROBATION)).json()["checks"]
    assert late["check_id"] == check["check"]
    # The hub sees what others are late with, and nobody else does.
    (seen,) = (await world.get("/v1/checks?of=others&overdue=true", HUB, "hub", "cases.read")).json()[
        "checks"
    ]
    assert (seen["check_id"], seen["of_agency"]) == (check["check"], PROBATION)
    assert (await world.get("/v1/checks?of=others", HUB, "cases.read")).status_code == 403
    assert (await world.get("/v1/checks?of=others", "sussex-hub", "hub", "cases.read")).json()["checks"] == []

    # By the wrong agency it does not exist; late it counts; twice the same is nothing, another answer is refused.
    assert (await answer(world, check["check"], "beacon", satisfied=True))[0] == 404
    assert (await answer(world, check["check"], PROBATION, satisfied=True))[0] == 200
    assert (await answer(world, check["check"], PROBATION, satisfied=True))[0] == 200
    status, refused = await answer(world, check["check"], PROBATION, satisfied=False)
    assert (status, refused["type"].rpartition("/")[2]) == (409, "check-answered")
    assert (await types(world, "k1")).count("check.answered") == 1
    assert (await world.get("/v1/checks", PROBATION)).json()["checks"] == []
    before, after = (await world.get("/v1/cases/k1", HUB, "hub", "cases.read")).json()["decisions"]
    assert any(sentence.startswith("Check: admission") for sentence in before["why"])
    assert not any(
        sentence.startswith("Check: admission") for sentence in after["why"]
    )  # policy knows it now


async def test_an_answer_in_time_is_neither_reminded_of_nor_overdue(world: World) -> None:
    check = await asked(world, "k2")
    assert (await answer(world, check["check"], PROBATION, satisfied=False))[0] == 200
    await shift(world, 40 * 86400)

    async def missed() -> bool:
        return "clock.missed" in await types(world, "k2")

    await until(missed, seconds=40)
    assert not {"check.reminded", "check.overdue"} & set(await types(world, "k2"))
    # A no about what was admitted holds the harmed person's approach: there is nothing to meet about.
    seen = (await world.get("/v1/cases/k2", HUB, "hub", "cases.read")).json()
    assert "nothing_admitted" in seen["pauses"]
