"""Sending one webhook: Standard Webhooks, thin, to a checked address, without following redirects."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx
import msgspec
from standardwebhooks import Webhook

from services.notifications.webhooks.guard import Forbidden, resolve
from services.notifications.webhooks.rows import Claimed
from shared.runtime import crash

GONE = 410
TIMEOUT = httpx.Timeout(10, connect=5)
# Of a whole try: each byte of an answer that never ends comes in time. Shorter than the lease of a delivery.
MOST_SECONDS = 20.0


@dataclass(frozen=True)
class Sent:
    """How a try ended. `reason` is a code, None if the endpoint took it; `final`: do not try again by yourself."""

    reason: str | None = None
    final: bool = False


def client() -> httpx.AsyncClient:
    """Return the client that webhooks are sent with: no redirects, no proxies from the environment, no cookies kept."""
    return httpx.AsyncClient(timeout=TIMEOUT, follow_redirects=False, trust_env=False)


def body_of(delivery: Claimed, now: datetime) -> bytes:
    """Return the thin body: which case changed, and the number of the feed's entry that says how."""
    kind = "case.changed" if delivery.case else "feed.changed"
    if delivery.number == 0:
        kind = "subscription.test"
    data: dict[str, object] = {"number": delivery.number}
    if delivery.event:
        data["event"] = delivery.event
    if delivery.case:
        data["case"] = delivery.case
    return msgspec.json.encode({"type": kind, "timestamp": (delivery.at or now).isoformat(), "data": data})


async def send(http: httpx.AsyncClient, delivery: Claimed, secret: bytes, *, development: bool) -> Sent:
    """Send one delivery. Never raises for what the endpoint does."""
    # The receiver compares this time with its own clock: the real one, whatever a development stack's clock is shifted to.
    now = datetime.now(UTC)
    content = body_of(delivery, now)
    # The same id at every try, so that the receiver can tell a repetition.
    webhook_id = delivery.id
    headers = {
        "content-type": "application/json",
        "user-agent": "Onefriend",
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(webhook_id, now, content.decode()),
    }
    if delivery.trace:
        headers["traceparent"] = delivery.trace
    try:
        async with asyncio.timeout(MOST_SECONDS):
            status = await _post(http, delivery.url, content, headers, development=development)
    except Forbidden:
        return Sent("forbidden-address", final=True)
    except (TimeoutError, httpx.TimeoutException):
        return Sent("timeout")
    except (httpx.HTTPError, OSError):
        return Sent("connection")
    if httpx.codes.is_success(status):
        return Sent()
    if httpx.codes.is_redirect(status):
        return Sent("redirect")
    return Sent(f"status-{status}") if status != GONE else Sent("gone", final=True)


async def _post(
    http: httpx.AsyncClient, url: str, content: bytes, headers: dict[str, str], *, development: bool
) -> int:
    target = await resolve(url, development=development)
    request = http.build_request(
        "POST",
        target.url,
        content=content,
        headers={**headers, "host": target.host},
        extensions={"sni_hostname": target.name},
    )
    # The answer's body is never read: only its status counts, and it could be endless.
    if crash.ARMED:
        crash.reach("before_call", "webhook")
    answer = await http.send(request, stream=True)
    await answer.aclose()
    if crash.ARMED:
        crash.reach("after_call", "webhook")
    return answer.status_code
