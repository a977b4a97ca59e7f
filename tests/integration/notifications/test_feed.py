"""Each agency's feed, numbered by itself, from real events on the real broker."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from services.notifications import store
from services.notifications.domain import Notice
from shared.contracts import agencies, cases, consent, referrals
from shared.runtime.work import Work
from tests.integration.notifications.conftest import World, allocated
from tests.support.running import until
from tests.support.tokens import bearer

pytestmark = pytest.mark.asyncio(loop_scope="module")

LONG_POLL = 30  # seconds: longer than anything but waiting takes


async def test_each_lead_is_told_of_its_own_party_only_and_the_hub_of_the_case(world: World) -> None:
    await world.teller.tell("case-1", allocated(("mary", "beacon"), ("frank", "nps")))
    [lead] = await world.entries("beacon", 1)
    [other] = await world.entries("nps", 1)
    [hub] = await world.entries("hub", 1)
    assert (lead["number"], lead["kind"], lead["case"], lead["party"]) == (
        1,
        "case.allocated",
        "case-1",
        "mary",
    )
    assert other["party"] == "frank"
    assert "nps" not in str(lead)
    assert "mary" not in str(other)
    assert hub["party"] is None
    assert {p["agency"] for p in hub["data"]["parties"]} == {"beacon", "nps"}


async def test_numbers_have_no_gap_and_no_double_while_many_cases_arrive_at_once(world: World) -> None:
    names = [f"case-{n}" for n in range(300)]
    await asyncio.gather(
        *(
            world.teller.tell(name, allocated((f"p-{name}", "beacon"), (f"q-{name}", "nps"), case=name))
            for name in names
        )
    )
    entries = await world.entries("beacon", 300, limit=500)
    assert [entry["number"] for entry in entries] == list(range(1, 301))
    assert {entry["case"] for entry in entries} == set(names)


async def test_a_feed_is_only_for_its_agency(world: World) -> None:
    await world.teller.tell("case-1", allocated(("mary", "beacon")))
    await world.entries("beacon", 1)
    assert (await world.feed("police"))["entries"] == []
    answer = await world.http.get("/v1/feed", params={"of": "beacon"}, headers=bearer("police", "subscribe"))
    assert answer.status_code == 404
    answer = await world.http.get("/v1/feed", headers=bearer("beacon", "contact"))
    assert answer.status_code == 403


async def test_a_long_poll_is_woken_by_the_entry(world: World) -> None:
    began = time.monotonic()
    waiting = asyncio.create_task(world.feed("beacon", wait=LONG_POLL))
    await asyncio.sleep(0.5)
    await world.teller.tell("case-1", allocated(("mary", "beacon")))
    body = await waiting
    assert [entry["number"] for entry in body["entries"]] == [1]
    assert body["next"] == body["entries"][0]["cursor"]
    assert time.monotonic() - began < LONG_POLL


async def test_a_long_poll_ends_empty_when_nothing_comes(world: World) -> None:
    began = time.monotonic()
    assert (await world.feed("beacon", wait=1)) == {
        "agency": "beacon",
        "entries": [],
        "next": "0",
        "more": False,
    }
    assert 0.9 < time.monotonic() - began < LONG_POLL


async def test_a_long_poll_does_not_keep_a_service_from_stopping(world: World) -> None:
    waiting = asyncio.create_task(world.feed("beacon", wait=LONG_POLL))
    await asyncio.sleep(0.5)
    began = time.monotonic()
    world.service.stopping.set()
    try:
        assert (await waiting)["entries"] == []
    finally:
        world.service.stopping.clear()
    assert time.monotonic() - began < LONG_POLL


async def test_a_withdrawal_reaches_leads_hub_and_only_the_referrers_whose_agreement_says_so(
    world: World,
) -> None:
    await world.teller.tell("case-1", allocated(("mary", "beacon"), ("frank", "nps")))
    await world.settled()
    withdrawn = consent.ConsentWithdrawn(scope="everything", by="person", via="prison", withdrawal="w-1")
    await world.teller.tell("mary", withdrawn)
    lead = (await world.entries("beacon", 2))[1]
    other = (await world.entries("nps", 2))[1]
    hub = (await world.entries("hub", 2))[1]
    assert (lead["kind"], lead["party"]) == ("consent.withdrawn", "mary")
    assert (other["party"], other["data"]) == (None, {"side": "other"})
    assert (hub["data"]["by"], hub["data"]["via"]) == ("person", "prison")
    assert "prison" not in str(lead)


async def test_a_withdrawal_that_comes_before_the_allocation_is_told_to_the_lead_all_the_same(
    world: World,
) -> None:
    withdrawn = consent.ConsentWithdrawn(scope="everything", by="person", via="prison", withdrawal="w-1")
    await world.teller.tell("mary", withdrawn)
    await world.settled()
    await world.teller.tell("case-1", allocated(("mary", "beacon")))
    entries = await world.entries("beacon", 2)
    assert [entry["kind"] for entry in entries] == ["case.allocated", "consent.withdrawn"]


async def test_a_withdrawal_that_comes_after_the_closure_is_told_to_the_lead_all_the_same(
    world: World,
) -> None:
    await world.teller.tell("case-1", allocated(("mary", "beacon")), cases.CaseClosed(reason="withdrawn"))
    await world.entries("beacon", 2)
    withdrawn = consent.ConsentWithdrawn(scope="everything", by="person", via="prison", withdrawal="w-1")
    await world.teller.tell("mary", withdrawn)
    entries = await world.entries("beacon", 3)
    assert [entry["kind"] for entry in entries][-1] == "consent.withdrawn"
    assert [e["kind"] for e in (await world.feed("hub"))["entries"]][-1] == "consent.withdrawn"


async def test_a_refused_claimant_is_not_told_who_leads(world: World) -> None:
    refused = consent.LeadRefused(
        claim="c", case="case-1", party="mary", agency="police", reason="led_elsewhere"
    )
    await world.teller.tell("mary", refused)
    [entry] = await world.entries("police", 1)
    assert entry["data"] == {"reason": "led_elsewhere"}


async def test_an_incomplete_referral_is_asked_back_from_the_agency_that_sent_it(world: World) -> None:
    facts = referrals.ReferralFacts(
        referral="ref-1",
        agency="police",
        version=1,
        incident="incident-1",
        received_at=datetime.now(UTC),
        offence_class="burglary",
        stage="pre_sentence",
        initiated_by="agency",
        parties=(),
    )
    await world.teller.tell(
        "case-1",
        referrals.ReferralReceived(facts=facts),
        referrals.ReferralHeld(
            referral="ref-1", hold="h-1", reason="identity_incomplete", missing=("parties[0].date_of_birth",)
        ),
    )
    [entry] = await world.entries("police", 1)
    assert entry["kind"] == "referral.held"
    assert entry["data"]["missing"] == ["parties[0].date_of_birth"]


async def test_who_has_taken_a_referral_back_is_not_told_of_the_case_by_a_joining_heard_late(
    world: World,
) -> None:
    def facts(number: int, agency: str) -> referrals.ReferralFacts:
        return referrals.ReferralFacts(
            referral=f"ref-{number}", agency=agency, version=1, incident="incident-1", received_at=datetime.now(UTC),
            offence_class="burglary", stage="pre_sentence", initiated_by="agency", parties=(),
        )  # fmt: skip

    tell = world.teller.tell
    await tell("case-1", referrals.ReferralReceived(facts=facts(1, "police")))
    received = [referrals.ReferralReceived(facts=facts(n, a)) for n, a in ((2, "prison"), (1, "police"))]
    gone = referrals.ReferralRetracted(referral="ref-1", agency="police", remaining=1)
    await tell("case-2", *received, gone)
    await world.settled()
    await tell("case-1", referrals.CaseFileJoined(into="case-2"))
    await world.settled()
    await tell("case-2", cases.CaseNeedsDecision(claim="c", why=(), reason="r"))
    assert [entry["kind"] for entry in await world.entries("prison", 1)] == ["case.needs_decision"]
    assert (await world.feed("police"))["entries"] == []


async def test_a_check_is_asked_of_the_agency_that_can_answer_it(world: World) -> None:
    asked = cases.CheckRequested(check="ch-1", kind="research", of="victim-support", party="mary")
    await world.teller.tell("case-1", allocated(("mary", "beacon")), asked)
    [entry] = await world.entries("victim-support", 1)
    assert entry["data"] == {"check": "ch-1", "kind": "research"}
    answered = cases.CheckAnswered(
        check="ch-1", kind="research", of="victim-support", party="mary", satisfied=True
    )
    await world.teller.tell("case-1", answered)
    assert (await world.entries("beacon", 2))[1]["data"]["satisfied"] is True
    assert len((await world.feed("victim-support"))["entries"]) == 1


async def test_republishing_after_a_hand_over_tells_only_whom_it_changes_something_for(world: World) -> None:
    await world.teller.tell("case-1", allocated(("mary", "beacon"), ("frank", "nps")))
    await world.entries("nps", 1)
    await world.teller.tell("case-1", allocated(("mary", "victim-support"), ("frank", "nps")))
    [entry] = await world.entries("victim-support", 1)
    assert entry["party"] == "mary"
    await world.entries("hub", 2)
    assert len((await world.feed("nps"))["entries"]) == 1
    # What happens in the case from now on is not for the agency that led it before.
    await world.teller.tell("case-1", cases.CasePaused(reason="risk"))
    await world.entries("victim-support", 2)
    assert len((await world.feed("beacon"))["entries"]) == 1


async def test_the_successor_gets_what_is_addressed_to_its_predecessor_and_reads_what_it_left(
    world: World,
) -> None:
    await world.teller.tell("case-1", allocated(("mary", "crc")))
    await world.entries("crc", 1)
    since = datetime.now(UTC) - timedelta(hours=1)
    await world.teller.tell("crc", agencies.AgencySucceeded(successor="nps", since=since))
    [told] = await world.entries("nps", 1)
    assert (told["kind"], told["data"]["predecessor"]) == ("agency.succeeded", "crc")
    await world.teller.tell("case-1", cases.CasePaused(reason="risk"))
    assert (await world.entries("nps", 2))[1]["kind"] == "case.paused"
    inherited = (await world.feed("nps", of="crc"))["entries"]
    assert [entry["kind"] for entry in inherited] == ["case.allocated"]


async def test_a_succession_that_lies_ahead_changes_nothing_yet(world: World) -> None:
    since = datetime.now(UTC) + timedelta(hours=1)
    await world.teller.tell("crc", agencies.AgencySucceeded(successor="nps", since=since))
    await world.settled()
    await world.teller.tell("case-1", allocated(("mary", "crc")))
    await world.entries("crc", 1)
    assert (await world.feed("nps"))["entries"] == []
    answer = await world.http.get("/v1/feed", params={"of": "crc"}, headers=bearer("nps", "subscribe"))
    assert answer.status_code == 404
    await world.service.pool.execute("UPDATE clock SET shift = interval '2 hours'")
    [told] = await world.entries("nps", 1)
    assert told["kind"] == "agency.succeeded"


async def test_the_same_event_twice_makes_one_entry(world: World) -> None:
    """A restrictive event of a held key is applied early, and again in its turn: one entry."""
    tell = world.teller.tell
    await tell("case-1", allocated(("mary", "beacon")))
    await world.settled()
    # The key is held: number 1 is kept back, so number 2 waits, and is applied at once because it restricts.
    await tell("mary", consent.PersonReached(answer="agreed", case="case-1", began="agency"))
    await world.settled()
    missing = consent.StandingLoosened(level="person", standing="open", reason="x")
    withdrawn = consent.ConsentWithdrawn(scope="everything", by="person", via="beacon", withdrawal="w-1")
    producer: Any = world.teller.producer
    sent = producer.send_and_wait
    kept: list[tuple[tuple[object, ...], dict[str, object]]] = []

    async def keep(*args: object, **kwargs: object) -> None:
        kept.append((args, kwargs))

    producer.send_and_wait = keep
    await tell("mary", missing)
    producer.send_and_wait = sent
    await tell("mary", withdrawn)
    await world.entries("beacon", 2)
    held = await world.service.pool.fetchval(
        "SELECT held FROM inbox WHERE topic = 'consent' AND key = 'mary'"
    )
    assert held
    for args, kwargs in kept:
        await sent(*args, **kwargs)

    async def released() -> bool:
        row = await world.service.pool.fetchrow(
            "SELECT held FROM inbox WHERE topic = 'consent' AND key = 'mary'"
        )
        return row is not None and not row["held"]

    await until(released, seconds=20)
    kinds = [entry["kind"] for entry in (await world.feed("beacon"))["entries"]]
    assert kinds.count("consent.withdrawn") == 1


async def test_a_number_that_the_feed_does_not_have_is_said_to_be_ahead_of_it(world: World) -> None:
    await world.teller.tell("case-1", allocated(("mary", "beacon")))
    await world.entries("beacon", 1)
    assert (await world.feed("beacon", after=1))["entries"] == []
    began = time.monotonic()
    headers = bearer("beacon", "subscribe")
    ahead = await world.http.get("/v1/feed", params={"after": 2, "wait": 30}, headers=headers)
    assert (ahead.status_code, ahead.json()["type"].rsplit("/", 1)[-1]) == (409, "ahead")
    assert "Read on from 1" in ahead.json()["detail"]
    assert time.monotonic() - began < 25


async def _restored(world: World, kept: int, *lost: dict[str, Any]) -> None:
    """Take the last entries of a feed away, as a restore of the database does; pauses are told again in this order."""
    pool, now = world.service.pool, datetime.now(UTC)
    await pool.execute("DELETE FROM feed WHERE number > $1", kept)
    counted = "UPDATE feed_counter SET last = $1, witness = (SELECT witness FROM feed WHERE number = $1)"
    await pool.execute(counted, kept)
    for entry in lost:
        paused = cases.CasePaused(reason="risk")
        notice = Notice(entry["event"], "case.paused", entry["case"], now, now, paused)

        async def again(work: Work, notice: Notice = notice) -> None:
            await work.lock()
            work.write(store.publish, notice)

        await world.service.transact(again)


async def test_whoever_reads_on_after_a_restore_is_told_unless_nothing_can_be_missed(world: World) -> None:
    """Nobody polled meanwhile, and the numbers are all there again: only what they stand for has changed."""
    for case in ("case-1", "case-2"):
        await world.teller.tell(case, allocated(("mary", "beacon"), case=case, hub=None))
        await world.settled()
    for case in ("case-1", "case-2"):
        await world.teller.tell(case, cases.CasePaused(reason="risk"))
        await world.settled()
    *_, second, third, fourth = await world.entries("beacon", 4)
    headers = bearer("beacon", "subscribe")

    async def read_on(entry: dict[str, Any], wait: int = 0) -> httpx.Response:
        query = {"after": entry["cursor"], "wait": wait}
        return await world.http.get("/v1/feed", params=query, headers=headers)

    assert (await read_on(third)).json()["entries"] == [fourth]
    await _restored(world, 2)
    gone = await read_on(fourth, wait=20)
    assert (gone.status_code, gone.json()["type"].rsplit("/", 1)[-1]) == (410, "feed-restored")
    assert "after=0" in gone.json()["detail"]
    await _restored(world, 2, fourth, third)
    again = (await read_on(second)).json()["entries"]
    assert [(entry["number"], entry["event"]) for entry in again] == [
        (3, fourth["event"]),
        (4, third["event"]),
    ]
    # He who has read up to 3 would miss what is now 3; he who has read them all has all of them still.
    assert (await read_on(third)).status_code == 410
    assert (await read_on(fourth)).json() == {
        "agency": "beacon",
        "entries": [],
        "next": fourth["cursor"],
        "more": False,
    }
    # A number alone is a replay, and is answered with a cursor.
    assert (await world.feed("beacon", after=4))["next"] == fourth["cursor"]
    wrong = await read_on({"cursor": "3."})
    assert wrong.status_code == 422
    assert "`next`" in wrong.json()["errors"][0]["remedy"]
