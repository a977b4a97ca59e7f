"""What every page shares: who is signed in, templates, headers, forms that are ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from fastapi import Request, Security
from fastapi.openapi.models import APIKey, APIKeyIn
from fastapi.security.base import SecurityBase
from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from starlette.datastructures import FormData, MutableHeaders
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.dashboard import words
from services.dashboard.agencies import Agencies
from services.dashboard.core import Dashboard
from services.dashboard.sessions import Over, Session
from shared.runtime.auth import Caller
from shared.runtime.errors import Unavailable
from shared.runtime.problems import Problem

FOLDER: Final = Path(__file__).parents[1]
COOKIE: Final = "onefriend_session"
_PAGES: Final = (
    ("/reviews", "Who is who", ("hub",)),
    ("/people", "What was joined", ("hub",)),
    ("/waiting", "Waiting for a second person", ("hub",)),
    ("/reviews/incomplete", "Waiting for an agency", ("hub", "operator")),
    ("/reviews/agreement", "How reviewers agree", ("hub", "operator")),
    ("/measures", "What is measured", ("hub", "commissioner")),
    ("/deliveries", "Failed deliveries", ("operator",)),
)
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {"Content-Security-Policy": _POLICY, "Cache-Control": "no-store"}


class NotSignedIn(Exception):
    """Nobody is signed in: the browser is sent to do so, and comes back to where it was."""


@dataclass(frozen=True, slots=True)
class Worker:
    """Whoever is signed in, and a token that the services will accept of them."""

    caller: Caller
    token: str
    session: Session

    @property
    def name(self) -> str:
        """What to call them."""
        return self.caller.worker or self.caller.agency

    def asked(self, request: Mapping[str, Any]) -> bool:
        """Say whether they asked for what waits for a second person: it is somebody else who confirms it."""
        return (request["agency"], request["worker"]) == (self.caller.agency, self.caller.worker)

    @property
    def pages(self) -> list[tuple[str, str]]:
        """The pages of their role: address and name."""
        return [(address, name) for address, name, scopes in _PAGES if any(map(self.caller.may, scopes))]


class SignedIn(SecurityBase):
    """The dependency behind `signed_in`: a class, so that a test can read what a route declares."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self.model = APIKey.model_validate({"in": APIKeyIn.cookie, "name": COOKIE})
        self.scheme_name = "session"

    async def __call__(self, request: Request) -> Worker:
        """Return who is signed in. Raises NotSignedIn, Problem 403 without one of the scopes, Unavailable."""
        service: Dashboard = request.app.state.service
        if not service.started:
            raise Unavailable("the dashboard is starting")
        cookie = request.cookies.get(COOKIE, "")
        try:
            session = service.sessions.session(cookie)
            token, kept = await service.sessions.token(session)
        except Over:
            raise NotSignedIn from None
        if kept != session:
            answer = Response()
            keep(service, answer, COOKIE, *service.sessions.renewed(cookie, kept))
            request.state.renewed = answer.headers["set-cookie"]
        caller = await service.verifier.verify(token)
        request.state.worker = worker = Worker(caller, token, kept)
        if self.names and not any(caller.may(name) for name in self.names):
            raise Problem(403, "scope", "Your role does not include this page.")
        await service.agencies.look(token)
        return worker


def keep(service: Dashboard, answer: Response, name: str, value: str, seconds: int) -> None:
    """Have the browser keep a cookie that no script and no other site can use."""
    # Lax and not strict: the browser comes back from the sign-in page of another site.
    secure = service.own.address.startswith("https:")
    answer.set_cookie(name, value, seconds, httponly=True, samesite="lax", secure=secure, path="/")


class Renewing:
    """Gives the browser its session's next cookie, with whatever is answered. Plain ASGI: pages are made in many places."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        state = scope.setdefault("state", {})

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start" and "renewed" in state:
                headers = MutableHeaders(raw=message["headers"])
                # Signing out takes the cookie away, and signing in gives one: they have the last word.
                if not any(one.startswith(f"{COOKIE}=") for one in headers.getlist("set-cookie")):
                    headers.append("set-cookie", state["renewed"])
            await send(message)

        await self._app(scope, receive, sending)


def signed_in(*names: str) -> Any:  # noqa: ANN401 - a FastAPI dependency, used as a parameter's default
    """Return the dependency that demands somebody signed in with one of these scopes; without any, somebody signed in."""
    return Security(SignedIn(names), scopes=names)


async def form_of(request: Request, worker: Worker) -> FormData:
    """Return a form's fields. Raises Problem 403 if the form is not one of ours."""
    form = await request.form(max_files=0, max_fields=50)
    # Browsers say where a request began; SameSite and the token below hold for those that do not.
    elsewhere = request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")
    if elsewhere or not worker.session.wrote(str(form.get("csrf", ""))):
        raise Problem(
            403, "form", "This form is out of date.", detail="Go back, load the page again, and repeat."
        )
    return form


# ------------------------------------------------------------------------------------------------------------- templates


@cache
def _address(name: str) -> str:
    """Return the address of a static file, which changes with its content, so that browsers may keep it for ever."""
    return f"/static/{name}?v={sha256((FOLDER / 'static' / name).read_bytes()).hexdigest()[:12]}"


@pass_context
def _agency(context: Context, agency: str) -> str:
    agencies: Agencies | None = context.get("agencies")
    return agencies.name(agency) if agencies else agency


def _environment() -> Environment:
    loader = FileSystemLoader(FOLDER / "templates")
    made = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.globals["static"] = _address
    made.filters |= words.FILTERS | {"agency": _agency}
    return made


_TEMPLATES: Final = _environment()


def page(request: Request, template: str, status: int = 200, **context: Any) -> HTMLResponse:  # noqa: ANN401 - a template's names
    """Return a page."""
    worker: Worker | None = getattr(request.state, "worker", None)
    agencies = request.app.state.service.agencies
    shared = {"worker": worker, "path": request.url.path, "agencies": agencies}
    text = _TEMPLATES.get_template(template).render(**shared, **context)
    return HTMLResponse(text, status, _HEADERS)


def seen(address: str) -> RedirectResponse:
    """Send the browser on after a form, so that going back does not send it again."""
    return RedirectResponse(address, 303, {"Cache-Control": "no-store"})


def to_sign_in(request: Request) -> RedirectResponse:
    """Send the browser to sign in, and back to the page that it wanted; after a form, to where it is told of its loss."""
    if request.method == "GET":
        onward = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    elif request.url.path == "/sign-out":
        return seen("/signed-out")
    else:
        onward = "/reviews?said=not_saved"
    return seen(f"/sign-in?onward={quote(onward, safe='')}")
