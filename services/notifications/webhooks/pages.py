"""The page behind the link that a mailbox is sent: plain, accessible, without scripts or anything from elsewhere."""

from __future__ import annotations

from html import escape
from typing import Final

from starlette.responses import HTMLResponse

from services.notifications.webhooks.confirmations import Found

_STYLE: Final = (
    "body{font:1.2rem/1.5 Arial,Helvetica,sans-serif;color:#0b0c0c;background:#fff;"
    "margin:0 auto;max-width:38rem;padding:1.5rem}h1{font-size:1.9rem;line-height:1.2}"
    "button{font:inherit;font-weight:bold;color:#fff;background:#00703c;border:0;border-bottom:3px solid #002d18;"
    "padding:.6rem 1.2rem;margin-top:1rem;cursor:pointer}"
    ":focus-visible{outline:3px solid #fd0;outline-offset:2px;box-shadow:0 0 0 4px #0b0c0c}"
)
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"


def _page(title: str, body: str, status: int = 200) -> HTMLResponse:
    html = (
        f'<!DOCTYPE html><html lang="en-GB"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots" content="noindex">'
        f"<style>{_STYLE}</style></head><body><main><h1>{title}</h1>{body}</main></body></html>"
    )
    headers = {"Content-Security-Policy": _POLICY, "Cache-Control": "no-store"}
    return HTMLResponse(html, status, headers=headers)


def page(found: Found, agency: str) -> HTMLResponse:
    """Return the page for what a link comes to. `agency` is the name of the agency that asked."""
    name = escape(agency)
    if found == "open":
        return _page(
            f"May {name} have notices sent to this mailbox?",
            f"<p>If you press the button, Onefriend tells this mailbox whenever something changes in a case of {name}. "
            "The messages say nothing about any person.</p>"
            "<p>If you know nothing of this, close this page: nothing is sent.</p>"
            '<form method="post"><button type="submit">Yes, send them here</button></form>',
        )
    if found == "confirmed":
        return _page(
            "This mailbox is confirmed",
            f"<p>Onefriend tells it when something changes in a case of {name}. To end that, ask {name}.</p>",
        )
    if found == "expired":
        return _page(
            "This link is too old",
            f"<p>Nothing has been confirmed. Ask whoever looks after Onefriend at {name} to have a new message sent to you; "
            "the link in it will work.</p>",
            410,
        )
    return _page(
        "This link does not work",
        "<p>Part of it may be missing: copy the whole of it from the message. Or the subscription was ended, or given "
        "another address: then a newer message may have come, or there is nothing left to confirm.</p>",
        404,
    )
