"""The few pages that people themselves see: plain, accessible, without scripts, images or anything from elsewhere.

They name nobody and nothing: whoever opens the link by mistake learns nothing about a case.
"""

from __future__ import annotations

from typing import Any, Final

from starlette.responses import HTMLResponse

_STYLE: Final = (
    "body{font:1.2rem/1.5 Arial,Helvetica,sans-serif;color:#0b0c0c;background:#fff;"
    "margin:0 auto;max-width:38rem;padding:1.5rem}"
    "h1{font-size:1.9rem;line-height:1.2}fieldset{border:0;margin:0;padding:0}legend{font-weight:bold;padding:0}"
    "label{display:block;padding:.6rem 0}input{width:1.4rem;height:1.4rem;vertical-align:middle;margin-right:.6rem}"
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
    return HTMLResponse(
        html, status, headers={"Content-Security-Policy": _POLICY, "Cache-Control": "no-store"}
    )


def withdraw_form(*, has_case: bool) -> HTMLResponse:
    """Return the page that asks. Nothing happens before the button is pressed."""
    choice = (
        "<fieldset><legend>What do you not want to hear about again?</legend>"
        '<label><input type="radio" name="scope" value="everything" checked>Anything about restorative justice</label>'
        '<label><input type="radio" name="scope" value="case">Only the matter that this message was about</label></fieldset>'
        if has_case
        else '<input type="hidden" name="scope" value="everything">'
    )
    return _page(
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
    return _page(
        "We have written down that you do not want to be contacted",
        f"<p>From now on nobody is given your contact details.</p>{under_way}"
        "<p>We will not send a message to confirm this.</p>",
    )


def link_over() -> HTMLResponse:
    """Return the page for a link that is not ours, or too old."""
    return _page(
        "This link no longer works",
        "<p>Ask the organisation that wrote to you to stop: they can do it for you at once.</p>",
        404,
    )


def self_referral_form() -> HTMLResponse:
    """Return the page on which a person confirms that it was they who asked."""
    return _page(
        "Was it you who asked about restorative justice?",
        "<p>If it was, press the button, and somebody will contact you. If it was not, do nothing.</p>"
        '<form method="post"><button type="submit">Yes, it was me</button></form>',
    )


def self_referral_confirmed() -> HTMLResponse:
    """Return the page after the confirmation."""
    return _page("Thank you", "<p>Somebody will contact you. You can say no at any time.</p>")
