"""Errors as pages. What the runtime's own routes (/v1, probes) answer stays as it is for machines."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from services.dashboard.api.common import FOLDER, NotSignedIn, Renewing, page, seen, to_sign_in
from services.dashboard.gateways import Refused
from shared.runtime.errors import Unavailable
from shared.runtime.problems import Problem

log = logging.getLogger(__name__)
Handler = Callable[[Request, Any], Awaitable[Response]]
_MACHINES = ("/v1/", "/openapi.json", "/metrics")
_MISSING = 404
_NOT_SO = 405


class Static(StaticFiles):
    """Files that never change under their address: it carries a hash of them."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:  # noqa: ANN401 - as Starlette has it
        """Return the file, to be kept."""
        answer = super().file_response(*args, **kwargs)
        answer.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return answer


def answer_with_pages(app: FastAPI) -> None:
    """Let every error of a page be a page, keep people signed in, and serve the static files."""
    app.add_middleware(Renewing)
    app.mount("/static", Static(directory=FOLDER / "static"), name="static")
    for kind, handler in (
        (NotSignedIn, _not_signed_in),
        (Refused, _refused),
        (Problem, _problem),
        (HTTPException, _http),
        (RequestValidationError, _validation),
        (Unavailable, _unavailable),
        (Exception, _fault),
    ):
        app.add_exception_handler(kind, _unless_machine(handler, app.exception_handlers.get(kind)))


def _unless_machine(handler: Handler, before: Any) -> Handler:  # noqa: ANN401 - FastAPI's own handler type
    async def chosen(request: Request, error: Any) -> Response:  # noqa: ANN401 - whichever was raised
        if before is not None and request.url.path.startswith(_MACHINES):
            answered: Response = await before(request, error)
            return answered
        return await handler(request, error)

    return chosen


def _wrong(request: Request, status: int, title: str, detail: str = "") -> Response:
    return page(request, "problem.html", status, title=title, detail=detail)


async def _not_signed_in(request: Request, _error: NotSignedIn) -> Response:
    if "hx-request" in request.headers or "text/event-stream" in request.headers.get("accept", ""):
        # Scripts cannot follow to where people sign in: the whole page is loaded again, and goes there.
        return Response(status_code=401, headers={"HX-Refresh": "true", "Cache-Control": "no-store"})
    return to_sign_in(request)


async def _refused(request: Request, error: Refused) -> Response:
    title = "There is no such page" if error.status == _MISSING else error.title
    return _wrong(request, error.status, title, error.detail)


async def _problem(request: Request, error: Problem) -> Response:
    return _wrong(request, error.status, error.title, error.detail or "")


async def _http(request: Request, error: HTTPException) -> Response:
    if error.status_code == _NOT_SO and request.method == "GET":
        # A page that said what was wrong with a form, opened again by its address: go to the page that the form is on.
        return seen("/".join(request.url.path.split("/")[:3]))
    title = "There is no such page" if error.status_code == _MISSING else "This could not be done"
    return _wrong(request, error.status_code, title)


async def _validation(request: Request, _error: RequestValidationError) -> Response:
    return _wrong(request, 400, "The address or the form cannot be understood", "Go back and choose again.")


async def _unavailable(request: Request, _error: Unavailable) -> Response:
    detail = f"A part of Onefriend does not answer. {_outcome(request)}"
    return _wrong(request, 503, "This is not available now", detail)


def _outcome(request: Request) -> str:
    """Say what became of what was sent: whoever does not answer may have done it all the same."""
    if request.method in ("GET", "HEAD"):
        return "Nothing was changed. Try again in a moment."
    return (
        "What you sent may have been saved or not: go back and look how it stands before you send it again."
    )


async def _fault(request: Request, error: Exception) -> Response:
    log.error("page failed", exc_info=error, extra={"error": type(error).__name__})
    return _wrong(request, 500, "Something went wrong", f"It has been noted. {_outcome(request)}")
