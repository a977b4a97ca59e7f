"""HTTP: having a mailbox asked again, and the page by which it agrees."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request
from starlette.responses import Response

from services.notifications.webhooks import confirmations, pages, rows
from services.notifications.webhooks.confirmations import Question
from services.notifications.webhooks.loops import settings_of, vault_of
from shared.runtime.auth import Caller, public, scope
from shared.runtime.idempotency import Answer, idempotency_key
from shared.runtime.problems import Problem, not_found
from shared.runtime.service import Service, current_service
from shared.runtime.work import Work

router = APIRouter(tags=["webhooks"])
Current = Annotated[Service, Depends(current_service)]
Token = Annotated[str, Path(max_length=400)]


@router.post("/subscriptions/{subscription}/confirmation", status_code=202)
async def ask_again(
    service: Current,
    request: Request,
    subscription: Annotated[str, Path(pattern=r"^[0-9a-f-]{36}$")],
    key: Annotated[str, Depends(idempotency_key)],
    caller: Caller = scope("subscribe"),
) -> Response:
    """Send the message that asks the mailbox of a subscription again. 429: that was too soon after the last one."""

    async def command(work: Work) -> Answer:
        await work.lock()
        row = await rows.held(work, subscription)
        if row is None or row["agency"] != caller.agency:
            raise not_found("subscription")
        if row["confirmed"]:
            title = "This subscription is confirmed, or needs no confirmation."
            raise Problem(409, "confirmed", title, detail="There is nothing to do.")
        question = Question(subscription, row["agency"], row["url"], row["asked"], row["asked_at"])
        await confirmations.ask(work, vault_of(service), settings_of(service).limits, question)
        return Answer(202, {"delivery": f"{subscription}.{-row['asked'] - 1}"})

    answer = await service.once(
        caller, key, await request.body(), command, route=f"confirmation/{subscription}"
    )
    return answer.response()


@router.get(
    "/subscriptions/link/{token}",
    dependencies=[Depends(public("the link in a message to a mailbox: shows a page"))],
)
async def show_link(service: Current, token: Token) -> Response:
    """Show the page behind the link in a message. It never acts: links are opened by mail scanners too."""
    return pages.outcome(*await service.transact(confirmations.look, vault_of(service), token))


@router.post(
    "/subscriptions/link/{token}",
    dependencies=[Depends(public("the link in a message to a mailbox: confirms the subscription"))],
)
async def use_link(service: Current, token: Token) -> Response:
    """Confirm a subscription by the link. The second time changes nothing."""
    return pages.outcome(*await service.transact(confirmations.confirm, vault_of(service), token))
