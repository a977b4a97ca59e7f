"""The words of messages."""

from datetime import UTC, datetime
from itertools import product

import pytest

from services.notifications.gateways import Contact, Release
from services.notifications.messages import words
from shared.contracts.envelope import Channel

LINK = "https://onefriend.example/v1/withdrawals/link/abc"


def release(channel: Channel, language: str | None = None) -> Release:
    contact = Contact(
        name="Mary Wells", phone="07700 900123", email="mary@example.org", address=("4 Mill Lane", "SG1 2AB")
    )
    use_by = datetime(2026, 3, 1, tzinfo=UTC)
    return Release(channel=channel, use_by=use_by, contact=contact, withdrawal_link=LINK, language=language)


ALL = [
    (template, language, channel)
    for template, languages in words.templates().items()
    for language, channel in product(languages, ("email", "letter", "text"))
]


@pytest.mark.parametrize(("template", "language", "channel"), ALL)
def test_every_form_of_every_template_holds_the_link_and_nothing_unfilled(
    template: str, language: str, channel: Channel
) -> None:
    subject, text = words.render(template, release(channel), language, "Beacon")
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
    assert "Dear" in words.render("approach", release("letter"), None, "Beacon")[1]
    assert "Annwyl" in words.render("approach", release("letter", "cy"), None, "Beacon")[1]
    assert "Dear" in words.render("approach", release("letter", "cy"), "en", "Beacon")[1]
    assert "Dear" in words.render("approach", release("letter", "xx"), None, "Beacon")[1]


def test_details_do_not_show_in_a_representation() -> None:
    shown = repr(release("email")) + repr(release("email").contact)
    assert "Mary" not in shown
    assert "example.org" not in shown
    assert "abc" not in shown


def test_where_it_goes_is_what_intake_holds_for_the_channel() -> None:
    assert words.address(release("email")) == "mary@example.org"
    assert words.address(release("text")) == "07700 900123"
    assert words.address(release("letter")) == "Mary Wells\n4 Mill Lane\nSG1 2AB"
    assert words.address(release("visit")) is None
