"""The words of messages."""

import re
from datetime import UTC, datetime
from itertools import product

import msgspec
import pytest

from services.intake.api.pages import withdraw_form
from services.notifications.gateways import Address, Name, Release, SafeContact
from services.notifications.messages import words
from services.notifications.messages.providers import Outgoing
from shared.contracts.envelope import Channel

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


def render(
    template: str, channel: Channel, asked: str | None = None, language: str | None = None
) -> tuple[str, str]:
    return words.render(words.Wanted(template, asked, "Beacon", LINK), release(channel, language))


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


def test_english_and_welsh_are_there_for_every_template() -> None:
    assert all({"en", "cy"} <= set(languages) for languages in words.templates().values())


def test_the_language_asked_for_counts_then_the_persons_then_english() -> None:
    assert "Dear" in render("approach", "letter")[1]
    assert "Annwyl" in render("approach", "letter", None, "cy")[1]
    assert "Dear" in render("approach", "letter", "en", "cy")[1]
    assert "Dear" in render("approach", "letter", None, "xx")[1]


def test_details_do_not_show_in_a_representation() -> None:
    shown = repr(release("email")) + repr(release("email").name) + repr(release("letter").addresses)
    assert not any(part in shown for part in ("Mary", "example.org", "Mill", "07700", "7700"))


def test_where_it_goes_is_what_intake_holds_for_the_channel() -> None:
    assert words.destination(release("email")) == "mary@example.org"
    assert words.destination(release("text")) == "+447700900123"
    assert words.destination(release("letter")) == "Mary Wells\n4 Mill Lane\nSG1 2AB"
    assert words.destination(release("visit")) is None


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
    buttons = re.findall(r"<button[^>]*>(.*?)</button>", bytes(withdraw_form(has_case=True).body).decode())
    quoted = re.findall(r"[\"„](.*?)[\"”]", text)
    assert set(quoted) <= set(buttons)
    assert quoted or channel == "text"


@pytest.mark.parametrize(("template", "language", "channel"), ALL)
def test_somebody_known_by_no_name_is_greeted_all_the_same(
    template: str, language: str, channel: Channel
) -> None:
    nameless: Release = msgspec.structs.replace(release(channel), name=None)
    _, text = words.render(words.Wanted(template, language, "Beacon", LINK), nameless)
    greeting = text.splitlines()[0]
    assert greeting.startswith(("Hello,", "Helo,", "Dzień dobry,"))
    assert ", ," not in greeting
