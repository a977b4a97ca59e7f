"""The few pages that people themselves see: plain, accessible, without scripts, images or anything from elsewhere.

They name nobody and nothing: whoever opens the link by mistake learns nothing about a case.
"""

from __future__ import annotations

from typing import Any

from starlette.responses import HTMLResponse

from shared.runtime.pages import page


def withdraw_form(*, has_case: bool) -> HTMLResponse:
    """Return the page that asks. Nothing happens before the button is pressed."""
    choice = (
        "<fieldset><legend>What do you not want to hear about again?</legend>"
        '<label><input type="radio" name="scope" value="everything" checked>Anything about restorative justice</label>'
        '<label><input type="radio" name="scope" value="case">Only the matter that this message was about</label></fieldset>'
        if has_case
        else '<input type="hidden" name="scope" value="everything">'
    )
    return page(
        "Do you want us to stop contacting you?",
        "<p>If you press the button, no organisation that works with us will contact you about restorative justice again. "
        "You do not have to give a reason. You can change your mind later by contacting us.</p>"
        f'<form method="post">{choice}<button type="submit">Stop contacting me</button></form>',
    )


def withdrawn(state: dict[str, Any]) -> HTMLResponse:
    """Return the page that says how it stands."""
    if state.get("outcome") == "in_flight":
        under_way = "<p>One message or call was already on its way. It cannot be stopped; after it there will be none.</p>"
    else:
        under_way = ""
    return page(
        "We have written down that you do not want to be contacted",
        f"<p>From now on nobody is given your contact details.</p>{under_way}"
        "<p>We will not send a message to confirm this.</p>",
    )


def link_over() -> HTMLResponse:
    """Return the page for a link that is not ours, or too old."""
    return page(
        "This link no longer works",
        "<p>Ask the organisation that wrote to you to stop: they can do it for you at once.</p>",
        404,
    )


def self_referral_form() -> HTMLResponse:
    """Return the page on which a person confirms that it was they who asked."""
    return page(
        "Was it you who asked about restorative justice?",
        "<p>If it was, press the button, and somebody will contact you. If it was not, do nothing.</p>"
        '<form method="post"><button type="submit">Yes, it was me</button></form>',
    )


def self_referral_confirmed() -> HTMLResponse:
    """Return the page after the confirmation."""
    return page("Thank you", "<p>Somebody will contact you. You can say no at any time.</p>")
