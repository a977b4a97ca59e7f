"""Steps: who leads and why, who pays, what is asked first, and what is told to whom."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from tests.e2e.steps import status
from tests.partnerships.play import EVERY, SECONDS, Play, listed, step
from tests.support.running import until


@step
async def leads(play: Play, said: Mapping[str, str | None]) -> None:
    """Each party's lead is told so in its feed, of its own party; null: nobody leads."""
    for key, agency in said.items():
        party, case = await play.party(key), play.case_of(key)
        if agency is None:
            assert party["agency"] is None, party
            continue
        await play.world.told(agency, "case.allocated", case.id, role=party["role"], party=party["party"])
        await play.when(partial(_is_led, party["party"], agency), f"{key} led by {agency}", case)
        play.leads[key] = agency


def _is_led(party: str, agency: str, seen: dict[str, Any]) -> bool:
    return any(one["party"] == party and one["agency"] == agency for one in seen["parties"])


@step
async def named_worker(play: Play, said: Mapping[str, str]) -> None:
    """Who of the lead agency is the person's one friend."""
    for key, worker in said.items():
        party = await play.party(key)
        assert party["worker"] == worker, party


@step
async def nobody_leads(play: Play, said: Any) -> None:
    """No agency has been told that it leads these parties."""
    for key in listed(said):
        party = await play.party(key)
        for agency in play.partners():
            told = await play.world.feed(agency, play.case_of(key).id)
            assert not [e for e in told if e["kind"] == "case.allocated" and e["party"] == party["party"]], (
                agency,
                told,
            )


@step
async def because(play: Play, said: Any) -> None:
    """The explanation has these sentences, or has them in a sentence."""
    words = listed(said)

    def explained(seen: dict[str, Any]) -> bool:
        why = "\n".join(sentence for decision in seen["decisions"] for sentence in decision["why"])
        return all(word in why for word in words)

    await play.when(explained, f"explained by {words}")


@step
async def held_by(play: Play, said: str | None) -> None:
    """One partnership holds the case."""
    await play.when(lambda seen: seen.get("partnership") == (said or ""), f"held by {said}")


@step
async def pays(play: Play, said: str) -> None:
    """Who pays is part of the decision."""
    await play.when(lambda seen: seen.get("funder") == said, f"paid by {said}")


@step
async def co_ordinates(play: Play, said: str) -> None:
    """Who co-ordinates."""
    await play.when(lambda seen: seen.get("co_ordinator") == said, f"co-ordinated by {said}")


@step
async def delivers(play: Play, said: Any) -> None:
    """Who delivers; of several, one of them."""
    await play.when(lambda seen: seen["delivery"]["agencies"][0] in listed(said), f"delivered by {said}")


@step
async def team(play: Play, said: Mapping[str, Any]) -> None:
    """How many facilitators, how trained (two and `core` where an event does not say)."""
    usual = {"facilitators": 2, "training": "core"}
    await play.when(
        lambda seen: all({**usual, **seen["delivery"]}[name] == value for name, value in said.items()),
        f"team {said}",
    )


@step
async def clocks(play: Play, said: Any) -> None:
    """These clocks run."""
    await play.when(lambda seen: set(listed(said)) <= set(seen["clocks"]), f"clocks {said}")


@step
async def asked(play: Play, said: Any) -> None:
    """These questions and no others are asked so far, as `research of sussex-police`; feeds tell each agency its own."""
    wanted = sorted(listed(said))
    last: list[str] = []

    async def so() -> bool:
        checks = [check for case in play.cases for check in await case.checks()] if await play.seen() else []
        last[:] = sorted(f"{check['kind']} of {check['of_agency']}" for check in checks)
        return last == wanted

    try:
        await until(so, seconds=SECONDS, every=EVERY)
    except AssertionError:
        raise AssertionError(f"asked {last}, not {wanted}") from None
    for case in play.cases:
        for check in await case.checks():
            await play.world.told(check["of_agency"], "check.requested", case.id, check=check["check_id"])


@step
async def due_within_days(play: Play, said: Mapping[str, int]) -> None:
    """Each question of a kind has to be answered in time: not at once, and not later than that."""
    today = datetime.now(ZoneInfo("Europe/London")).date()
    checks = [check for check in await play.cases[0].checks() if check["kind"] in said]
    assert checks, "nothing is asked"
    for check in checks:
        due = datetime.fromisoformat(check["due"]).date()
        assert today < due <= today + timedelta(days=said[check["kind"]]), check


@step
async def knows_no_question(play: Play, said: Any) -> None:
    """Who is not asked does not see what others are asked."""
    for check in await play.cases[0].checks():
        for agency in listed(said):
            answer = await play.onefriend.call("allocation", "GET", f"/v1/checks/{check['check_id']}", agency)
            assert answer.status_code == 404, answer.text


@step
async def answers(play: Play, said: Any) -> None:
    """Questions are answered, with yes unless told otherwise: `all`, kinds, or {kind: yes or no}."""
    wanted = said if isinstance(said, dict) else dict.fromkeys(listed(said), True)
    for kind, satisfied in wanted.items():
        found = [
            (case, check)
            for case in play.cases
            for check in await case.checks()
            if check["open"] and kind in ("all", check["kind"])
        ]
        assert found, f"nothing open of the kind {kind}"
        for case, check in found:
            await case.answer_check(check["of_agency"], check["check_id"], satisfied=satisfied)


@step
async def on_hold(play: Play, said: str) -> None:
    """Nobody is approached: the reason is known, and the referrer told if the reason lies in its referral."""

    def held(seen: dict[str, Any]) -> bool:
        return said in seen["pauses"] or said in [party["hold"] for party in seen["parties"]]

    if said == "agreement_to_share_missing":
        told = await play.world.told(play.by, "referral.held", play.cases[0].id, reason=said)
        assert told["data"]["missing"], told
        assert (await status(play.onefriend, play.by, play.referral))["status"] == "on_hold"
        return
    await play.when(held, f"on hold for {said}")


@step
async def goes_on(play: Play, said: str) -> None:
    """What held the case is over."""

    def free(seen: dict[str, Any]) -> bool:
        return said not in seen["pauses"] and said not in [party["hold"] for party in seen["parties"]]

    await play.when(free, f"free of {said}")


@step
async def stands(play: Play, said: str) -> None:
    """How the case stands: its status, or its status and reason as `closed: declined`."""
    wanted, _, reason = said.partition(": ")
    await play.when(lambda s: s["status"] == wanted and (not reason or s["reason"] == reason), f"{said}")


@step
async def told(play: Play, said: Mapping[str, Any]) -> None:
    """An agency finds an entry of this kind in its feed."""
    fields = {**said}
    await play.world.told(fields.pop("agency"), fields.pop("kind"), play.cases[0].id, **fields)


@step
async def hidden_from(play: Play, said: Any) -> None:
    """To these agencies the case does not exist."""
    for agency in listed(said):
        assert (await play.cases[0].read(agency)).status_code == 404
        for key in ("harmed", "both"):
            if key in play.leads:
                answer = await play.cases[0].ask(agency, (await play.party(key))["party"])
                assert answer.status_code == 404, answer.text
        assert await play.world.feed(agency, play.cases[0].id) == []
