"""HTTP: messages to people, and what providers report of them later."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import asyncpg
import msgspec
from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from standardwebhooks import Webhook, WebhookVerificationError
from starlette.responses import Response

from services.notifications import store
from services.notifications.gateways import Refused
from services.notifications.messages import rows, words
from services.notifications.messages.post import accept, redeem_and_send
from services.notifications.webhooks.loops import settings_of
from shared.runtime.auth import Caller, public, scope
from shared.runtime.idempotency import Answer, idempotency_key
from shared.runtime.identifiers import new_id
from shared.runtime.problems import FieldError, Problem, invalid, not_found
from shared.runtime.service import Service, current_service
from shared.runtime.work import Work

router = APIRouter(prefix="/v1", tags=["messages"])
Current = Annotated[Service, Depends(current_service)]
Key = Annotated[str, Depends(idempotency_key)]


class WantedMessage(BaseModel):
    """A permit that you hold, its fence, and the words to send. The channel is the permit's."""

    model_config = ConfigDict(extra="forbid")

    permit: str = Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9_.:-]+$")
    fence: int = Field(ge=0, le=2**62)
    template: str = Field(max_length=50)
    language: str | None = Field(
        default=None,
        max_length=10,
        description="left out: the person's own, if the template is written in it",
    )


class Report(BaseModel):
    """What a provider reports of a message."""

    message: str = Field(max_length=100)
    status: Literal["delivered", "returned", "failed"]


def _check(wanted: WantedMessage) -> None:
    known = words.templates()
    if wanted.template not in known:
        remedy = f"Use one of: {', '.join(sorted(known))}."
        raise invalid([FieldError("template", "no such template", remedy)])
    if wanted.language is not None and wanted.language not in known[wanted.template]:
        remedy = (
            f"Use one of: {', '.join(known[wanted.template])}; or leave it out: the person's own is taken."
        )
        raise invalid([FieldError("language", "this template is not written in it", remedy)])


def _shown(row: asyncpg.Record) -> dict[str, Any]:
    """Return a message as its holder sees it: where it went is not kept."""
    return {
        "message": row["message_id"],
        "permit": row["permit"],
        "template": row["template"],
        "language": row["language"],
        "state": row["step"],
        "reason": row["reason"],
        "channel": row["channel"],
        "provider": row["provider"],
        "provider_status": row["provider_status"],
        "outcome": row["outcome"],
        "outcome_state": row["outcome_step"],
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
    }


def _json(value: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")


@router.post("/messages", status_code=202)
async def send(
    service: Current, request: Request, wanted: WantedMessage, key: Key, caller: Caller = scope("contact")
) -> Response:
    """Send a letter, text or e-mail against a permit that you hold: it is redeemed for you, and the message sent once.

    409 `behind` means: nothing is redeemed yet, ask again with the same key. Any other refusal is final. What became of
    the message is told to consent for you; `unknown` means that a person has to find out, and it counts as contact.
    """
    _check(wanted)
    message = rows.NewMessage(
        new_id(), wanted.permit, wanted.fence, caller.agency, caller.worker, wanted.template, wanted.language
    )

    async def command(work: Work) -> Answer:
        taken = await accept(work, message)
        if taken is None:
            raise Problem(
                409,
                "permit-used",
                "This permit has a message already.",
                detail="A permit is good for one attempt. Ask consent for another.",
            )
        return Answer(202, {"message": taken})

    answer = await service.once(caller, key, await request.body(), command, route="messages")
    message_id = answer.body["message"]
    refused = await redeem_and_send(service, settings_of(service), message_id)
    if refused is not None:
        return _refusal(refused)
    row = await rows.one(service.pool, message_id)
    return _json(_shown(row) if row else answer.body, 202)


def _refusal(refused: Refused) -> Response:
    """Pass intake's refusal on: it was decided for this caller."""
    headers = {"Retry-After": refused.retry_after} if refused.retry_after else {}
    content = msgspec.json.encode(refused.body)
    return Response(content, refused.status, headers, media_type="application/problem+json")


@router.get("/messages/{message}")
async def read(
    service: Current,
    message: Annotated[str, Path(pattern=r"^[0-9a-f-]{36}$")],
    caller: Caller = scope("contact", "operator"),
) -> Response:
    """Return how far a message got."""
    row = await rows.one(service.pool, message)
    if row is None or not (
        caller.may("operator") or await store.is_or_was(service.pool, caller.agency, row["agency"])
    ):
        raise not_found("message")
    return _json(_shown(row))


@router.get("/messages")
async def to_reconcile(
    service: Current,
    after: Annotated[str, Query(max_length=36, pattern=r"^[0-9a-f-]*$")] = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    caller: Caller = scope("contact", "operator"),
) -> Response:
    """Return the messages that a person has to find out about: unknown ones, and outcomes that consent refused."""
    agency = None if caller.may("operator") else caller.agency
    found = await rows.to_reconcile(service.pool, agency, after, limit)
    following = found[-1]["message_id"] if len(found) == limit else None
    return _json({"messages": [_shown(row) for row in found], "next": following})


@router.post(
    "/provider-callbacks/{provider}",
    status_code=204,
    dependencies=[Depends(public("a provider has no token: it signs what it reports"))],
)
async def provider_callback(
    service: Current, request: Request, provider: Annotated[str, Path(pattern=r"^[a-z0-9-]{1,50}$")]
) -> Response:
    """Take a provider's report about a message, signed by Standard Webhooks with the secret agreed with it."""
    secret = settings_of(service).provider_secrets.get(provider)
    if secret is None:
        raise not_found("provider")
    body = await request.body()
    try:
        Webhook(secret.get_secret_value()).verify(body, dict(request.headers), json_parse=False)
    except (WebhookVerificationError, ValueError):
        raise Problem(
            401,
            "signature",
            "The signature is not valid.",
            detail="Sign by Standard Webhooks, with the current time.",
        ) from None
    report = Report.model_validate_json(body)

    async def command(work: Work) -> None:
        await work.lock()
        work.write(rows.save_provider_status, (report.message, provider, report.status, work.now))
        if report.status != "delivered":
            # A letter that came back was an attempt that reached nobody. If consent will not change what it has recorded,
            # the message joins those that a person looks at.
            work.write(rows.returned, (report.message, provider, work.now))

    await service.transact(command, actor=service.actor)
    return Response(status_code=204)
