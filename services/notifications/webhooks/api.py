"""HTTP: an agency's subscriptions."""

from __future__ import annotations

import base64
from functools import cache
from typing import Annotated, Any

import asyncpg
import msgspec
from fastapi import APIRouter, Depends, Path, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from services.notifications.domain import subscription as rules
from services.notifications.domain import tell
from services.notifications.domain.subscription import Standing
from services.notifications.webhooks import confirmations, deliveries, guard, links, operators, readers, rows
from services.notifications.webhooks.confirmations import Question
from services.notifications.webhooks.loops import settings_of, vault_of
from services.notifications.webhooks.operators import wake
from services.notifications.webhooks.secrets import new_secret
from shared.contracts.envelope import REGISTER
from shared.runtime.auth import Caller, scope
from shared.runtime.http import check_version, etag, required_version
from shared.runtime.idempotency import Answer, idempotency_key
from shared.runtime.identifiers import new_id
from shared.runtime.problems import FieldError, Problem, invalid, not_found
from shared.runtime.service import Service, current_service
from shared.runtime.work import Work

router = APIRouter(prefix="/v1", tags=["webhooks"])
router.include_router(links.router)
router.include_router(operators.router)
router.include_router(deliveries.router)
Current = Annotated[Service, Depends(current_service)]
Key = Annotated[str, Depends(idempotency_key)]
Id = Annotated[str, Path(pattern=r"^[0-9a-f-]{36}$")]
MOST_SUBSCRIPTIONS = 20
TEST = "subscription.test"


@cache
def kinds() -> frozenset[str]:
    """Return the kinds of entry that there are."""
    told = (contract for contract in REGISTER.values() if contract.payload in tell.registry)
    return frozenset(contract.type.rpartition(".v")[0] for contract in told)


class NewSubscription(BaseModel, extra="forbid"):
    """Where to send, and which kinds of entry (none named: all)."""

    url: str = Field(
        max_length=guard.LONGEST_URL,
        description="https://… for webhooks; mailto:desk@agency.example, which has to confirm it; kafka:cases for your "
        "agency's own topic",
    )
    kinds: tuple[str, ...] = Field(default=(), max_length=50)
    after: int | None = Field(
        default=None, ge=0, le=2**62, description="begin after this entry; default: the last"
    )


class ChangedSubscription(BaseModel, extra="forbid"):
    """What is to be changed; `rotate_secret` gives a new secret and ends the old one at once."""

    url: str | None = Field(default=None, max_length=guard.LONGEST_URL)
    kinds: tuple[str, ...] | None = Field(default=None, max_length=50)
    active: bool | None = None
    rotate_secret: bool = False


class Replay(BaseModel, extra="forbid"):
    """Deliver everything after this entry again."""

    after: int = Field(ge=0, le=2**62)


def _check(service: Service, url: str | None, wanted: tuple[str, ...] | None) -> None:
    wrong = []
    if url is not None:
        try:
            readers.check(url, development=service.settings.development)
        except guard.Forbidden as error:
            what, _, remedy = str(error).partition("; ")
            wrong.append(FieldError("url", what, remedy))
    for index, kind in enumerate(wanted or ()):
        if kind not in kinds():
            remedy = f"Use one of: {', '.join(sorted(kinds()))}."
            wrong.append(FieldError(f"kinds[{index}]", "no such kind of entry", remedy))
    if wrong:
        raise invalid(wrong)


def _shown(service: Service, row: asyncpg.Record) -> dict[str, Any]:
    return {
        "id": row["subscription_id"],
        "url": row["url"],
        "kinds": row["kinds"],
        "active": row["active"],
        "reason": row["reason"],
        "confirmation": confirmations.shown(row, settings_of(service).confirmation_days),
        "taken": row["taken"],
        "failed": row["failed"],
        "created_at": row["created_at"],
    }


def _answer(service: Service, row: asyncpg.Record, status: int = 200, **more: object) -> Response:
    content = msgspec.json.encode(_shown(service, row) | more)
    return Response(content, status, {"ETag": etag(row["version"])}, media_type="application/json")


async def _mine(service: Service, caller: Caller, subscription: str) -> asyncpg.Record:
    found = await rows.of_agency(service.pool, caller.agency, subscription)
    if not found:
        raise not_found("subscription")
    return found[0]


async def _secret(service: Service, subscription: str) -> str:
    """Return the secret as Standard Webhooks writes it."""
    stored = await service.pool.fetchval(
        "SELECT secret FROM subscription WHERE subscription_id = $1", subscription
    )
    if stored is None:
        raise not_found("subscription")
    return "whsec_" + base64.b64encode(vault_of(service).unlock(subscription, stored)).decode()


@router.post("/subscriptions", status_code=201)
async def create(
    service: Current, request: Request, wanted: NewSubscription, key: Key, caller: Caller = scope("subscribe")
) -> Response:
    """Subscribe an endpoint to your feed. The answer holds the secret that its signatures are checked with.

    A mailbox (mailto:) is sent one message with a link, and nothing else before somebody who reads it has agreed:
    `confirmation` says how that stands.
    """
    _check(service, wanted.url, wanted.kinds)
    subscription = new_id()
    secret = vault_of(service).lock(subscription, new_secret())

    async def command(work: Work) -> Answer:
        await work.lock()
        count = await work.fetchval("SELECT count(*) FROM subscription WHERE agency = $1", caller.agency)
        if count >= MOST_SUBSCRIPTIONS:
            raise Problem(
                409,
                "too-many",
                f"An agency has at most {MOST_SUBSCRIPTIONS} subscriptions.",
                detail="Delete one.",
            )
        standing = rules.begin(wanted.url)
        row = (subscription, caller.agency, standing, list(wanted.kinds), secret, wanted.after, work.now)
        work.write(rows.insert, row)
        if not standing.confirmed:
            question = Question(subscription, caller.agency, wanted.url)
            await confirmations.ask(work, vault_of(service), settings_of(service).limits, question)
        # The secret is not part of the stored answer, which is kept unencrypted.
        return Answer(201, {"id": subscription})

    answer = await service.once(caller, key, await request.body(), command, route="subscriptions")
    made = await _mine(service, caller, answer.body["id"])
    return _answer(service, made, 201, secret=await _secret(service, answer.body["id"]))


@router.get("/subscriptions")
async def list_all(service: Current, caller: Caller = scope("subscribe")) -> Response:
    """Return your agency's subscriptions."""
    found = await rows.of_agency(service.pool, caller.agency)
    return Response(
        msgspec.json.encode({"subscriptions": [_shown(service, row) for row in found]}),
        media_type="application/json",
    )


@router.get("/subscriptions/{subscription}")
async def read(service: Current, subscription: Id, caller: Caller = scope("subscribe")) -> Response:
    """Return one of your subscriptions, with its ETag."""
    return _answer(service, await _mine(service, caller, subscription))


@router.patch("/subscriptions/{subscription}")
async def change(
    service: Current,
    request: Request,
    subscription: Id,
    wanted: ChangedSubscription,
    caller: Caller = scope("subscribe"),
) -> Response:
    """Change a subscription; needs If-Match. Another mailbox has to confirm it anew, and is told nothing before."""
    version = required_version(request)
    _check(service, wanted.url, wanted.kinds)
    secret = vault_of(service).lock(subscription, new_secret()) if wanted.rotate_secret else None

    async def command(work: Work) -> None:
        await work.lock()
        row = await rows.held(work, subscription)
        if row is None or row["agency"] != caller.agency:
            raise not_found("subscription")
        check_version(version, row["version"])
        before = Standing(row["url"], row["active"], row["reason"], row["confirmed"])
        standing = rules.change(before, wanted.url, active=wanted.active)
        chosen = row["kinds"] if wanted.kinds is None else list(wanted.kinds)
        work.write(rows.change, (subscription, standing, chosen, secret))
        if not standing.confirmed and standing.url != before.url:
            # Another address: how long ago the old one was asked does not matter, how often this one was does.
            question = Question(subscription, caller.agency, standing.url, row["asked"])
            await confirmations.ask(work, vault_of(service), settings_of(service).limits, question)
        work.after_commit(wake)

    await service.transact(command, actor=caller.actor)
    row = await _mine(service, caller, subscription)
    if secret:
        return _answer(service, row, secret=await _secret(service, subscription))
    return _answer(service, row)


@router.delete("/subscriptions/{subscription}", status_code=204)
async def delete(service: Current, subscription: Id, caller: Caller = scope("subscribe")) -> Response:
    """End a subscription. What has not been delivered is not delivered; the feed stays."""

    async def command(work: Work) -> None:
        row = await rows.held(work, subscription)
        if row is None or row["agency"] != caller.agency:
            raise not_found("subscription")
        work.write(rows.remove, subscription)

    await service.transact(command, actor=caller.actor)
    return Response(status_code=204)


@router.post("/subscriptions/{subscription}/test", status_code=202)
async def send_test(
    service: Current, request: Request, subscription: Id, key: Key, caller: Caller = scope("subscribe")
) -> Response:
    """Send a `subscription.test`, signed like all others; its end is seen among the deliveries as number 0."""
    found = await _mine(service, caller, subscription)
    if not found["confirmed"]:
        raise confirmations.unconfirmed()

    async def command(work: Work) -> Answer:
        await work.lock()
        work.write(rows.add, (subscription, 0, f"{subscription}.test", "", TEST, work.now))
        work.after_commit(wake)
        return Answer(202, {"delivery": f"{subscription}.0"})

    answer = await service.once(caller, key, await request.body(), command, route=f"test/{subscription}")
    return answer.response()


@router.post("/subscriptions/{subscription}/replay", status_code=202)
async def replay(
    service: Current,
    request: Request,
    subscription: Id,
    wanted: Replay,
    key: Key,
    caller: Caller = scope("subscribe"),
) -> Response:
    """Deliver your feed again from after an entry: the subscription's cursor moves back (or forward) to it."""
    await _mine(service, caller, subscription)

    async def command(work: Work) -> Answer:
        await rows.held(work, subscription)
        last = await work.fetchval("SELECT last FROM feed_counter WHERE agency = $1", caller.agency)
        after = min(wanted.after, last or 0)
        work.write(rows.move, (subscription, after))
        work.after_commit(wake)
        return Answer(202, {"after": after})

    answer = await service.once(caller, key, await request.body(), command, route=f"replay/{subscription}")
    return answer.response()
