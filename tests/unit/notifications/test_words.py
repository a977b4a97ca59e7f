"""The words of messages."""

import re
from datetime import UTC, datetime, time
from itertools import product

import msgspec
import pytest

from services.intake.api.pages import withdraw_form
from services.notifications.gateways import Address, Name, Release, SafeContact
from services.notifications.messages import words
from services.notifications.messages.providers import Outgoing
from services.notifications.messages.reach import Reach, printed
from shared.contracts.agencies import Desk
from shared.contracts.envelope import Channel, Hours

LINK = "https://onefriend.example/v1/withdrawals/link/abc"


def release(channel: Channel, language: str | None = None, *addresses: Address) -> Release:
    return Release(
        channel=channel,
        use_by=datetime(2026, 3, 1, tzinfo=UTC),
        name=Name(forenames="Mary", surname="Wells"),
        phones=("+447700900123",),
        emails=("mary@example.org",),
        addresses=addresses or (Address(lines=("4 Mill Lane",), postcode="SG1 2AB"),),
        safe_contact=SafeContact(language=language),
    )


WEEK = Hours(days=(1, 2, 3, 4, 5), start=time(9), until=time(16, 30))
DESK = Desk(phone="01632 960001", email="desk@beacon.example", hours=(WEEK,))


def render(
    template: str,
    channel: Channel,
    asked: str | None = None,
    language: str | None = None,
    reach: Reach | None = None,
) -> tuple[str, str]:
    wanted, released = (
        words.Wanted(template, asked, "Beacon", LINK, reach or Reach()),
        release(channel, language),
    )
    return words.render(wanted, released, words.spoken(wanted, released) or "none")


ALL = [
    (template, language, channel)
    for template, languages in words.templates().items()
    for language, channel in product(languages, ("email", "letter", "text"))
]


@pytest.mark.parametrize(("template", "language", "channel"), ALL)
def test_every_form_of_every_template_holds_the_link_and_nothing_unfilled(
    template: str, language: str, channel: Channel
) -> None:
    subject, text = render(template, channel, language)
    assert LINK in text
    assert "{" not in subject + text
    assert "Mary Wells" in text
    assert bool(subject) == (channel != "text")
    # What lies on a doormat or a lock screen must not say what it is about.
    assert not any(
        word in subject.lower() for word in ("justice", "crime", "offender", "victim", "beacon", "mary")
    )


def test_every_template_is_there_in_every_language() -> None:
    assert set(words.templates()) == {"approach", "feedback"}
    assert all(languages == ("cy", "en", "pl") for languages in words.templates().values())


@pytest.mark.parametrize(("template", "language", "channel"), ALL)
def test_every_form_says_how_to_answer_in_its_language_and_leads_to_the_page_in_it(
    template: str, language: str, channel: Channel
) -> None:
    own = render(template, channel, language, reach=Reach(DESK))[1]
    assert "01632 960001" in own
    if channel != "text":
        assert "desk@beacon.example" in own
        assert {"en": "9am to 4:30pm", "cy": "9am tan 4:30pm", "pl": "9:00-16:30"}[language] in own
    hub = render(template, channel, language, reach=Reach(Desk(phone="101"), "The Hub"))[1]
    assert "The Hub" in hub
    assert "101" in hub
    assert "The Hub" not in own
    page = LINK if language == "en" else f"{LINK}?language={language}"
    assert page in own.split()


@pytest.mark.parametrize(("language", "says"), [("en", "replies"), ("cy", "atebion"), ("pl", "odpowiedzi")])
def test_an_email_that_nobody_can_answer_says_so(language: str, says: str) -> None:
    assert says in render("approach", "email", language, reach=Reach(Desk(phone="101")))[1]
    assert says not in render("approach", "email", language, reach=Reach(DESK))[1]
    assert says not in render("approach", "letter", language, reach=Reach(Desk(phone="101")))[1]


def test_nobody_to_ask_is_said_and_no_telephone_is_promised() -> None:
    text = render("approach", "letter", "en")[1]
    assert "You cannot reply to this message" in text
    assert "call us" not in text


def test_a_text_that_would_be_too_long_keeps_the_link_and_leaves_out_the_number() -> None:
    long = words.Wanted("approach", "en", "B" * 750, LINK, Reach(DESK))
    assert "01632 960001" not in words.render(long, release("text"), "en")[1]
    assert LINK in words.render(long, release("text"), "en")[1]
    # A letter that is not in the alphabet of texts halves what fits.
    welsh = words.Wanted("approach", "cy", "B" * 250, LINK, Reach(DESK))
    assert "01632 960001" not in words.render(welsh, release("text"), "cy")[1]


def test_hours_are_read_as_people_say_them() -> None:
    some = (
        Hours(days=(1, 2), start=time(10), until=time(12)),
        Hours(days=(6,), start=time(0), until=time(9)),
    )
    assert printed(some, "en") == "Monday, Tuesday, 10am to 12pm; Saturday, 12am to 9am"
    assert printed((WEEK,), "en") == "Monday to Friday, 9am to 4:30pm"
    assert printed((WEEK,), "cy") == "dydd Llun i ddydd Gwener, 9am tan 4:30pm"
    assert printed((WEEK,), "pl") == "poniedziałek-piątek, 9:00-16:30"


@pytest.mark.parametrize("code", ["cy", "CY", "cy-GB", "cym", "wel"])
def test_a_language_is_known_by_all_its_codes(code: str) -> None:
    assert "Annwyl" in render("approach", "letter", None, code)[1]


def test_the_language_asked_for_counts_then_the_persons_then_english() -> None:
    assert "Dear" in render("approach", "letter")[1]
    assert "Annwyl" in render("approach", "letter", None, "cy")[1]
    assert "Dear" in render("approach", "letter", "en", "cy")[1]


def test_english_is_not_sent_to_who_speaks_another_language_unless_the_holder_asks_for_it() -> None:
    def spoken(asked: str | None) -> str | None:
        return words.spoken(words.Wanted("approach", asked, "Beacon", LINK), release("letter", "ur"))

    assert spoken(None) is None
    assert spoken("en") == "en"


def test_details_do_not_show_in_a_representation() -> None:
    shown = repr(release("email")) + repr(release("email").name) + repr(release("letter").addresses)
    assert not any(part in shown for part in ("Mary", "example.org", "Mill", "07700", "7700"))


def test_where_it_goes_is_what_intake_holds_for_the_channel() -> None:
    assert words.destination(release("email")) == "mary@example.org"
    assert words.destination(release("text")) == "+447700900123"
    assert words.destination(release("letter")) == "Mary Wells\n4 Mill Lane\nSG1 2AB"
    assert words.destination(release("visit")) is None


def test_a_text_or_email_goes_to_nobody_elses_telephone_or_mailbox() -> None:
    """Whoever rings can ask who is there. Whoever reads a text has read it."""
    own = msgspec.structs.replace(release("text"), phones=("+447700900001", "+447700900002", "+447700900003"))
    whose = {"+447700900001": "partner", "+447700900002": "work"}
    assert words.destination(msgspec.structs.replace(own, whose=whose)) == "+447700900003"
    assert (
        words.destination(msgspec.structs.replace(own, phones=tuple(whose), whose=whose)) == "+447700900002"
    )
    for somebody in ("partner", "parent", "shared", "unknown", "hostel"):
        mail = msgspec.structs.replace(release("email"), whose={"mary@example.org": somebody})
        assert words.destination(mail) is None


def test_who_is_in_prison_now_is_not_written_to_at_home() -> None:
    home, prison = Address(lines=("4 Mill Lane",)), Address(lines=("HMP The Mount",), kind="prison")
    assert words.destination(release("letter", None, prison, home)) == "Mary Wells\nHMP The Mount"


def test_an_address_kept_for_letters_comes_before_the_home() -> None:
    home = Address(lines=("4 Mill Lane",))
    letters = Address(lines=("PO Box 9",), postcode="SG1 1AA", kind="letters")
    assert words.destination(release("letter", None, home, letters)) == "Mary Wells\nPO Box 9\nSG1 1AA"


def test_a_message_ready_to_go_does_not_show_either() -> None:
    shown = repr(Outgoing("m", "letter", "Mary Wells", "Hello", "text of it"))
    assert not any(part in shown for part in ("Mary", "Hello", "text of it"))


@pytest.mark.parametrize(("template", "language", "channel"), ALL)
def test_what_a_message_says_to_press_is_a_button_of_the_page_behind_its_link(
    template: str, language: str, channel: Channel
) -> None:
    _, text = render(template, channel, language)
    page = bytes(withdraw_form(has_case=True, language=language).body).decode()
    assert f'<html lang="{language}">' in page
    buttons = re.findall(r"<button[^>]*>(.*?)</button>", page)
    quoted = re.findall(r"[\"„](.*?)[\"”]", text)
    assert set(quoted) <= set(buttons)
    assert quoted or channel == "text"


@pytest.mark.parametrize(("template", "language", "channel"), ALL)
def test_somebody_known_by_no_name_is_greeted_all_the_same(
    template: str, language: str, channel: Channel
) -> None:
    nameless: Release = msgspec.structs.replace(release(channel), name=None)
    _, text = words.render(words.Wanted(template, language, "Beacon", LINK), nameless, language)
    greeting = text.splitlines()[0]
    assert greeting.startswith(("Hello,", "Helo,", "Dzień dobry,"))
    assert ", ," not in greeting
