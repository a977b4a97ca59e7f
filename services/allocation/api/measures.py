"""What commissioners measure, as JSON or CSV."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from starlette.responses import Response

from services.allocation.api.common import Current, json_response
from services.allocation.api.drafts import registry_of
from services.allocation.store.measures import measure
from shared.runtime.auth import Caller, scope
from shared.runtime.problems import FieldError, invalid
from shared.runtime.service import Service
from shared.runtime.times import Time

router = APIRouter(prefix="/v1", tags=["measures"])
BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)
END = datetime(2100, 1, 1, tzinfo=UTC)


@router.get("/measures")
async def get_measures(
    service: Current,
    area: Annotated[
        str | None, Query(max_length=100, description="a police area, or a part of one; left out: all")
    ] = None,
    since: Annotated[Time, Query()] = BEGINNING,
    until: Annotated[Time, Query(description="excluded")] = END,
    as_: Annotated[Literal["json", "csv"], Query(alias="format")] = "json",
    caller: Caller = scope("hub", "commissioner"),  # noqa: ARG001 - the declaration is the check
) -> Response:
    """Return the commissioner's figures for an area and a period, each with its definition."""
    if since >= until:
        raise invalid([FieldError("until", "not after `since`", "Give a period that has a length.")])
    found = await measure(service.pool, await _within(service, area), since, until)
    if as_ == "csv":
        headers = {"Content-Disposition": 'attachment; filename="measures.csv"'}
        return Response(
            _csv(found, area, since, until), headers=headers, media_type="text/csv; charset=utf-8"
        )
    return json_response({"area": area, "since": since, "until": until, "measures": found})


async def _within(service: Service, area: str | None) -> list[str] | None:
    """Return the area and its parts. Raises Problem 422 for one that nobody knows: its figures would all be nothing."""
    if area is None:
        return None
    areas = (await registry_of(service)).policies.current.areas
    known = areas.find(area)
    if known is None:
        remedy = (
            "Give a police area or a part of one, as areas.yaml has it: by id, ONS code, force code or name."
        )
        raise invalid([FieldError("area", "not known", remedy)])
    return sorted(each.id for each in areas.by_id.values() if known.id in each.within)


def _csv(found: list[dict[str, Any]], area: str | None, since: datetime, until: datetime) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(("measure", "by", "group", "value", "area", "since", "until", "definition"))
    for entry in found:
        values = entry["values"] if "by" in entry else {"": entry["value"]}
        for group, value in values.items():
            row = (entry["measure"], entry.get("by", ""), group, "" if value is None else value)
            writer.writerow((*row, area or "", since.isoformat(), until.isoformat(), entry["definition"]))
    return text.getvalue()
