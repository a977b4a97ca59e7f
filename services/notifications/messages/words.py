"""The words of messages: plain text templates, one file for each template, language and form.

`<template>.<language>.txt` is the long form, for letters and e-mails, with its subject in the first line;
`<template>.<language>.text.txt` the short one, for text messages. Every one of them must hold the link to withdraw. How to
answer is said in `parts/`, the same in every message.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from services.notifications.gateways import Release
from services.notifications.messages.reach import Reach, printed

FOLDER = Path(__file__).parent / "templates"
FALLBACK = "en"
# Other codes by which agencies name these languages.
_SAME = {"cym": "cy", "wel": "cy", "eng": "en", "pol": "pl"}
# A longer text than the house of texts takes in one (six parts of 153 letters, or of 67 where one is not in its alphabet)
# goes without saying how to answer: it must hold the link.
_LONGEST_TEXT = {True: 918, False: 402}
_GSM = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)

# A template that names what is not given fails before anything is written.
_ENVIRONMENT = Environment(
    loader=FileSystemLoader(FOLDER),
    autoescape=False,  # noqa: S701 - plain text: there is no markup to escape
    undefined=StrictUndefined,
)


@cache
def templates() -> dict[str, tuple[str, ...]]:
    """Return each template's name with its languages."""
    found: dict[str, list[str]] = {}
    for file in sorted(FOLDER.glob("*.text.txt")):
        name, language, *_ = file.name.split(".")
        found.setdefault(name, []).append(language)
    return {name: tuple(languages) for name, languages in found.items()}


@dataclass(frozen=True)
class Wanted:
    """Which words: `agency` is the name that the message is signed with, `link` how the person withdraws."""

    template: str
    language: str | None
    agency: str
    link: str
    reach: Reach = field(default_factory=Reach)


def spoken(wanted: Wanted, release: Release) -> str | None:
    """Return the language of a message: the one asked for, else the person's, else English.

    None: the person's own is one that there are no words in. Whoever is near would read them the English, and that may be
    the wrong one: it is sent in English only if the holder asks for it.
    """
    language = wanted.language or release.safe_contact.language
    code = _code(language) if language else FALLBACK
    return code if code in templates()[wanted.template] else None


def _code(language: str) -> str:
    """Return `cy` for `cy-GB`, `CY` and `cym`."""
    code = language.lower().partition("-")[0]
    return _SAME.get(code, code)


def render(wanted: Wanted, release: Release, language: str) -> tuple[str, str]:
    """Return subject and text in a language, with the link to the page in the same one."""
    if release.channel == "text":
        text = _page(wanted, release, language, "text.txt", wanted.reach)
        if len(text) > _LONGEST_TEXT[_GSM.issuperset(text)]:
            text = _page(wanted, release, language, "text.txt", Reach())
        return "", text
    subject, _, body = _page(wanted, release, language, "txt", wanted.reach).partition("\n")
    return subject.strip(), body.strip()


def _page(wanted: Wanted, release: Release, language: str, form: str, reach: Reach) -> str:
    hours = printed(reach.desk.hours, language)
    how = _ENVIRONMENT.get_template(f"parts/reach.{language}.{form}").render(
        channel=release.channel,
        through=reach.through,
        phone=reach.desk.phone,
        email=reach.desk.email,
        hours=f" ({hours})" if hours else "",
    )
    page = _ENVIRONMENT.get_template(f"{wanted.template}.{language}.{form}")
    name = str(release.name) if release.name else ""
    # Without a language the page is in English: so were those of earlier messages, which named its button in English.
    link = wanted.link if language == FALLBACK else f"{wanted.link}?language={language}"
    return page.render(name=name, agency=wanted.agency, withdrawal_link=link, reach=how).strip()


def destination(release: Release) -> str | None:
    """Return where the message goes by the release's channel, None if intake holds nothing for it.

    A text or e-mail reaches whoever holds the telephone or reads the mailbox, and nobody asks first who that is: it goes to
    the person's own, or to one at their work, never to somebody else's. Those are for whoever rings.
    """
    if release.channel in {"email", "text"}:
        points = release.emails if release.channel == "email" else release.phones
        for wanted in ("own", "work"):
            for point in points:
                if release.whose.get(point, "own") == wanted:
                    return point
    if release.channel == "letter":
        # An address kept for letters, else the newest one: who was at home may be in prison now.
        whole = [address for address in release.addresses if address.lines]
        for address in sorted(whole, key=lambda a: a.kind != "letters"):
            return "\n".join(filter(None, (str(release.name or ""), *address.lines, address.postcode)))
    return None
