"""The page behind the link that a mailbox is sent: plain, accessible, without scripts or anything from elsewhere."""

from __future__ import annotations

from html import escape

from starlette.responses import HTMLResponse

from services.notifications.webhooks.confirmations import Found
from shared.runtime.pages import page


def outcome(found: Found, agency: str) -> HTMLResponse:
    """Return the page for what a link comes to. `agency` is the name of the agency that asked."""
    name = escape(agency)
    if found == "open":
        return page(
            f"May {name} have notices sent to this mailbox?",
            f"<p>If you press the button, Onefriend tells this mailbox whenever something changes in a case of {name}. "
            "The messages say nothing about any person.</p>"
            "<p>If you know nothing of this, close this page: nothing is sent.</p>"
            '<form method="post"><button type="submit">Yes, send them here</button></form>',
        )
    if found == "confirmed":
        return page(
            "This mailbox is confirmed",
            f"<p>Onefriend tells it when something changes in a case of {name}. To end that, ask {name}.</p>",
        )
    if found == "expired":
        return page(
            "This link is too old",
            f"<p>Nothing has been confirmed. Ask whoever looks after Onefriend at {name} to have a new message sent to you; "
            "the link in it will work.</p>",
            410,
        )
    return page(
        "This link does not work",
        "<p>Part of it may be missing: copy the whole of it from the message. Or the subscription was ended, or given "
        "another address: then a newer message may have come, or there is nothing left to confirm.</p>",
        404,
    )
