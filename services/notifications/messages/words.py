"""The words of messages: plain text templates, one file for each template, language and form.

`<template>.<language>.txt` is the long form, for letters and e-mails, with its subject in the first line;
`<template>.<language>.text.txt` the short one, for text messages. Every one of them must hold the link to withdraw.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateNotFound

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


def render(template: str, release: Release, language: str | None, agency: str) -> tuple[str, str]:
    """Return subject and text, in the language asked for, else the person's, else English.

    The agency is named only where the person's safety allows it to be: never in the subject.
    """
    wanted = [choice for choice in (language, release.language, FALLBACK) if choice]
    spoken = next(choice for choice in wanted if choice in templates()[template])
    form = "text.txt" if release.channel == "text" else "txt"
    try:
        page = _ENVIRONMENT.get_template(f"{template}.{spoken}.{form}")
    except TemplateNotFound:
        raise LookupError(f"{template}.{spoken}.{form}") from None
    text = page.render(name=release.contact.name, agency=agency, withdrawal_link=release.withdrawal_link)
    if form == "text.txt":
        return "", text.strip()
    subject, _, body = text.partition("\n")
    return subject.strip(), body.strip()


def address(release: Release) -> str | None:
    """Return where the message goes by the release's channel, None if intake holds nothing for it."""
    contact = release.contact
    if release.channel == "email":
        return contact.email
    if release.channel == "text":
        return contact.phone
    if release.channel == "letter" and contact.address:
        return "\n".join((contact.name, *contact.address))
    return None
