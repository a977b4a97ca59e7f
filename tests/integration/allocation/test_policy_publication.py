"""A policy is changed by two people, and live cases keep the version that they began with."""

from __future__ import annotations

from typing import Any

from services.allocation.store.policies import Policies
from shared.runtime.identifiers import new_id
from tests.integration.allocation.conftest import World
from tests.support.running import until
from tests.support.tokens import bearer

ID = "hertfordshire"
HUB = "herts-rj-coordinator"


def changed_text() -> str:
    text = Policies.of_process().files["hertfordshire.yaml"]
    assert 'version: "1"' in text
    return text.replace('version: "1"', 'version: "2"').replace(
        "lead_harmed:\n",
        "lead_harmed:\n"
        "  - {rule: constabulary-first, when: {stage: [community_resolution]}, agency: hertfordshire-constabulary,\n"
        "     because: on trial for a month}\n",
        1,
    )


async def post(
    world: World, path: str, agency: str, worker: str | None, json: object = None
) -> tuple[int, dict[str, Any]]:
    headers = {
        **bearer(agency, "hub", "cases.read", "cases.write", worker=worker),
        "Idempotency-Key": f'"{new_id()}"',
    }
    answer = await world.http.post(path, headers=headers, json=json)
    return answer.status_code, answer.json()


async def test_a_policy_is_proposed_by_one_and_published_by_another_and_live_cases_keep_their_version(
    world: World,
) -> None:
    await world.allocate("old", stage="community_resolution")
    began = (await world.events("old"))[0][1]["policy_version"]
    drafts = f"/v1/policies/{ID}/drafts"
    text = {"text": changed_text()}

    assert (await post(world, drafts, HUB, None, text))[0] == 403
    assert (await post(world, drafts, "sussex-hub-of-elsewhere", "w1", text))[0] == 403
    status, same = await post(
        world, drafts, HUB, "w1", {"text": Policies.of_process().files["hertfordshire.yaml"]}
    )
    assert (status, same["errors"][0]["remedy"]) == (422, "Raise `version`.")
    status, wrong = await post(world, drafts, HUB, "w1", {"text": changed_text() + "\nqueue: 3\n"})
    assert (status, wrong["type"].rpartition("/")[2]) == (422, "policy")

    status, made = await post(world, drafts, HUB, "w1", text)
    assert (status, made["rules"], made["base"]) == (201, 1, began)
    status, other = await post(world, drafts, HUB, "w3", text)
    assert status == 201
    publication = f"{drafts}/{made['draft']}/publication"
    status, refused = await post(world, publication, HUB, "w1")
    assert (status, refused["type"].rpartition("/")[2]) == (409, "second-person")
    seen = await world.get(f"{drafts}/{made['draft']}", HUB, "hub")
    assert [(rule["what"], rule["rule"]) for rule in seen.json()["rules"]] == [
        ("added", "constabulary-first")
    ]

    # Nothing has changed yet.
    in_force = (await world.get(f"/v1/policies/{ID}", HUB, "hub")).json()
    assert in_force["reference"] == began
    status, done = await post(world, publication, HUB, "w2")
    assert (status, done["reference"]) == (200, made["reference"])
    assert (await post(world, publication, HUB, "w2"))[1]["type"].endswith("/published")
    # The other draft was written against what is no longer in force.
    status, stale = await post(world, f"{drafts}/{other['draft']}/publication", HUB, "w2")
    assert (status, stale["type"].rpartition("/")[2]) == (409, "base-changed")

    await world.allocate("new", stage="community_resolution")
    (first, *_) = await world.events("new")
    assert (first[1]["policy_version"], first[1]["rule"]) == (made["reference"], "constabulary-first")
    await world.refer("old", version=2, stage="community_resolution")

    async def heard() -> bool:
        found = (await world.get("/v1/cases/old", HUB, "hub", "cases.read")).json()
        return bool(found["referrals"][0]["version"] == 2)

    await until(heard, seconds=20)
    kept = (await world.get("/v1/cases/old", HUB, "hub", "cases.read")).json()
    assert kept["policy_version"] == began
    moved = await world.change("old", "policy", HUB, None, "hub")
    assert moved.json()["policy_version"] == made["reference"]
    decisions = (await world.get("/v1/cases/old", HUB, "hub", "cases.read")).json()["decisions"]
    assert [each["policy_version"] for each in decisions] == [began, made["reference"]]
