"""What takes two people, each signed in at the dashboard: asked for, confirmed, refused. And pages for other roles."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from functools import partial

import httpx
import pytest

from deploy.local import workers
from tests.e2e.desk import CARE, Desk, sign_in, token_in
from tests.e2e.desk import a_desk as _desk  # noqa: F401 - a fixture
from tests.e2e.desk import a_desk_and_a_browser as _eyes  # noqa: F401 - a fixture
from tests.support.browser import shoot, violations
from tests.support.running import until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(900)]


async def test_two_people_part_a_record_by_keyboard_and_the_page_says_who(eyes: Desk) -> None:
    person, _ = await eyes.joined()
    anna = await eyes.page("anna")
    await anna.goto(f"{eyes.url}/people/{person}")
    record = anna.get_by_role("radio", name=f"Record 2: from {CARE}")
    await record.focus()
    await anna.keyboard.press("Space")
    await anna.keyboard.press("Tab")
    assert await anna.evaluate("document.activeElement.id") == "reason"
    await anna.keyboard.press("ArrowDown")
    await anna.keyboard.press("Tab")
    await anna.keyboard.press("Enter")
    await anna.get_by_text("Nothing is done yet").wait_for()
    assert await anna.get_by_role("button", name="Confirm: record").count() == 0, (
        "nobody confirms what they asked for"
    )
    assert await violations(anna) == []
    await shoot(anna, "split-asked")
    ben = await eyes.page("ben", viewport={"width": 320, "height": 640})
    await ben.goto(f"{eyes.url}/waiting")
    assert await violations(ben) == []
    await shoot(ben, "split-waiting")
    await ben.locator(f'a[href="/people/{person}#waiting"]').click()
    assert await violations(ben) == []
    await shoot(ben, "split-to-confirm")
    assert await ben.evaluate("document.documentElement.scrollWidth") <= 320
    await ben.get_by_role("button", name="Confirm: record").focus()
    await ben.keyboard.press("Enter")
    await ben.get_by_role("link", name="a person of its own").click()
    await ben.get_by_text("Parted by two people").wait_for()
    assert await ben.get_by_text("anna said so, ben confirmed it").is_visible()
    assert await violations(ben) == []
    await shoot(ben, "split-done")
    owners = "SELECT count(DISTINCT harmed) FROM referral_case WHERE harmed = ANY($1)"
    new = ben.url.rpartition("/")[2]
    assert await eyes.onefriend.services["intake"].pool.fetchval(owners, [person, new]) == 2


async def test_a_link_of_the_machine_is_refused_taken_back_and_undone_by_two(eyes: Desk) -> None:
    older, newer = await eyes.linked_by_machine()
    anna = await eyes.page("anna")
    ben = await eyes.page("ben", viewport={"width": 320, "height": 640}, java_script_enabled=False)

    async def ask(person: str, other: str) -> None:
        await anna.goto(f"{eyes.url}/people/{person}")
        await anna.get_by_text("These two ids are two people").click()
        await anna.locator(f'[id="reason-{other}"]').select_option("relatives")
        form = anna.locator(f'form[action="/people/{person}/links/{other}"]')
        await form.get_by_role("button", name="Ask a second person").click()
        await anna.get_by_text("Nothing is done yet").wait_for()

    await anna.goto(f"{eyes.url}/people/{older}")
    await anna.get_by_text("These two ids are two people").click()
    await anna.locator(f'form[action$="/links/{newer}"]').get_by_role("button").click()
    assert await anna.get_by_role("link", name="Choose a reason").is_visible()
    assert await violations(anna) == []
    await ask(older, newer)
    assert await violations(anna) == []
    await shoot(anna, "unlink-asked")
    await anna.get_by_role("button", name="Take it back").click()
    await anna.get_by_text("Taken back").first.wait_for()
    await ask(newer, older)
    # Under whichever id: they are one human.
    await ben.goto(f"{eyes.url}/people/{older}")
    await ben.get_by_role("button", name="Refuse").click()
    assert await ben.get_by_text("Refused: it is not done.").is_visible()
    assert await eyes.linked("intake", older, newer)
    await ask(older, newer)
    await ben.goto(f"{eyes.url}/waiting")
    await ben.locator(f'a[href$="{min(older, newer)}#waiting"]').click()
    await shoot(ben, "unlink-to-confirm")
    assert await ben.evaluate("document.documentElement.scrollWidth") <= 320
    late = await eyes.page("cleo")
    await late.goto(ben.url)
    confirm = "Confirm: these ids are two people"
    await ben.get_by_role("button", name=confirm).click()
    assert await ben.get_by_text("the two ids are two people now").is_visible()
    await late.get_by_role("button", name=confirm).click()
    await late.get_by_text("This had changed since you opened the page").wait_for()
    assert not await eyes.linked("intake", older, newer)
    await until(partial(apart, eyes, older, newer), seconds=30)


async def test_who_confirms_what_was_refused_meanwhile_does_not_ask_for_it(desk: Desk) -> None:
    person, _ = await desk.joined()
    async with httpx.AsyncClient(timeout=60) as anna, httpx.AsyncClient(timeout=60) as ben:
        for http, worker in ((anna, "anna"), (ben, "ben")):
            await sign_in(desk, http, worker)
        path = f"{desk.url}/people/{person}"
        fields = fields_in((await anna.get(path)).text, "/erasure")
        assert (await anna.post(f"{path}/erasure", data=fields)).status_code == 422, "without a reason"
        asked = await anna.post(f"{path}/erasure", data={**fields, "reason": "asked_by_person"})
        assert asked.headers["location"].endswith("?said=asked")
        page = (await ben.get(path)).text
        confirm, refuse = fields_in(page, "/erasure"), fields_in(page, "/refusal")
        assert (await ben.post(f"{path}/refusal", data=refuse)).headers["location"].endswith("?said=refused")
        for kind, stale in (("erasure", confirm), ("refusal", refuse)):
            late = await ben.post(f"{path}/{kind}", data=stale)
            assert late.headers["location"].endswith("?said=moved")
        listed = (await ben.get(f"{desk.url}/waiting")).text
        assert f"/people/{person}#waiting" not in listed
        ended = (await ben.get(f"{desk.url}/waiting?state=ended")).text
        assert "Refused, by ben (herts-rj-coordinator)" in ended


async def test_what_is_held_of_somebody_is_destroyed_by_two_and_the_list_says_so(eyes: Desk) -> None:
    person, _ = await eyes.joined()
    anna = await eyes.page("anna")
    await anna.goto(f"{eyes.url}/people/{person}")
    await anna.get_by_text("Destroy everything held about this person").click()
    form = anna.locator(f'form[action="/people/{person}/erasure"]')
    await form.get_by_label("Your reason").select_option("asked_by_person")
    await form.get_by_role("button", name="Ask a second person").click()
    await anna.get_by_text("Nothing is done yet").wait_for()
    ben = await eyes.page("ben")
    await ben.goto(f"{eyes.url}/people/{person}")
    await ben.get_by_text("This cannot be undone").wait_for()
    assert await violations(ben) == []
    await shoot(ben, "erasure-to-confirm")
    await ben.get_by_role("button", name="Confirm: destroy it all").click()
    await ben.get_by_text("Everything that was held about this person is destroyed").wait_for()
    await ben.goto(f"{eyes.url}/waiting?state=ended")
    assert await ben.get_by_text("Confirmed, and done, by ben").first.is_visible()
    assert await violations(ben) == []
    await shoot(ben, "erasure-done")
    held = "SELECT count(*) FROM party WHERE person = $1 AND key IS NOT NULL"
    assert await eyes.onefriend.services["intake"].pool.fetchval(held, person) == 0


async def test_who_has_no_page_is_told_so_and_can_sign_out(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(workers.SCOPES, "co-ordinator", ("cases.read", "cases.write"))
    async with httpx.AsyncClient(timeout=60) as http:
        await sign_in(desk, http, "ben")
        first = await http.get(desk.url)
        assert (first.status_code, "nothing here for your role" in first.text) == (200, True)
        assert 'href="/reviews"' not in first.text
        assert (await http.get(f"{desk.url}/reviews")).status_code == 403
        ended = await http.post(f"{desk.url}/sign-out", data={"csrf": token_in(first.text)})
        assert ended.headers["location"] == "/signed-out"


async def test_a_commissioner_reads_the_figures_and_what_each_counts(
    eyes: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(workers.SCOPES, "co-ordinator", ("commissioner",))
    page = await eyes.page("ben", "/measures", viewport={"width": 320, "height": 640})
    assert await page.get_by_text("Cases first heard of in the period").is_visible()
    assert await violations(page) == []
    assert await page.evaluate("document.documentElement.scrollWidth") <= 320
    await shoot(page, "measures")
    await page.get_by_label("Area").fill("Hertfordshire")
    await page.get_by_label("First day").fill("2026-04-01")
    await page.get_by_label("Last day").fill("2026-06-30")
    await page.get_by_role("button", name="Show").click()
    address = await page.get_by_role("link", name="Download").get_attribute("href")
    answer = await page.request.get(eyes.url + str(address))
    assert answer.headers["content-type"].startswith("text/csv")
    period = "Hertfordshire,2026-04-01T00:00:00+01:00,2026-07-01T00:00:00+01:00"
    assert period in await answer.text(), "from midnight to midnight in London, the last day with it"
    for asked, told in (
        ("area=Atlantis", "Nobody knows this area"),
        ("since=2026-06-30&until=2026-04-01", "The last day is before the first"),
        ("since=soon", "Give the first day as a date"),
    ):
        await page.goto(f"{eyes.url}/measures?{asked}")
        assert await page.get_by_role("link", name=told).is_visible(), asked
        assert await violations(page) == []


async def test_an_operator_has_a_failed_delivery_tried_again(eyes: Desk) -> None:
    async with gone() as address:
        wanted = {"url": address, "kinds": ["case.allocated"]}
        made = await eyes.onefriend.post("notifications", "/v1/subscriptions", CARE, wanted)
        assert made.status_code == 201, made.text
        subscription = made.json()["id"]
        await eyes.onefriend.post("notifications", f"/v1/subscriptions/{subscription}/test", CARE, {})
        failed = "SELECT count(*) = 1 FROM delivery WHERE subscription_id = $1 AND state = 'failed'"
        pool = eyes.onefriend.services["notifications"].pool
        await until(lambda: pool.fetchval(failed, subscription), seconds=30)
        olive = await eyes.page("olive", viewport={"width": 320, "height": 640})
        await olive.goto(f"{eyes.url}/deliveries")
        assert await olive.get_by_text("It said that it is gone for good").is_visible()
        assert await violations(olive) == []
        assert await olive.evaluate("document.documentElement.scrollWidth") <= 320
        await shoot(olive, "deliveries")
        again = olive.locator(f'form[action="/deliveries/{subscription}.0/redrive"]').get_by_role("button")
        await again.dblclick()
        await olive.get_by_text("It is tried again, and").wait_for()
    ben = await eyes.page("ben")
    await ben.goto(f"{eyes.url}/deliveries")
    assert await ben.get_by_text("Your role does not include this page").is_visible()


async def apart(desk: Desk, one: str, other: str) -> bool:
    """Whether consent takes two ids for two people."""
    return not await desk.linked("consent", one, other)


@contextlib.asynccontextmanager
async def gone() -> AsyncIterator[str]:
    """An endpoint that says that it is gone for good."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    finally:
        server.close()
        await server.wait_closed()


def fields_in(page: str, action: str) -> dict[str, str]:
    """The hidden fields of the form that goes there."""
    [form] = re.findall(rf'<form[^>]*action="[^"]*{action}".*?</form>', page, re.DOTALL)
    return dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form))
