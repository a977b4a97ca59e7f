"""Why records are one person: what the machine decided is kept and told, without a value of any record; and parted again."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx

from services.intake import matching
from services.intake.core import Intake
from services.intake.store import following
from tests.integration.intake.helpers import Headers, by_two, harmed, kind, posted
from tests.integration.intake.test_reviews import CARE, HUB, POLICE, Doubt, doubtful, reviewer, sender
from tests.support.referrals import offender, party, referral

MODEL = matching.load().version
VALUES = ("Mary", "Wells", "1971", "Mill Lane", "SG1", "900123", "example.org", "Dole", "163001B")


async def asked_for(
    client: httpx.AsyncClient, state: str = "waiting", **query: Any
) -> list[tuple[str, str, str, str]]:
    """What takes two people: (what, of whom, who asked, how it stands)."""
    query = {"state": state, **query}
    found: list[tuple[str, str, str, str]] = []
    while True:
        answer = await client.get("/v1/second-person", params=query, headers=reviewer("ben"))
        assert answer.status_code == 200, answer.text
        body = answer.json()
        found += [(one["what"], one["person"], one["worker"], one["state"]) for one in body["requests"]]
        if not body["next"]:
            return found
        query["cursor"] = body["next"]


async def say_no(client: httpx.AsyncClient, worker: str, **query: Any) -> httpx.Response:
    """Refuse what waits for a second person, or take it back."""
    return await client.delete("/v1/second-person", params=query, headers=reviewer(worker))


class Pair:
    """Mary Wells, referred by two agencies so that the machine joins her."""

    def __init__(self, intake: Intake, client: httpx.AsyncClient) -> None:
        self.intake, self.client = intake, client
        self.first = self.second = self.person = ""

    async def post(self) -> Pair:
        """Refer her twice."""
        self.first = await posted(self.intake, self.client, sender(POLICE), referral())
        self.second = await posted(self.intake, self.client, sender(CARE), referral("V-1", parties=[party()]))
        self.person, _ = await harmed(self.intake, self.first)
        assert (await harmed(self.intake, self.second))[0] == self.person
        return self

    async def joins(self, person: str = "", by: Headers | None = None, **query: Any) -> dict[str, Any]:
        """Why her records are one person's."""
        path = f"/v1/people/{person or self.person}/joins"
        answer = await self.client.get(path, params=query, headers=by or reviewer("anna"))
        assert answer.status_code == 200, answer.text
        assert not [value for value in VALUES if value in answer.text]
        return dict(answer.json())

    async def part(self, worker: str, number: str = "1", **fields: Any) -> httpx.Response:
        """Ask that the second record be parted, or confirm it."""
        body = {"referral": self.second, "position": 0, **fields}
        headers = {**reviewer(worker), "Idempotency-Key": f'"{number}"'}
        return await self.client.post(f"/v1/people/{self.person}/splits", json=body, headers=headers)


async def test_what_the_machine_joined_is_explained_without_a_value(
    intake: Intake, client: httpx.AsyncClient
) -> None:
    pair = await Pair(intake, client).post()
    found = await pair.joins()
    new, joined = found["joins"]
    assert (new["answer"], new["model"], new["evidence"], new["agency"]) == ("new", MODEL, [], POLICE)
    assert new["sentence"].startswith("Nobody known")
    assert (joined["answer"], joined["model"], joined["agency"]) == ("joined", MODEL, CARE)
    assert joined["sentence"].startswith("One human: the evidence is strong and nobody else is as close.")
    table = {line["field"]: line for line in joined["evidence"]}
    assert (table["telephone"]["level"], table["surname"]["level"]) == ("same", "same")
    assert "identifier" not in table, "what neither says is no evidence"
    assert joined["score"] >= matching.load().join_at
    assert joined["like"] == {"referral": pair.first, "agency": POLICE, "of_this_person": True}
    assert found["links"] == []
    read = "SELECT worker FROM read_log WHERE what = 'person.joins' AND person = $1"
    assert await intake.pool.fetchval(read, pair.person) == "anna"


async def test_of_somebody_new_no_more_is_kept_than_by_which_weights(
    intake: Intake, client: httpx.AsyncClient
) -> None:
    pair = await Pair(intake, client).post()
    kept = await intake.pool.fetch("SELECT decided FROM party WHERE person <> $1", pair.person)
    assert [json.loads(row["decided"]) for row in kept] == [{"model": MODEL}]
    every = await intake.pool.fetch("SELECT decided FROM party")
    assert not [value for value in VALUES for row in every if value in row["decided"]]


async def test_a_record_is_joined_with_the_one_that_its_table_is_about(
    intake: Intake, client: httpx.AsyncClient
) -> None:
    """Of two records of hers the second referral's has the telephone; a third has nothing else in common with her name."""
    pair = await Pair(intake, client).post()
    moved = party(
        addresses=[{"lines": ["9 Dock Street"], "postcode": "NE1 4XX"}],
        emails=[],
        phones=[{"number": "07700 900456"}],
    )
    second = await posted(
        intake, client, sender(CARE), referral("V-2", parties=[{**moved, "emails": party()["emails"]}])
    )
    third = await posted(intake, client, sender(POLICE), referral("R-3", parties=[moved]))
    assert (await harmed(intake, third))[0] == pair.person
    *_, last = (await pair.joins())["joins"]
    assert (last["referral"], last["like"]["referral"]) == (third, second)


async def test_who_shares_nothing_with_the_agencies_sees_levels_and_no_agency(
    intake: Intake, client: httpx.AsyncClient
) -> None:
    pair = await Pair(intake, client).post()
    for stranger in (reviewer("sue", "sussex-hub-east"), reviewer("olive", "operator", "operator")):
        found = await pair.joins(by=stranger)
        assert [one["agency"] for one in found["joins"]] == [None, None]
        assert found["joins"][1]["like"]["agency"] is None
        assert found["joins"][1]["evidence"]


async def test_unknown_erased_and_somebody_without_the_scope(
    intake: Intake, client: httpx.AsyncClient
) -> None:
    pair = await Pair(intake, client).post()
    path = f"/v1/people/{pair.person}/joins"
    assert (await client.get(path, headers=sender(POLICE))).status_code == 403
    assert (await pair.part("anna")).status_code == 202
    answer = await by_two(client, "POST", f"/v1/people/{pair.person}/erasure", json={"reason": "asked"})
    assert answer.json()["state"] == "erased"
    assert await asked_for(client) == [], "nothing of them can be parted any more"
    assert await asked_for(client, "ended") == [("erasure", pair.person, "h1", "done")]
    gone = await client.get(path, headers=reviewer("anna"))
    unknown = await client.get("/v1/people/nobody/joins", headers=reviewer("anna"))
    assert (gone.status_code, unknown.status_code) == (404, 404)
    told = [{k: v for k, v in one.json().items() if k != "instance"} for one in (gone, unknown)]
    assert told[0] == told[1]
    kept = "SELECT count(decided) FROM party WHERE person = $1"
    assert await intake.pool.fetchval(kept, pair.person) == 0
    assert await intake.pool.fetchval("SELECT count(*) FROM second_person WHERE done_at IS NULL") == 0


async def test_nobody_is_asked_about_somebody_who_is_erased(
    intake: Intake, client: httpx.AsyncClient
) -> None:
    """The doubt stood in the queue for ever, and "same" made a living person somebody erased."""
    doubt = await Doubt(client).post(intake)
    intake.own.second_reviews = 1.0
    await doubt.act("anna", "decision", answer="different")
    again = await posted(intake, client, sender(CARE), referral("V-2", parties=[doubtful()]))
    newest, _ = await harmed(intake, again)
    for person in (newest, doubt.newer):
        answer = await by_two(client, "POST", f"/v1/people/{person}/erasure", json={"reason": "asked"})
        assert answer.json()["state"] == "erased"
    for state in ("open", "second"):
        assert await doubt.page("ben", state=state) == []
    assert {one["answer"] for one in await doubt.page("anna", state="decided")} == {"superseded", "different"}
    refused = await doubt.act("anna", "undo")
    assert (refused.status_code, kind(refused)) == (409, "erased")


async def test_pages_of_records_leave_none_out(intake: Intake, client: httpx.AsyncClient) -> None:
    pair = await Pair(intake, client).post()
    await posted(intake, client, sender(CARE), referral("V-2", parties=[party()]))
    whole = [one["record"] for one in (await pair.joins())["joins"]]
    paged, cursor = [], ""
    while True:
        found = await pair.joins(limit=1, cursor=cursor)
        paged += [one["record"] for one in found["joins"]]
        cursor = found["next"]
        if not cursor:
            break
    assert (len(whole), paged) == (3, whole)
    wrong = await client.get(f"/v1/people/{pair.person}/joins?cursor=xx", headers=reviewer("anna"))
    assert wrong.status_code == 422


async def test_what_was_decided_before_it_was_recorded_says_so(
    intake: Intake, client: httpx.AsyncClient
) -> None:
    pair = await Pair(intake, client).post()
    await intake.pool.execute("UPDATE party SET decided = NULL")
    joined = (await pair.joins())["joins"][1]
    assert (joined["answer"], joined["model"], joined["evidence"]) == (None, None, [])
    assert joined["sentence"] == "Decided before this was recorded."


async def test_a_later_version_leaves_the_reason_of_the_first(
    intake: Intake, client: httpx.AsyncClient
) -> None:
    pair = await Pair(intake, client).post()
    again = referral("V-1", version=2, parties=[party()], notes="She rang.")
    await posted(intake, client, sender(CARE), again)
    joined = (await pair.joins())["joins"][1]
    assert (joined["answer"], joined["version"], joined["referral"]) == ("joined", 1, pair.second)
    kept = "SELECT decided ->> 'answer' FROM party WHERE referral = $1 AND version = 2"
    assert await intake.pool.fetchval(kept, pair.second) == "kept"


async def test_a_join_is_undone_by_two_people_and_says_by_whom(
    intake: Intake, client: httpx.AsyncClient
) -> None:
    pair = await Pair(intake, client).post()
    third = await posted(intake, client, sender(POLICE), referral("R-3", parties=[party(emails=[])]))
    assert (await pair.part("anna", reason="relatives")).status_code == 202
    for number in ("1", "2"):
        alone = await pair.part("anna", number, reason="relatives")
        assert alone.status_code == 202, "nobody confirms what they asked for"
    asked = (await pair.joins())["joins"][1]["asked"]
    assert (asked["worker"], asked["reason"]) == ("anna", "relatives")
    assert await asked_for(client) == [("split", pair.person, "anna", "waiting")]
    done = await pair.part("ben")
    assert done.status_code == 201, done.text
    new = done.json()["person"]
    assert (await harmed(intake, pair.second))[0] == new
    [parted] = (await pair.joins(new))["joins"]
    by = {name: parted["parting"][name] for name in ("person", "reason", "worker", "confirmed_by")}
    assert by == {"person": pair.person, "reason": "relatives", "worker": "anna", "confirmed_by": "ben"}
    assert (parted["answer"], parted["evidence"], parted["asked"]) == ("parted", [], None)
    left = (await pair.joins())["joins"]
    assert [one["referral"] for one in left] == [pair.first, third]
    assert await asked_for(client) == []
    assert await asked_for(client, "ended") == [("split", pair.person, "anna", "done")]
    assert (await pair.part("cleo")).status_code == 404


async def test_a_join_undone_keeps_nobody_from_their_own_case_and_says_what_it_goes_on_as(
    intake: Intake, client: httpx.AsyncClient
) -> None:
    """Both referrals were of one case. What its people have said of it holds in the one that came out of it."""
    pair = Pair(intake, client)
    pair.first = await posted(intake, client, sender(POLICE), referral())
    pair.second = await posted(intake, client, sender(CARE), referral("V-1", parties=[party(), offender()]))
    pair.person, case = await harmed(intake, pair.first)
    assert await harmed(intake, pair.second) == (pair.person, case)
    await pair.part("anna")
    done = await pair.part("ben")
    assert done.status_code == 201, done.text
    new, parted = await harmed(intake, pair.second)
    held = (await client.get(f"/v1/people/{pair.person}", headers=reviewer("anna"))).json()["holds"]
    assert held == {}, "the first referral names her in it"
    rows = await intake.pool.fetch("SELECT key, data FROM journal WHERE type LIKE 'person.referred.v%'")
    told = [(row["key"], json.loads(row["data"])) for row in rows]
    goes_on = {key: said.get("continues") for key, said in told if said["case"] == parted}
    rob = next(key for key, said in told if said["role"] == "responsible")
    assert goes_on == {new: None, rob: case}


async def test_who_is_parted_from_somebody_who_said_no_is_looked_at_first(
    intake: Intake, client: httpx.AsyncClient
) -> None:
    """Which of the two was spoken with is nothing that a machine could know."""
    pair = await Pair(intake, client).post()
    async with intake.pool.acquire() as connection:
        await following.save_ledger(connection, [following.LedgerRow(pair.person, refused=True)])
    await pair.part("anna")
    done = await pair.part("ben")
    assert done.status_code == 201, done.text
    path = f"/v1/people/{done.json()['person']}"
    held = (await client.get(path, headers=reviewer("anna"))).json()["holds"]
    assert list(held.values()) == ["approached_before"]


async def test_what_was_joined_with_a_record_that_was_parted_says_that_it_is_somebody_elses(
    intake: Intake, client: httpx.AsyncClient
) -> None:
    pair = await Pair(intake, client).post()
    pair.second, first = pair.first, pair.second
    await pair.part("anna")
    assert (await pair.part("ben")).status_code == 201
    [joined] = (await pair.joins())["joins"]
    assert (joined["referral"], joined["like"]["of_this_person"]) == (first, False)


async def test_two_who_confirm_at_once_part_it_once(intake: Intake, client: httpx.AsyncClient) -> None:
    pair = await Pair(intake, client).post()
    await pair.part("anna")
    answers = await asyncio.gather(*(pair.part(worker) for worker in ("ben", "cleo")))
    assert sorted(answer.status_code for answer in answers) in ([201, 404], [201, 409])
    assert await intake.pool.fetchval("SELECT count(DISTINCT person) FROM party WHERE role = 'harmed'") == 2


async def test_what_was_asked_long_ago_is_asked_anew(intake: Intake, client: httpx.AsyncClient) -> None:
    pair = await Pair(intake, client).post()
    await pair.part("anna")
    await intake.pool.execute("UPDATE second_person SET at = at - interval '8 days'")
    assert (await pair.joins())["joins"][1]["asked"] is None
    assert await asked_for(client, "ended") == [("split", pair.person, "anna", "lapsed")]
    assert (await pair.part("ben")).status_code == 202
    record = (await pair.joins())["joins"][1]["record"]
    what = {"what": "split", "person": pair.person, "detail": record}
    refused = await say_no(client, "anna", **what)
    assert (refused.status_code, refused.json()["state"]) == (200, "refused")
    assert await asked_for(client) == []
    assert await asked_for(client, "ended") == [("split", pair.person, "ben", "refused")]
    assert (await say_no(client, "anna", **what)).status_code == 404
    assert (await pair.part("cleo")).status_code == 202, (
        "what was refused may be asked for again, from the beginning"
    )
    assert (await say_no(client, "cleo", **what)).json()["state"] == "taken_back"
    await pair.part("anna", "2")
    retracted = {**sender(CARE), "Idempotency-Key": '"r"'}
    await client.post(f"/v1/referrals/{pair.second}/retraction", headers=retracted)
    assert await asked_for(client) == [], "a record that was taken back cannot be parted"


async def test_a_record_of_a_referral_that_was_taken_back_cannot_be_parted(
    intake: Intake, client: httpx.AsyncClient
) -> None:
    pair = await Pair(intake, client).post()
    retracted = {**sender(CARE), "Idempotency-Key": '"r"'}
    await client.post(f"/v1/referrals/{pair.second}/retraction", headers=retracted)
    answer = await pair.part("anna")
    assert (answer.status_code, kind(answer)) == (404, "not-found")


async def test_a_doubt_names_its_review_and_a_link_the_reviewers_answer(
    intake: Intake, client: httpx.AsyncClient
) -> None:
    doubt = await Doubt(client).post(intake)
    pair = Pair(intake, client)
    [held] = (await pair.joins(doubt.newer))["joins"]
    assert (held["answer"], held["model"], held["review"]["review"]) == ("held", MODEL, doubt.review)
    assert held["sentence"].startswith("In doubt: a name and a date of birth alone never join")
    intake.own.second_reviews = 1.0
    await doubt.act("anna", "decision", answer="same")
    intake.own.second_reviews = 0.0
    blind = await pair.joins(doubt.newer, reviewer("ben"))
    assert (blind["links"], blind["joins"][0]["review"]["answer"]) == ([], None), (
        "a second reviewer is told nothing"
    )
    [link] = (await pair.joins(doubt.older))["links"]
    assert (link["person"], link["answer"], link["review"]["decided_by"]) == (doubt.newer, "decided", "anna")
    assert (link["model"], bool(link["evidence"]), link["reasons"]) == (MODEL, True, held["reasons"])
    await intake.pool.execute(
        """UPDATE match_review SET decided_by = '{"agency": "intake"}', second = false"""
    )
    [link] = (await pair.joins(doubt.older))["links"]
    assert (link["answer"], link["review"]["decided_by"]) == ("linked", None), "other weights are nobody"
    await doubt.act("anna", "undo")
    found = await pair.joins(doubt.newer)
    assert (found["links"], found["joins"][0]["review"]["answer"]) == ([], None)


async def test_a_later_version_that_links_says_why(intake: Intake, client: httpx.AsyncClient) -> None:
    doubt = await Doubt(client).post(intake)
    await posted(intake, client, sender(CARE), referral("V-1", version=2, parties=[party()]))
    for person, other in ((doubt.older, doubt.newer), (doubt.newer, doubt.older)):
        [link] = (await Pair(intake, client).joins(person))["links"]
        assert (link["person"], link["answer"], link["model"]) == (other, "linked", MODEL)
        assert link["sentence"].startswith("One human")


async def test_a_machines_link_is_undone_by_two_people_and_waits_where_both_are_shown(
    intake: Intake, client: httpx.AsyncClient
) -> None:
    doubt = await Doubt(client).post(intake)
    await posted(intake, client, sender(CARE), referral("V-1", version=2, parties=[party()]))
    pair = Pair(intake, client)

    async def unlink(worker: str, person: str, other: str) -> httpx.Response:
        version = {"If-Match": f'"{(await pair.joins(person))["version"]}"'}
        path = f"/v1/people/{person}/links/{other}"
        query = {"reason": "relatives"}
        return await client.delete(path, params=query, headers=reviewer(worker) | version)

    assert (await unlink("anna", doubt.newer, doubt.older)).status_code == 202
    erasure = {**reviewer("anna"), "Idempotency-Key": '"e"'}
    await client.post(f"/v1/people/{doubt.older}/erasure", json={"reason": "asked"}, headers=erasure)
    for person in (doubt.older, doubt.newer):
        waiting = (await pair.joins(person))["waiting"]
        assert [(one["what"], one["reason"], one["worker"]) for one in waiting] == [
            ("unlink", "relatives", "anna"),
            ("erasure", "asked", "anna"),
        ], "of one human, under whichever id"
    assert [what for what, *_ in await asked_for(client, limit=1)] == ["unlink", "erasure"]
    for worker, state in (("ben", "refused"), ("anna", "taken_back")):
        said = await say_no(client, worker, what="unlink", person=doubt.newer, detail=doubt.older)
        assert said.json()["state"] == state
        assert (await unlink("anna", doubt.older, doubt.newer)).status_code == 202
    done = await unlink("ben", doubt.newer, doubt.older)
    assert done.status_code == 200, done.text
    assert [(await pair.joins(one))["links"] for one in (doubt.older, doubt.newer)] == [[], []]
    assert [what for what, *_ in await asked_for(client)] == ["erasure"]


async def test_a_responsible_persons_records_are_explained_too(
    intake: Intake, client: httpx.AsyncClient
) -> None:
    for number, agency in enumerate((POLICE, CARE)):
        document = referral(f"O-{number}", parties=[doubtful(), offender()])
        await posted(intake, client, sender(agency), document)
    query = "SELECT person FROM party WHERE role = 'responsible' LIMIT 1"
    person = await intake.pool.fetchval(query)
    found = await Pair(intake, client).joins(person, reviewer("anna", HUB))
    assert [(one["role"], one["position"], one["answer"]) for one in found["joins"]] == [
        ("responsible", 1, "new"),
        ("responsible", 1, "joined"),
    ]
    levels = {line["field"]: line["level"] for line in found["joins"][1]["evidence"]}
    assert levels["identifier"] == "same"
