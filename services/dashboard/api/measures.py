"""The commissioner's figures by area and period, each with its definition beside it; and the same as a file."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Annotated, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import HTMLResponse, Response

from services.dashboard import words
from services.dashboard.api.common import Worker, page, signed_in
from services.dashboard.core import Current
from services.dashboard.gateways import Refused

router = APIRouter(include_in_schema=False)
_INVALID: Final = 422
_EARLIEST: Final = date(2000, 1, 1)
_LATEST: Final = date(2099, 12, 31)
Text = Annotated[str, Query(max_length=100)]

Chosen = dict[str, str]


async def _chosen(  # async: FastAPI runs what is not in a thread
    area: Text = "", since: Text = "", until: Text = ""
) -> Chosen:
    return {"area": area.strip(), "since": since.strip(), "until": until.strip()}


@router.get("/measures", response_model=None)
async def show(
    request: Request,
    service: Current,
    chosen: Annotated[Chosen, Depends(_chosen)],
    worker: Worker = signed_in("hub", "commissioner"),
) -> HTMLResponse:
    """Show the figures; of everywhere and for ever, unless an area or a period is chosen."""
    query, wrong = _asked(**chosen)
    measures = []
    try:
        if not wrong:
            measures = (await service.allocation.measures(worker.token, query)).json()["measures"]
    except Refused as refused:
        if refused.status != _INVALID:
            raise
        wrong["area"] = "Nobody knows this area: give a police area or a part of one, by its name"
    return page(
        request, "measures.html", _INVALID if wrong else 200, measures=measures, wrong=wrong, chosen=chosen,
        file="/measures/file?" + urlencode(chosen),
    )  # fmt: skip


@router.get("/measures/file")
async def file(
    service: Current,
    chosen: Annotated[Chosen, Depends(_chosen)],
    worker: Worker = signed_in("hub", "commissioner"),
) -> Response:
    """Give the same figures as CSV."""
    query, _ = _asked(**chosen)
    answer = await service.allocation.measures(worker.token, {**query, "format": "csv"})
    headers = {"Content-Disposition": 'attachment; filename="measures.csv"', "Cache-Control": "no-store"}
    return Response(answer.content, headers=headers, media_type="text/csv; charset=utf-8")


def _asked(area: str, since: str, until: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return what to ask allocation for, from one day's midnight in London to that after another; and what is wrong."""
    query, wrong = {"area": area} if area else {}, {}
    first, last = _day(since), _day(until)
    if since and first is None:
        wrong["since"] = "Give the first day as a date, like 2026-04-01"
    if until and last is None:
        wrong["until"] = "Give the last day as a date, like 2026-06-30"
    if first and last and last < first:
        wrong["until"] = "The last day is before the first"
    if first:
        query["since"] = _midnight(first)
    if last:
        query["until"] = _midnight(last + timedelta(days=1))
    return query, wrong


def _day(text: str) -> date | None:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        return None
    return found if _EARLIEST <= found <= _LATEST else None


def _midnight(day: date) -> str:
    return datetime(day.year, day.month, day.day, tzinfo=words.LONDON).isoformat()
