"""Why records are one person: each with its table of evidence; and a join undone by two people, each signed in."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.datastructures import FormData
from starlette.responses import HTMLResponse, Response

from services.dashboard import comparing, words
from services.dashboard.api.common import Worker, form_of, page, seen, signed_in
from services.dashboard.core import Current
from services.dashboard.gateways import Refused

router = APIRouter(include_in_schema=False)
_ID: Final = r"[A-Za-z0-9_.:-]{1,100}"
Id = Annotated[str, Path(pattern=f"^{_ID}$")]
Cursor = Annotated[str, Query(max_length=200)]
_PAGE: Final = 20
_MISSING: Final = 404
_GONE: Final = (_MISSING, 409)  # parted, retracted or erased by somebody else first


@dataclass(frozen=True, slots=True)
class Done:
    """What has just been done about a person's records; `new` is who one of them is now."""

    said: str
    new: str


def _done(
    said: Annotated[Literal["", "asked", "parted", "moved"], Query()] = "",
    new: Annotated[str, Query(pattern=r"^[A-Za-z0-9_.:-]{0,100}$")] = "",
) -> Done | None:
    return Done(said, new) if said else None


@router.get("/people")
async def find(
    request: Request,
    service: Current,
    person: Annotated[str, Query(max_length=200)] = "",
    cursor: Cursor = "",
    worker: Worker = signed_in("hub"),
) -> Response:
    """Ask for a person's id, and show which splits wait for a second person."""
    wanted = person.strip()
    if re.fullmatch(_ID, wanted):
        return seen(f"/people/{wanted}")
    return await _find(request, service, worker, cursor, wanted)


async def _find(
    request: Request, service: Current, worker: Worker, cursor: str = "", wanted: str = ""
) -> HTMLResponse:
    """Show the page that asks; if something was wanted, that it was not found."""
    query: dict[str, str | int] = {"limit": _PAGE} | ({"cursor": cursor} if cursor else {})
    found = await service.intake.splits(worker.token, **query)
    wrong = "Nobody is known by this id, or they have been erased" if wanted else ""
    return page(
        request, "people.html", _MISSING if wanted else 200, splits=found["splits"], onward=found["next"],
        wrong=wrong, wanted=wanted,
    )  # fmt: skip


@router.get("/people/{person}")
async def show(
    request: Request,
    service: Current,
    person: Id,
    done: Annotated[Done | None, Depends(_done)],
    cursor: Cursor = "",
    worker: Worker = signed_in("hub"),
) -> HTMLResponse:
    """Show why a person's records are one person's."""
    try:
        return await _show(request, service, worker, person, cursor, done=done)
    except Refused as refused:
        if refused.status == _MISSING:
            return await _find(request, service, worker, wanted=person)
        raise


async def _show(
    request: Request,
    service: Current,
    worker: Worker,
    person: str,
    cursor: str = "",
    *,
    done: Done | None = None,
    wrong: dict[str, str] | None = None,
    chosen: FormData | None = None,
) -> HTMLResponse:
    query: dict[str, str | int] = {"limit": _PAGE} | ({"cursor": cursor} if cursor else {})
    found = await service.intake.joins(worker.token, person, **query)
    several = len(found["joins"]) > 1 or bool(cursor) or bool(found["next"])
    parting = [one for one in found["joins"] if several and not one["asked"] and not one["retracted"]]
    return page(
        request, "person.html", 422 if wrong else 200, person=person, joins=found["joins"], links=found["links"],
        numbers={one["referral"]: at for at, one in reversed(list(enumerate(found["joins"], 1)))},
        levels=comparing.levels, parting=parting, given=words.PARTING, key=secrets.token_urlsafe(18),
        cursor=cursor, onward=urlencode({"cursor": found["next"]}) if found["next"] else "",
        done=done, wrong=wrong or {}, chosen=chosen or {},
    )  # fmt: skip


@router.post("/people/{person}/splits")
async def split(
    request: Request, service: Current, person: Id, worker: Worker = signed_in("hub")
) -> Response:
    """Ask that a record be parted from its person; or confirm it, as the second person."""
    form = await form_of(request, worker)
    record = _record(str(form.get("record", "")))
    wrong = {}
    if record is None:
        wrong["record"] = "Choose the record that is somebody else’s"
    if form.get("reason") not in words.PARTING:
        wrong["reason"] = "Choose a reason"
    if record is None or wrong:
        cursor = str(form.get("cursor", ""))
        return await _show(request, service, worker, person, cursor, wrong=wrong, chosen=form)
    body = {**record, "reason": form["reason"]}
    try:
        new = await service.intake.split(worker.token, person, str(form.get("key", "")), body)
    except Refused as refused:
        if refused.status in _GONE:
            return seen(f"/people/{person}?said=moved")
        raise
    said = {"said": "parted", "new": new} if new else {"said": "asked"}
    return seen(f"/people/{person}?{urlencode(said)}")


def _record(value: str) -> dict[str, Any] | None:
    """Return which record a form means: `referral.position.yes` for a contact person, `referral.position.no` else."""
    referral, _, rest = value.partition(".")
    position, _, contact = rest.partition(".")
    if not (referral and position.isdecimal() and contact in ("yes", "no")):
        return None
    return {"referral": referral, "position": int(position), "contact": contact == "yes"}
