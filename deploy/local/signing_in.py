"""Signing in by hand at the local issuer: OAuth2's authorization code with PKCE (RFC 7636), for the dashboard alone.

    GET  /authorize     the form: response_type=code, client_id, redirect_uri, state, code_challenge (S256)
    POST /authorize     the worker's name and password: back to redirect_uri with a code, good once, for a minute
    POST /token         grant_type=authorization_code (code, redirect_uri, code_verifier) or refresh_token
    POST /revoke        a refresh token (RFC 7009)

Codes and refresh tokens are in memory: when the issuer restarts, people sign in again.
"""

import base64
import hashlib
import hmac
import html
import secrets
import time
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

from starlette.responses import HTMLResponse, RedirectResponse, Response

from deploy.local.workers import Worker, Workers

CODE_SECONDS = 60
SESSION_SECONDS = 8 * 3600  # a working day; then the name and password are asked for again
MOST = 10_000  # sessions, and codes: the oldest go first
LOCAL = ("127.0.0.1", "localhost")
_STYLE = (
    "body{font:1.2rem/1.5 Arial,Helvetica,sans-serif;color:#0b0c0c;background:#fff;"
    "margin:0 auto;max-width:30rem;padding:1.5rem}"
    "h1{font-size:1.9rem;line-height:1.2}label{display:block;font-weight:bold;margin-top:1rem}"
    "input{font:inherit;width:100%;box-sizing:border-box;padding:.4rem;border:2px solid #0b0c0c}"
    "button{font:inherit;font-weight:bold;color:#fff;background:#0f7a52;border:0;border-bottom:3px solid #002d18;"
    "padding:.6rem 1.2rem;margin-top:1.5rem;cursor:pointer}.wrong{border:4px solid #ca3535;padding:.8rem;font-weight:bold}"
    ":focus-visible{outline:3px solid #fd0;outline-offset:2px;box-shadow:0 0 0 4px #0b0c0c}"
)
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()


@dataclass(frozen=True)
class Asked:
    """What a browser came with."""

    client_id: str
    redirect_uri: str
    state: str
    challenge: str


@dataclass
class SignedIn:
    """The sessions of one issuer."""

    workers: Workers
    _codes: dict[str, tuple[Asked, str, float]] = field(default_factory=dict)
    _sessions: dict[str, tuple[str, float]] = field(default_factory=dict)

    def code(self, asked: Asked, worker: Worker) -> str:
        """A code for a worker who gave the right password."""
        code = secrets.token_urlsafe(32)
        _drop_oldest(self._codes)
        self._codes[code] = (asked, worker.id, time.monotonic() + CODE_SECONDS)
        return code

    def redeem(
        self, client_id: str, code: str, redirect_uri: str, verifier: str
    ) -> tuple[Worker, str] | None:
        """The worker of a code and a refresh token; None for a code that is not this client's, over, used or overheard."""
        asked, worker_id, until = self._codes.pop(code, (None, "", 0.0))
        digest = hashlib.sha256(verifier.encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        worker = self.workers.all().get(worker_id)
        if (
            asked is None
            or worker is None
            or time.monotonic() > until
            or (asked.client_id, asked.redirect_uri) != (client_id, redirect_uri)
            or not hmac.compare_digest(asked.challenge, challenge)
        ):
            return None
        refresh = secrets.token_urlsafe(32)
        _drop_oldest(self._sessions)
        self._sessions[refresh] = (worker.id, time.monotonic() + SESSION_SECONDS)
        return worker, refresh

    def refresh(self, token: str) -> Worker | None:
        """The worker of a session that goes on."""
        worker_id, until = self._sessions.get(token, ("", 0.0))
        return self.workers.all().get(worker_id) if time.monotonic() < until else None

    def revoke(self, token: str) -> None:
        """End a session."""
        self._sessions.pop(token, None)


def _drop_oldest(
    kept: dict[str, object] | dict[str, tuple[Asked, str, float]] | dict[str, tuple[str, float]],
) -> None:
    while len(kept) >= MOST:
        kept.pop(next(iter(kept)))


def read(fields: dict[str, str], port: int) -> Asked | str:
    """What a browser came with, or what is wrong with it: never a redirect to an address that is not the dashboard's."""
    if fields.get("client_id") != "dashboard" or not _at_dashboard(fields.get("redirect_uri", ""), port):
        return "This page is for signing in at the dashboard of this stack, and it was not the dashboard that sent you."
    if fields.get("response_type") != "code" or fields.get("code_challenge_method") != "S256":
        return "response_type must be code, and code_challenge_method S256."
    if not fields.get("code_challenge") or not fields.get("state"):
        return "code_challenge and state must be given."
    return Asked(fields["client_id"], fields["redirect_uri"], fields["state"], fields["code_challenge"])


def _at_dashboard(address: str, port: int) -> bool:
    try:
        where = urlsplit(address)
        return where.hostname in LOCAL and where.port == port
    except ValueError:  # no address, or no port
        return False


def back(asked: Asked, code: str) -> Response:
    """Send the browser back with its code."""
    query = urlencode({"code": code, "state": asked.state})
    return RedirectResponse(f"{asked.redirect_uri}?{query}", 303, {"Cache-Control": "no-store"})


def form(asked: Asked, *, wrong: bool = False) -> HTMLResponse:
    """The page that asks who you are."""
    given = {
        "response_type": "code",
        "client_id": asked.client_id,
        "redirect_uri": asked.redirect_uri,
        "state": asked.state,
        "code_challenge": asked.challenge,
        "code_challenge_method": "S256",
    }
    hidden = "".join(
        f'<input type="hidden" name="{name}" value="{html.escape(value)}">' for name, value in given.items()
    )
    problem = (
        '<p class="wrong" role="alert">The name or the password is wrong. '
        "A new password: bin/onefriend worker password NAME</p>"
        if wrong
        else ""
    )
    body = (
        f'{problem}<form method="post" action="/authorize">{hidden}'
        '<label for="name">Name</label><input id="name" name="name" autocomplete="username" required autofocus>'
        '<label for="password">Password</label>'
        '<input id="password" name="password" type="password" autocomplete="current-password" required>'
        '<button type="submit">Sign in</button></form>'
    )
    return _page("Sign in to Onefriend", body, asked, 401 if wrong else 200)


def refused(why: str) -> HTMLResponse:
    """The page for a browser that came from elsewhere."""
    return _page("You cannot sign in here", f"<p>{html.escape(why)}</p>", None, 400)


def _page(title: str, body: str, asked: Asked | None, status: int) -> HTMLResponse:
    where = urlsplit(asked.redirect_uri) if asked else None
    target = f" {where.scheme}://{where.netloc}" if where else ""
    policy = (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'{target}; "
        "frame-ancestors 'none'; base-uri 'none'"
    )
    return HTMLResponse(
        f'<!DOCTYPE html><html lang="en-GB"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body><main><h1>{title}</h1>{body}</main></body></html>",
        status,
        {
            "Content-Security-Policy": policy,
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
        },
    )
