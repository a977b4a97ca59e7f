"""Why records are one person: each with its table of evidence; and what two people undo or destroy, each signed in."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Path, Query, Request
from starlette.datastructures import FormData
from starlette.responses import HTMLResponse, Response

from services.dashboard import comparing, words
from services.dashboard.api.common import Worker, form_of, page, seen, signed_in
from services.dashboard.core import Current, Dashboard
from services.dashboard.gateways import Refused
from shared.runtime.problems import Problem

router = APIRouter(include_in_schema=False)
_ID: Final = r"[A-Za-z0-9_.:-]{1,100}"
Id = Annotated[str, Path(pattern=f"^{_ID}$")]
Cursor = Annotated[str, Query(max_length=200)]
Said = Literal["", "asked", "parted", "unlinked", "refused", "taken_back", "moved"]
_PAGE: Final = 20
_MISSING: Final = 404
# Parted, unlinked, retracted or erased by somebody else first; or by the first of two clicks.
_GONE: Final = (_MISSING, 409, 412)


@router.get("/people")
async def find(
    request: Request,
    person: Annotated[str, Query(max_length=200)] = "",
    worker: Worker = signed_in("hub"),  # noqa: ARG001 - the declaration is the check
) -> Response:
    """Ask for a person's id."""
    wanted = person.strip()
    return seen(f"/people/{wanted}") if re.fullmatch(_ID, wanted) else _find(request, wanted)


def _find(request: Request, wanted: str) -> HTMLResponse:
    """Show the page that asks; if something was wanted, that it was not found."""
    wrong = "Nobody is known by this id, or they have been erased" if wanted else ""
    return page(request, "people.html", _MISSING if wanted else 200, wrong=wrong, wanted=wanted)


@router.get("/people/{person}")
async def show(
    request: Request,
    service: Current,
    person: Id,
    said: Annotated[Said, Query()] = "",
    new: Annotated[str, Query(pattern=r"^[A-Za-z0-9_.:-]{0,100}$")] = "",
    cursor: Cursor = "",
    before: Annotated[int, Query(ge=0, le=10**6)] = 0,
    worker: Worker = signed_in("hub"),
) -> HTMLResponse:
    """Show why a person's records are one person's, so many after the first.

    `said`: what has just been done; `new`: who a record is now.
    """
    try:
        return await _show(request, service, worker, person, (cursor, before), done=(said, new))
    except Refused as refused:
        if refused.status == _MISSING:
            return _find(request, person)
        raise


async def _show(
    request: Request,
    service: Dashboard,
    worker: Worker,
    person: str,
    after: tuple[str, int] = ("", 0),
    *,
    done: tuple[str, str] = ("", ""),
    wrong: Mapping[str, str] | None = None,
    chosen: FormData | None = None,
) -> HTMLResponse:
    cursor, before = after
    query: dict[str, str | int] = {"limit": _PAGE} | ({"cursor": cursor} if cursor else {})
    found = await service.intake.joins(worker.token, person, **query)
    joins = found["joins"]
    several = len(joins) > 1 or bool(cursor) or bool(found["next"])
    return page(
        request, "person.html", 422 if wrong else 200, person=person, joins=joins, links=found["links"],
        waiting=[one | {"own": worker.asked(one)} for one in found["waiting"]], version=found["version"],
        asked={(one["what"], _other(person, one)) for one in found["waiting"]},
        numbers={one["referral"]: at for at, one in reversed(list(enumerate(joins, before + 1)))},
        records={one["record"]: at for at, one in enumerate(joins, before + 1)},
        levels=comparing.levels, given=words.PARTING, erasing=words.ERASING, key=secrets.token_urlsafe(18),
        parting=[one for one in joins if several and not one["asked"] and not one["retracted"]],
        cursor=cursor, before=before,
        onward=urlencode({"cursor": found["next"], "before": before + len(joins)}) if found["next"] else "",
        said=done[0], new=done[1], wrong=wrong or {}, chosen=chosen or {},
    )  # fmt: skip


def _after(form: FormData) -> tuple[str, int]:
    """Return where in the records a form's page began."""
    before = str(form.get("before", ""))
    return str(form.get("cursor", "")), int(before) if re.fullmatch("[0-9]{1,6}", before) else 0


def _other(person: str, asked: Mapping[str, Any]) -> str:
    """Return what an unlink is about besides this id. An erasure is of all of somebody's ids."""
    if asked["what"] == "erasure":
        return ""
    return str(asked["detail"] if asked["person"] == person else asked["person"])


async def _waits(
    service: Dashboard, worker: Worker, person: str, form: FormData, what: str, detail: str
) -> bool:
    """Whether a request still waits for this second person: whoever confirms what was refused does not ask for it."""
    found = await service.intake.joins(worker.token, person, limit=1)
    return found["version"] == _version(form) and any(
        (one["what"], one["person"], one["detail"]) == (what, str(form.get("of", "")), detail)
        and not worker.asked(one)
        for one in found["waiting"]
    )


def _version(form: FormData) -> int:
    try:
        return int(str(form.get("version", "")))
    except ValueError:
        raise Problem(400, "form", "The form cannot be understood.") from None


# ------------------------------------------------------------------------------------------------- what takes two people


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
    if not form.get("confirms") and form.get("reason") not in words.PARTING:
        wrong["reason"] = "Choose a reason"
    if record is None or wrong:
        return await _show(request, service, worker, person, _after(form), wrong=wrong, chosen=form)
    try:
        detail = str(form.get("confirms", ""))
        if detail and not await _waits(service, worker, person, form, "split", detail):
            return seen(f"/people/{person}?said=moved")
        body = {**record, "reason": form["reason"]}
        new = await service.intake.split(worker.token, person, str(form.get("key", "")), body)
    except Refused as refused:
        return _moved(person, refused)
    return seen(f"/people/{person}?{urlencode({'said': 'parted', 'new': new} if new else {'said': 'asked'})}")


def _record(value: str) -> dict[str, Any] | None:
    """Return which record a form means: `referral.position.yes` for a contact person, `referral.position.no` else."""
    referral, _, rest = value.partition(".")
    position, _, contact = rest.partition(".")
    if not (referral and position.isdecimal() and contact in ("yes", "no")):
        return None
    return {"referral": referral, "position": int(position), "contact": contact == "yes"}


@router.post("/people/{person}/links/{other}")
async def unlink(
    request: Request, service: Current, person: Id, other: Id, worker: Worker = signed_in("hub")
) -> Response:
    """Ask that the machine's link of two ids be undone; or confirm it, as the second person."""
    form = await form_of(request, worker)
    if not form.get("confirms") and form.get("reason") not in words.PARTING:
        wrong = {f"reason-{other}": "Choose a reason"}
        return await _show(request, service, worker, person, _after(form), wrong=wrong)
    try:
        detail = str(form.get("confirms", ""))
        if detail and not await _waits(service, worker, person, form, "unlink", detail):
            return seen(f"/people/{person}?said=moved")
        reason = str(form["reason"])
        done = await service.intake.unlink(worker.token, person, other, _version(form), reason)
    except Refused as refused:
        return _moved(person, refused)
    return seen(f"/people/{person}?said={'unlinked' if done else 'asked'}")


@router.post("/people/{person}/erasure")
async def erase(
    request: Request, service: Current, person: Id, worker: Worker = signed_in("hub")
) -> Response:
    """Ask that everything held about a person be destroyed; or confirm it, as the second person."""
    form = await form_of(request, worker)
    if not form.get("confirms") and form.get("reason") not in words.ERASING:
        wrong = {"reason-erasure": "Choose a reason"}
        return await _show(request, service, worker, person, _after(form), wrong=wrong)
    try:
        if form.get("confirms") and not await _waits(service, worker, person, form, "erasure", ""):
            return seen(f"/people/{person}?said=moved")
        # Of their ids the one that was asked about: it is of all of them.
        of = str(form.get("of", "")) or person
        reason = str(form["reason"])
        done = await service.intake.erase(worker.token, of, str(form.get("key", "")), reason)
    except Refused as refused:
        return _moved(person, refused)
    return seen("/waiting?said=erased" if done else f"/people/{person}?said=asked")


@router.post("/people/{person}/refusal")
async def refuse(
    request: Request, service: Current, person: Id, worker: Worker = signed_in("hub")
) -> Response:
    """Refuse what waits for a second person, or take back what one asked for."""
    form = await form_of(request, worker)
    of, what, detail = (str(form.get(name, "")) for name in ("of", "what", "detail"))
    try:
        own = await service.intake.refuse(worker.token, of, what, detail)
    except Refused as refused:
        return _moved(person, refused)
    return seen(f"/people/{person}?said={'taken_back' if own else 'refused'}")


def _moved(person: str, refused: Refused) -> Response:
    if refused.status in _GONE and refused.kind != "withdrawal-pending":
        return seen(f"/people/{person}?said=moved")
    raise refused


@router.get("/waiting")
async def waiting(
    request: Request,
    service: Current,
    state: Literal["waiting", "ended"] = "waiting",
    said: Annotated[Literal["", "erased"], Query()] = "",
    cursor: Annotated[str, Query(max_length=600)] = "",
    worker: Worker = signed_in("hub"),
) -> HTMLResponse:
    """Show what waits for a second person, or what became of it."""
    query: dict[str, str | int] = {"state": state, "limit": _PAGE} | ({"cursor": cursor} if cursor else {})
    found = await service.intake.second_person(worker.token, **query)
    return page(
        request, "waiting.html", requests=[one | {"own": worker.asked(one)} for one in found["requests"]],
        onward=urlencode({"state": state, "cursor": found["next"]}) if found["next"] else "",
        state=state, said=said,
    )  # fmt: skip
