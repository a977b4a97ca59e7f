"""The frame of the few pages that people outside see: plain, accessible, without scripts or anything from elsewhere."""

from __future__ import annotations

from typing import Final

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


def page(title: str, body: str, status: int = 200, *, language: str = "en-GB") -> HTMLResponse:
    """Return a page; `title` and `body` are HTML, so that what comes from outside has to be escaped."""
    html = (
        f'<!DOCTYPE html><html lang="{language}"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots" content="noindex">'
        f"<style>{_STYLE}</style></head><body><main><h1>{title}</h1>{body}</main></body></html>"
    )
    return HTMLResponse(
        html, status, headers={"Content-Security-Policy": _POLICY, "Cache-Control": "no-store"}
    )
