"""Signing in and out."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import RedirectResponse, Response

from services.dashboard.api.common import COOKIE, Worker, form_of, keep, page, seen, signed_in
from services.dashboard.core import Current, Dashboard
from services.dashboard.sessions import SIGN_IN_SECONDS, Over
from shared.runtime.auth import public

router = APIRouter(include_in_schema=False)
TICKET: Final = "onefriend_sign_in"


def _ours(onward: str) -> str:
    """Return a page of ours: never an address elsewhere that somebody put into a link."""
    return onward if onward.startswith("/") and onward[1:2] not in ("/", "\\") else "/"


@router.get("/sign-in", dependencies=[Depends(public("whoever is not signed in comes here"))])
async def sign_in(service: Current, onward: Annotated[str, Query(max_length=500)] = "/") -> RedirectResponse:
    """Send the browser to the issuer."""
    ticket, address = service.sessions.begin(_ours(onward))
    answer = RedirectResponse(address, 303)
    keep(service, answer, TICKET, service.sessions.seal(ticket), SIGN_IN_SECONDS)
    return answer


def _signed_in(service: Dashboard, request: Request) -> bool:
    try:
        service.sessions.session(request.cookies.get(COOKIE, ""))
    except Over:
        return False
    return True


@router.get("/signed-in", dependencies=[Depends(public("the issuer sends the browser back here"))])
async def signed_in_now(
    request: Request,
    service: Current,
    state: Annotated[str, Query(max_length=200)] = "",
    code: Annotated[str, Query(max_length=2000)] = "",
) -> Response:
    """Open the session."""
    try:
        ticket = service.sessions.ticket(request.cookies.get(TICKET, ""))
        session = await service.sessions.complete(ticket, state, code)
    except Over:
        if _signed_in(service, request):  # in another tab, or before the browser went back to this address
            return seen("/")
        title, detail = "Signing in did not work", "Go to the first page and try again."
        return page(request, "problem.html", 400, title=title, detail=detail)
    answer = seen(ticket.onward)
    keep(service, answer, COOKIE, service.sessions.seal(session), service.sessions.seconds)
    answer.delete_cookie(TICKET)
    return answer


@router.post("/sign-out")
async def sign_out(request: Request, service: Current, worker: Worker = signed_in()) -> Response:
    """End the session, whatever one's role."""
    await form_of(request, worker)
    await service.sessions.end(worker.session)
    answer = seen("/signed-out")
    answer.delete_cookie(COOKIE)
    return answer


@router.get("/signed-out", dependencies=[Depends(public("nobody is signed in here"))])
async def signed_out(request: Request) -> Response:
    """Say that the session is over."""
    return page(request, "signed_out.html")
