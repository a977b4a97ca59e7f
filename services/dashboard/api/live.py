"""Live updates: server-sent events that say that something has changed. They carry no data: the page asks again."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import StreamingResponse

from services.dashboard.api.common import Worker, signed_in
from services.dashboard.core import Current, Dashboard
from services.dashboard.handlers import REVIEWS

router = APIRouter(include_in_schema=False)


async def _events(service: Dashboard, subject: str, seen: int, until: float) -> AsyncIterator[str]:
    yield "retry: 1000\n\n"
    async for number in service.board.watch(subject, seen):
        # When the token ends the browser connects again, and is told so if the session is over.
        if service.stopping.is_set() or time.time() > until:
            return
        # A sign of life where there is no news, so that nothing on the way takes the connection for dead.
        yield ": nothing new\n\n" if number is None else f"event: {subject}\ndata: {number}\n\n"


@router.get("/live/reviews")
async def live_reviews(
    service: Current, seen: Annotated[int, Query(ge=0, le=2**53)] = 0, worker: Worker = signed_in("hub")
) -> StreamingResponse:
    """Say whenever the review queue has changed since a page of it was made."""
    return StreamingResponse(
        _events(service, REVIEWS, seen, worker.caller.expires),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store"},
    )
