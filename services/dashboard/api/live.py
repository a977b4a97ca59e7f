"""Live updates: server-sent events that say that something has changed. They carry no data: the page asks again."""

from __future__ import annotations

from collections.abc import AsyncIterator

from fastapi import APIRouter
from starlette.responses import StreamingResponse

from services.dashboard.api.common import Worker, signed_in
from services.dashboard.core import Current, Dashboard
from services.dashboard.handlers import REVIEWS

router = APIRouter(include_in_schema=False)


async def _events(service: Dashboard, subject: str) -> AsyncIterator[str]:
    yield "retry: 1000\n\n"
    async for number in service.board.watch(subject):
        if service.stopping.is_set():
            return
        # A sign of life where there is no news, so that nothing on the way takes the connection for dead.
        yield ": nothing new\n\n" if number is None else f"event: {subject}\ndata: {number}\n\n"


@router.get("/live/reviews")
async def live_reviews(service: Current, worker: Worker = signed_in("hub")) -> StreamingResponse:  # noqa: ARG001 - the declaration is the check
    """Say whenever the review queue has changed."""
    return StreamingResponse(
        _events(service, REVIEWS), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
    )
