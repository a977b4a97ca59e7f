"""What takes two people, wherever it was asked for: what waits, what became of it; and that one of them says no."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from services.intake.api import answers
from services.intake.api.common import json_response
from services.intake.core import Current
from services.intake.store import second_person as store
from shared.runtime.auth import Caller, scope
from shared.runtime.problems import not_found
from shared.runtime.work import Work

router = APIRouter(prefix="/v1/second-person", tags=["people"])
Id = Annotated[str, Query(pattern=r"^[A-Za-z0-9_.:-]{1,100}$")]


@router.get("", responses={200: {"model": answers.Requests}})
async def list_requests(
    service: Current,
    state: Annotated[store.State, Query()] = "waiting",
    cursor: Annotated[str | None, Query(max_length=600)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    caller: Caller = scope("hub"),  # noqa: ARG001 - the declaration is the check
) -> Response:
    """Return the erasures, splits and unlinks that wait for a second person, the soonest to lapse first.

    Whoever asks for the same confirms it. `detail`: of a split the record, of an unlink the other id. `state` ended: what
    became of those of the last 30 days: done, refused, taken_back, lapsed.
    """
    found, following = await store.page(service.pool, state, cursor, limit)
    return json_response({"requests": found, "next": following})


@router.delete("", responses={200: {"model": answers.NotDone}})
async def refuse(
    service: Current,
    person: Id,
    what: store.What,
    detail: Annotated[str, Query(pattern=r"^[A-Za-z0-9_.:-]{0,100}$")] = "",
    caller: Caller = scope("hub"),
) -> Response:
    """Refuse what waits for a second person, or take it back where you asked for it: it is not done."""
    own = await service.transact(_refuse, person, what, detail, actor=caller.actor)
    return json_response({"person": person, "state": "taken_back" if own else "refused"})


async def _refuse(work: Work, person: str, what: store.What, detail: str) -> bool:
    if what == "unlink":
        person, detail = sorted((person, detail))
    own = await store.refuse(work, person, what, detail)
    if own is None:
        raise not_found("request that waits for a second person")
    return own
