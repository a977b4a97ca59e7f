"""What agencies could not be told: their failed deliveries, for operators, who can have them tried again."""

from __future__ import annotations

import secrets
from typing import Annotated, Final, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import HTMLResponse, Response

from services.dashboard.api.common import Worker, form_of, page, seen, signed_in
from services.dashboard.core import Current
from services.dashboard.gateways import Refused

router = APIRouter(include_in_schema=False)
Id = Annotated[str, Path(pattern=r"^[0-9a-f-]{36}\.-?\d{1,18}$")]
_PAGE: Final = 50
_CONFLICT: Final = 409  # it is being tried again already, or has been taken meanwhile


@router.get("/deliveries")
async def show(
    request: Request,
    service: Current,
    said: Annotated[Literal["", "again", "moved"], Query()] = "",
    cursor: Annotated[str, Query(max_length=400)] = "",
    worker: Worker = signed_in("operator"),
) -> HTMLResponse:
    """Show the deliveries that have failed for good, the last first."""
    query: dict[str, str | int] = {"state": "failed", "limit": _PAGE}
    query |= {"cursor": cursor} if cursor else {}
    found = await service.notifications.deliveries(worker.token, **query)
    return page(
        request, "deliveries.html", deliveries=found["deliveries"], said=said, key=secrets.token_urlsafe(18),
        onward=urlencode({"cursor": found["next"]}) if found["next"] else "",
    )  # fmt: skip


@router.post("/deliveries/{delivery}/redrive")
async def redrive(
    request: Request, service: Current, delivery: Id, worker: Worker = signed_in("operator")
) -> Response:
    """Have one tried again."""
    form = await form_of(request, worker)
    try:
        await service.notifications.redrive(worker.token, delivery, str(form.get("key", "")))
    except Refused as refused:
        if refused.status != _CONFLICT:
            raise
        return seen("/deliveries?said=moved")
    return seen("/deliveries?said=again")
