"""Other weights: what would change is shown first; then it is so, can be interrupted, and keeps what people decided."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.intake import matching
from services.intake.core import Intake
from services.intake.matching import Model, model
from services.intake.rescoring import changes, counted, read
from services.intake.reweighing import make_keys, read_weights, run
from services.intake.service import build
from tests.integration.intake.helpers import Headers, harmed, posted
from tests.support.referrals import party, referral
from tests.support.tokens import bearer

SHIPPED = Path(model.__file__).parent / "data" / "weights.json"
Weights = Callable[..., Path]


def hub() -> dict[str, str]:
    # A token lasts five minutes, a run of all tests longer.
    return bearer("herts-rj-coordinator", "hub", worker="anna")


@pytest.fixture
def weights(tmp_path: Path) -> Iterator[Weights]:
    """Write weights that differ from the shipped ones in their thresholds; puts the shipped ones back afterwards."""

    def write(name: str, **thresholds: float) -> Path:
        raw = json.loads(SHIPPED.read_text())
        changed = {**raw, "version": name, "thresholds": {**raw["thresholds"], **thresholds}}
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(changed))
        return path

    yield write
    model._CHOSEN.clear()


def quiet(_what: str, _done: int, _of: int) -> None:
    pass


async def step(intake: Intake, name: str, weights: Model) -> dict[str, Any]:
    """Run one step as its own process would: a service beside the running one, on the same database."""
    beside = build(intake.own.model_copy(update={"port": 0}))
    return await run(beside, name, weights)


async def look(intake: Intake, weights: Model) -> dict[str, int]:
    """What would change."""
    found = counted(list(changes(await read(intake, quiet), weights, quiet)))
    return {str(kind): count for kind, count in found.items()}


async def twice(
    intake: Intake, client: httpx.AsyncClient, police: Headers, care: Headers, **second: Any
) -> tuple[str, str]:
    """Refer one human, known by a telephone and a name, and again with what is given; returns both ids."""
    known: dict[str, Any] = {
        "addresses": [],
        "emails": [],
        "identifiers": {},
        "date_of_birth": None,
        "sex": None,
    }
    number, name = [{"number": "07700 900555"}], {"forenames": "Mary Ann", "surname": "Wells"}
    first = referral(parties=[party(**{**known, "name": name, "phones": number})])
    again = referral("V-1", parties=[party(**{**known, "name": name, "phones": number, **second})])
    one, _ = await harmed(intake, await posted(intake, client, police, first))
    other, _ = await harmed(intake, await posted(intake, client, care, again))
    return one, other


async def test_what_would_change_is_counted_and_nothing_changes(
    intake: Intake, client: httpx.AsyncClient, police: Headers, care: Headers, weights: Weights
) -> None:
    one, other = await twice(intake, client, police, care, emails=[{"address": "mary@example.org"}])
    assert one == other, "a name and a telephone join by the shipped weights"
    strict = read_weights(weights("strict", join=60.0, hold=50.0))
    before = await intake.pool.fetchval("SELECT count(*) FROM journal")
    result = await step(intake, "dry-run", strict)
    assert result["changes"] == {
        "joined": 0, "in_doubt": 0, "cleared_same": 0, "cleared_different": 0, "parted": 1
    }  # fmt: skip
    assert [change["person"] for change in result["who"]] == [one]
    assert "Wells" not in json.dumps(result)
    assert await intake.pool.fetchval("SELECT count(*) FROM journal") == before
    assert await look(intake, read_weights(SHIPPED)) == dict.fromkeys(result["changes"], 0)


async def test_two_people_become_one_by_better_weights_and_it_can_be_undone(
    intake: Intake, client: httpx.AsyncClient, police: Headers, care: Headers, weights: Weights
) -> None:
    matching.use(read_weights(weights("strict", join=60.0, hold=50.0)))
    one, other = await twice(intake, client, police, care)
    assert one != other
    assert not (await client.get(f"/v1/people/{other}", headers=hub())).json()["on_hold"]
    shipped = read_weights(SHIPPED)
    assert (await look(intake, shipped))["joined"] == 1
    result = await step(intake, "apply", shipped)
    assert result["applied"] == {"joined": 1}
    assert (await client.get(f"/v1/people/{one}", headers=hub())).json()["links"] == [other]
    assert sum((await look(intake, shipped)).values()) == 0, "what has been applied is no change any more"
    [review] = (await client.get("/v1/match-reviews?state=decided", headers=hub())).json()["reviews"]
    assert (review["answer"], review["model"]) == ("same", shipped.version)
    undone = await client.post(
        f"/v1/match-reviews/{review['id']}/undo", headers={**hub(), "If-Match": f'"{review["version"]}"'}
    )
    assert undone.status_code == 200, undone.text
    assert (await client.get(f"/v1/people/{other}", headers=hub())).json()["on_hold"]
    assert (await look(intake, shipped))["cleared_same"] == 1, (
        "undone, it waits for a person; the weights still think so"
    )


async def test_a_doubt_that_the_weights_see_holds_the_newer_record_and_one_that_they_do_not_lets_it_go(
    intake: Intake, client: httpx.AsyncClient, police: Headers, care: Headers, weights: Weights
) -> None:
    matching.use(read_weights(weights("strict", join=60.0, hold=50.0)))
    one, other = await twice(intake, client, police, care)
    careful = read_weights(weights("careful", join=60.0, hold=1.0))
    assert (await step(intake, "apply", careful))["applied"] == {"in_doubt": 1}
    held = {p: (await client.get(f"/v1/people/{p}", headers=hub())).json()["holds"] for p in (one, other)}
    assert (list(held[one].values()), list(held[other].values())) == ([], ["identity_doubtful"])
    [review] = (await client.get("/v1/match-reviews", headers=hub())).json()["reviews"]
    assert (review["person"], review["candidates"], review["model"]) == (other, [one], "careful")
    strict = read_weights(weights("strict", join=60.0, hold=50.0))
    assert (await step(intake, "apply", strict))["applied"] == {"cleared_different": 1}
    assert not (await client.get(f"/v1/people/{other}", headers=hub())).json()["on_hold"]
    assert (await client.get("/v1/match-reviews", headers=hub())).json()["reviews"] == []


async def test_whom_a_person_told_apart_no_weights_join(
    intake: Intake, client: httpx.AsyncClient, police: Headers, care: Headers, weights: Weights
) -> None:
    matching.use(read_weights(weights("careful", join=60.0, hold=1.0)))
    await twice(intake, client, police, care)
    [review] = (await client.get("/v1/match-reviews", headers=hub())).json()["reviews"]
    body = {"answer": "different", "reason": "relatives"}
    path = f"/v1/match-reviews/{review['id']}/decision"
    await client.post(path, json=body, headers={**hub(), "If-Match": '"1"'})
    assert sum((await look(intake, read_weights(SHIPPED))).values()) == 0


async def test_keys_are_made_once_and_go_on_where_they_stopped(
    intake: Intake,
    client: httpx.AsyncClient,
    police: Headers,
    care: Headers,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    intake.settings.state_folder = tmp_path
    await twice(intake, client, police, care, emails=[{"address": "mary@example.org"}])
    keys = "SELECT array_agg(tag ORDER BY tag) FROM blocking_key"
    known = await intake.pool.fetchval(keys)
    shipped = read_weights(SHIPPED)
    await intake.pool.execute("DELETE FROM blocking_key")
    monkeypatch.setattr("services.intake.reweighing._BATCH", 1)
    calls = 0

    async def dies(*args: Any, **more: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise ConnectionError
        return await intake.transact(*args, **more)

    dying = copy.copy(intake)
    dying.transact = dies  # type: ignore[method-assign]
    with pytest.raises(ConnectionError):
        await make_keys(dying, shipped)
    await make_keys(intake, shipped)
    assert set(known) <= set(await intake.pool.fetchval(keys))
    assert await make_keys(intake, shipped) == 0
    # Records stored by code that made fewer keys get them: the same weights, and yet the store is gone through once more.
    await intake.pool.execute("DELETE FROM blocking_key")
    assert await make_keys(intake, shipped) == 0
    monkeypatch.setattr(matching, "EDITION", matching.EDITION + 1)
    assert await make_keys(intake, shipped) > 0
    assert set(known) <= set(await intake.pool.fetchval(keys))


def test_a_file_that_holds_no_weights_is_refused_with_what_it_lacks(tmp_path: Path) -> None:
    for content in ("{}", "no json", '{"version": "1", "bits": {}, "thresholds": {}}'):
        path = tmp_path / "weights.json"
        path.write_text(content)
        with pytest.raises(
            SystemExit, match=r"holds no weights: .* `make train-identity` writes such a file"
        ):
            read_weights(path)
    with pytest.raises(SystemExit, match="cannot be read"):
        read_weights(tmp_path / "none.json")
