"""The words of messages: plain text templates, one file for each template, language and form.

`<template>.<language>.txt` is the long form, for letters and e-mails, with its subject in the first line;
`<template>.<language>.text.txt` the short one, for text messages. Every one of them must hold the link to withdraw.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from services.notifications.gateways import Release

FOLDER = Path(__file__).parent / "templates"
FALLBACK = "en"

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


def render(wanted: Wanted, release: Release) -> tuple[str, str]:
    """Return subject and text, in the language asked for, else the person's, else English."""
    languages = templates()[wanted.template]
    choices = (wanted.language, release.safe_contact.language, FALLBACK)
    spoken = next((choice for choice in choices if choice in languages), FALLBACK)
    form = "text.txt" if release.channel == "text" else "txt"
    page = _ENVIRONMENT.get_template(f"{wanted.template}.{spoken}.{form}")
    name = str(release.name) if release.name else ""
    text = page.render(name=name, agency=wanted.agency, withdrawal_link=wanted.link)
    if form == "text.txt":
        return "", text.strip()
    subject, _, body = text.partition("\n")
    return subject.strip(), body.strip()


def destination(release: Release) -> str | None:
    """Return where the message goes by the release's channel, None if intake holds nothing for it."""
    if release.channel == "email":
        return next(iter(release.emails), None)
    if release.channel == "text":
        return next(iter(release.phones), None)
    if release.channel == "letter":
        # An address kept for letters before the home, which comes before others.
        whole = [address for address in release.addresses if address.lines]
        for address in sorted(whole, key=lambda a: a.kind != "letters"):
            return "\n".join(filter(None, (str(release.name or ""), *address.lines, address.postcode)))
    return None
