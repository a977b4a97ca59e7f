"""Steps: what changes about a case while it goes on, and what comes of it in the end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.e2e.steps import refer
from tests.partnerships.play import EVERY, SECONDS, Play, listed, step
from tests.partnerships.scenario import policy
from tests.partnerships.selfreferred import asks, referral_of
from tests.support.running import until

WORKER = ("agency", "team", "active", "named", "deputy", "capacity", "details")


def merged(given: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the referral as it is now told: maps are merged, all else is replaced."""
    found = dict(given)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(found.get(key), dict)
        found[key] = merged(found[key], value) if both else value
    return found


@step
async def the_referrer_adds(play: Play, said: Mapping[str, Any]) -> None:
    """The same referral in a later version, with these facts changed."""
    play.given = merged(play.given, said)
    version = play.document["version"] + 1
    play.document = {**play.cast.referral(play.given), "version": version}
    answer = await play.onefriend.post_referral(play.by, play.document)
    assert answer["referral"] == play.referral, answer


@step
async def is_referred_again(play: Play, said: Mapping[str, Any]) -> None:
    """Another agency refers the same people about the same incident: it joins the case, and nothing begins anew."""
    given = merged(play.given, {k: v for k, v in said.items() if k not in ("by", "cases")})
    document = {
        **play.cast.referral(given),
        "reference": f"AGAIN-{play.scenario.number}-{next(play.numbers)}",
    }
    found = await refer(play.onefriend, said["by"], document, cases=len(play.cases))
    assert sorted(case.id for case in found) == [case.id for case in play.cases]


@step
async def asks_for_themselves_too(play: Play, said: str) -> None:
    """Who has a case already is answered to the letter like somebody who is not known: nothing tells that there is one."""
    incident = play.document["incident"]
    known = await asks(play.onefriend, play.cast.parties[said], incident)
    stranger = await asks(play.onefriend, play.cast.human(), incident)
    assert known.text == stranger.text
    await referral_of(play.onefriend, known.number)


@step
async def a_double_is_referred(play: Play, said: Mapping[str, Any]) -> None:
    """Somebody of one name and birth date, with nothing else in common, is referred: that record is held."""
    one = play.cast.parties[said["of"]]
    double = {
        **play.cast.human(),
        "role": "harmed",
        "name": one["name"],
        "date_of_birth": one["date_of_birth"],
    }
    document = {**play.document, "version": 1, "parties": [double, *play.document["parties"][1:]]}
    document["reference"] = f"DOUBLE-{play.scenario.number}"
    document["incident"] = {
        **document["incident"],
        "on": "2025-06-03",
        "reference": f"{play.scenario.number}/25",
    }
    (case,) = await refer(play.onefriend, said["by"], document)
    assert case.id not in [known.id for known in play.cases]
    seen = await play.when(lambda seen: bool(seen.get("parties")), "known", case)
    person = next(party["party"] for party in seen["parties"] if party["role"] == "harmed")
    assert person != (await play.party(said["of"]))["party"]

    async def held() -> bool:
        path = f"/v1/people/{person}"
        answer = await play.onefriend.call("intake", "GET", path, "onefriend", "hub", "people.write")
        return "identity_doubtful" in answer.json()["holds"].values()

    await until(held, seconds=SECONDS, every=EVERY)


@step
async def comes_of_it(play: Play, said: Mapping[str, Any]) -> None:
    """What came of the case, recorded by an agency that leads in it; `fulfilled` may come later, in another step."""
    body = {name: value for name, value in said.items() if name not in ("by", "told")}
    path = f"/v1/cases/{play.cases[0].id}/outcomes"
    answer = await play.onefriend.post("allocation", path, said["by"], {"agreement": False, **body})
    assert answer.status_code == 201, answer.text
    for agency in listed(said.get("told", [])):
        await play.world.told(agency, "outcome.recorded", play.cases[0].id, form=body["form"])


@step
async def is_closed(play: Play, said: Mapping[str, Any]) -> None:
    """An agency closes the case, or is refused while a question is open."""
    answer = await play.cases[0].change(
        "POST", "closure", said["by"], {"reason": said.get("reason", "finished")}
    )
    assert answer.status_code == said.get("answer", 200), answer.text


@step
async def is_decided(play: Play, said: Mapping[str, Any]) -> None:
    """The hub (or the arbiter) decides what a case waits for."""
    body = {name: value for name, value in said.items() if name not in ("by", "party", "answer")}
    if "party" in said:
        body["party"] = (await play.party(said["party"]))["party"]
    answer = await play.cases[0].change(
        "POST", "decision", said["by"], body, "cases.read", "cases.write", "hub"
    )
    assert answer.status_code == said.get("answer", 200), answer.text


@step
async def is_transferred(play: Play, said: Mapping[str, Any]) -> None:
    """Another partnership takes the case over with its history; the answer says whose lead stays, and why."""
    scopes = ("cases.read", "cases.write", "hub")
    body = {"partnership": said["to"], "reason": said.get("reason", "moved")}
    answer = await play.cases[0].change("POST", "transfer", said["by"], body, *scopes)
    assert answer.status_code == 200, answer.text
    moved = {one["party"]: one for one in answer.json()["leads"]}
    for key, why_not in said.get("stays", {}).items():
        party = (await play.party(key))["party"]
        assert moved[party]["why_not"] == why_not, moved
    await play.when(lambda seen: seen.get("partnership") == said["to"], f"transferred to {said['to']}")


@step
async def registers(play: Play, said: Mapping[str, Any]) -> None:
    """Agencies and their workers: {agency: {worker: details}}. An agency that is known already stays as it is."""
    kinds = {name: partner["kind"] for name, partner in policy(play.scenario.partnership)["agencies"].items()}
    for agency, workers in said.items():
        body = {"kind": kinds.get(agency, "provider"), "name": agency}
        answer = await _operator(play, f"/v1/agencies/{agency}", body)
        assert answer.status_code in {200, 201, 428}, answer.text
        for worker, details in workers.items():
            known = {k: details[k] for k in ("capacity", "named", "team") if k in details}
            rest = {k: v for k, v in details.items() if k not in known}
            answer = await _operator(
                play, f"/v1/workers/{worker}", {"agency": agency, **known, "details": rest}
            )
            assert answer.status_code in {200, 428}, answer.text


async def _operator(play: Play, path: str, body: object) -> Any:
    return await play.onefriend.call("allocation", "PUT", path, "onefriend", "operator", json=body)


@step
async def joins_the_team(play: Play, said: Mapping[str, Any]) -> None:
    """Workers of several agencies deliver together: each agency sees the case, none gets a permit by it."""
    answer = await play.cases[0].change("PUT", "team", said["by"], {"members": listed(said["members"])})
    assert answer.status_code == 200, answer.text
    for agency in listed(said.get("seen_by", [])):
        seen = await play.cases[0].read(agency)
        assert (seen.status_code, seen.json().get("relations")) == (200, ["team"]), seen.text


@step
async def more_like_it(play: Play, said: Mapping[str, Any]) -> None:
    """As many more referrals of the same kind, of other people, one after another: at least so many agencies deliver."""
    delivering = [(await play.seen())["delivery"]["agencies"][0]]
    for _ in range(said["cases"]):
        play.cast.parties.clear()
        document = {
            **play.cast.referral(play.given),
            "reference": f"MORE-{play.scenario.number}-{next(play.numbers)}",
        }
        (case,) = await refer(play.onefriend, play.by, document)
        seen = await play.when(lambda seen: bool(seen.get("delivery")), "allocated", case)
        await play.when(lambda seen: seen["status"] not in {"received", "proposed"}, "settled", case)
        delivering.append(seen["delivery"]["agencies"][0])
    assert len(set(delivering)) >= said["deliverers"], delivering


@step
async def as_many_lead(play: Play, said: Mapping[str, int]) -> None:
    """Of the harmed people of the referral so many are led by the agency; all others wait in its queue, each in its turn."""
    ((agency, count),) = said.items()

    async def so() -> bool:
        cases = [await play.seen(case) for case in play.cases]
        led = [
            p
            for seen in cases
            for p in seen.get("parties", [])
            if p["role"] == "harmed" and p["agency"] == agency
        ]
        waiting = [seen for seen in cases if seen.get("status") == "queued"]
        return len([p for p in led if p["place"] == "led"]) == count and len(waiting) == len(cases) - count

    await until(so, seconds=SECONDS, every=EVERY)


@step
async def has_hours(play: Play, said: Mapping[str, int]) -> None:
    """A worker who is known gets more hours."""
    for worker, capacity in said.items():
        seen = await play.onefriend.call(
            "allocation", "GET", f"/v1/workers/{worker}", "onefriend", "operator"
        )
        body = {**{k: v for k, v in seen.json().items() if k in WORKER}, "capacity": capacity}
        headers = {"If-Match": seen.headers["etag"]}
        path = f"/v1/workers/{worker}"
        answer = await play.onefriend.call(
            "allocation", "PUT", path, "onefriend", "operator", headers=headers, json=body
        )
        assert answer.status_code == 200, answer.text


@step
async def weeks_later(play: Play, said: int) -> None:
    """It is ten on a Tuesday so many weeks later, everywhere."""
    await play.onefriend.at_ten_on_a_tuesday(said)


@step
async def is_succeeded(play: Play, said: Mapping[str, Any]) -> None:
    """An agency ends, and another takes its place."""
    for agency in (said["agency"], said["by"]):
        await registers(play, {agency: {}})
    path = f"/v1/agencies/{said['agency']}/succession"
    answer = await play.onefriend.post("allocation", path, "onefriend", {"successor": said["by"]}, "operator")
    assert answer.status_code == 201, answer.text

    async def heard() -> bool:
        body = {"case": play.cases[0].id, "party": (await play.party(said["of"]))["party"]}
        answer = await play.onefriend.call("consent", "POST", "/v1/contact-checks", said["by"], json=body)
        return answer.status_code == 200

    await until(heard, seconds=SECONDS, every=EVERY)
    play.leads = {
        key: said["by"] if agency == said["agency"] else agency for key, agency in play.leads.items()
    }


@step
async def comes_of_age(play: Play, said: str) -> None:
    """Who was asked through a parent (there was a permit for that) is spoken to themselves, by the same lead."""
    lead, before = play.leads[said], play.permits[said]

    def grown(seen: Mapping[str, Any]) -> bool:
        return any(
            (one["party"], one["person"], one["place"]) == (before["person"], before["person"], "led")
            and one["agency"] == lead
            for one in seen.get("parties", [])
        )

    await play.when(grown, f"{said} is spoken to themselves, led by {lead}", play.case_of(said))
    parent = {"contact_person": before["contact_person"], "channel": "phone"}
    await play.case_of(said).refused(lead, before["person"], "no-lead", "not-lead", **parent)
    del play.cast.parties[said]["contact_person"]
