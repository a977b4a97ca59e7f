"""Self-referrals: open to everybody, and answered alike whatever is known of whoever asks."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request
from starlette.responses import HTMLResponse, Response

from services.intake import selfreferring
from services.intake.api import answers, pages
from services.intake.api.common import Key, PathId, json_response, parse, sends
from services.intake.core import Current, Intake
from services.intake.selfreferring import SelfReferral
from services.intake.store import reading
from shared.runtime.auth import Caller, public, scope
from shared.runtime.idempotency import Answer
from shared.runtime.problems import FieldError, invalid, not_found
from shared.runtime.work import Work

router = APIRouter(prefix="/v1/self-referrals", tags=["self-referrals"])
Code = Annotated[str, Path(max_length=100)]
_NOBODY = Caller("public", None, frozenset(), "person", 0.0)


@router.post(
    "",
    status_code=202,
    dependencies=[Depends(public("people ask for themselves; verified by their reply"))],
    responses={202: {"model": answers.SelfReferred}},
    openapi_extra=sends(SelfReferral),
)
async def post_self_referral(request: Request, service: Current, key: Key) -> Response:
    """Take in what somebody asks for themselves. 202: they are written to, and nothing else happens before they reply."""
    raw = await request.body()
    sent = parse(SelfReferral, raw)
    if not sent.reachable():
        raise invalid(
            [
                FieldError(
                    "emails", "no way to answer", "Give an e-mail address, a telephone number or an address."
                )
            ]
        )
    remembered = service.keyring.tag("content", raw)
    # Everybody is the same caller here: the key is bound to what was sent, so that nobody meets another's answer.
    own = f"{key}/{remembered.hex()}"
    answer = await service.once(
        _NOBODY, own, remembered, _keep, service, sent, route="POST /v1/self-referrals"
    )
    return answer.response()


async def _keep(work: Work, service: Intake, sent: SelfReferral) -> Answer:
    number = await selfreferring.keep(work, service, sent)
    return Answer(202, {"self_referral": number, "next": "Reply to the message that we send you."})


@router.get(
    "/{number}/{code}",
    response_class=HTMLResponse,
    dependencies=[Depends(public("the link in our answer: shows a page"))],
)
async def show(number: PathId, code: Code) -> Response:  # noqa: ARG001 - the page is the same for every link
    """Show the page behind the link. It never acts."""
    return pages.self_referral_form()


@router.post(
    "/{number}/{code}",
    response_class=HTMLResponse,
    responses=answers.OVER,
    dependencies=[Depends(public("the link in our answer: confirms"))],
)
async def confirm(number: PathId, code: Code, service: Current) -> Response:
    """It was them: from now it is a referral."""
    known = reading.as_uuid(number)
    tag = service.keyring.tag("link", code)
    if known is None or not await service.transact(selfreferring.confirm, known, tag):
        return pages.link_over()
    return pages.self_referral_confirmed()


@router.post("/{number}", status_code=202, responses={202: {"model": answers.Confirmed}})
async def confirm_by_hub(number: PathId, service: Current, caller: Caller = scope("hub")) -> Response:
    """The hub has spoken to them: for people without e-mail."""
    known = reading.as_uuid(number)
    if known is None or not await service.transact(selfreferring.confirm, known, None, actor=caller.actor):
        raise not_found("self-referral that waits")
    return json_response({"self_referral": number, "state": "confirmed"}, 202)
