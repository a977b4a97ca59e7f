"""Withdrawals: by an agency for a person, and by the person's own link."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Annotated, Any, Literal, Self

import msgspec
from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import Field, model_validator
from starlette.responses import HTMLResponse, Response

from services.intake import withdrawing
from services.intake.api import answers, pages
from services.intake.api.common import Key, PathId, described, json_response, parse, sends
from services.intake.core import Current, Intake
from services.intake.referral import Code, Human, Part, Reference, wrong
from services.intake.store import following, reading
from services.intake.store import withdrawals as store
from services.intake.store.withdrawals import IN_FORCE, RECORDED, Withdrawal
from shared.runtime.auth import Caller, public, scope
from shared.runtime.database import INFRASTRUCTURE
from shared.runtime.errors import Unavailable
from shared.runtime.idempotency import Answer
from shared.runtime.problems import Problem, not_found
from shared.runtime.work import Work

router = APIRouter(prefix="/v1", tags=["withdrawals"])
log = logging.getLogger(__name__)
AT_ONCE = 60.0  # seconds: who presses a button twice means one thing
_CLOCK = "SELECT extract(epoch FROM clock_timestamp() + shift) FROM clock"
# The button of the page behind the link, which shows the choice where the link is about one case.
_CHOICE = {
    "type": "object",
    "properties": {"scope": {"type": "string", "enum": ["case", "everything"], "default": "everything"}},
}
# Any: one that there is not is English.
PageLanguage = Annotated[str, Query(description="of the page: en, cy, pl")]
_STATES: dict[int | str, dict[str, Any]] = {
    201: {"model": answers.Withdrawal, "description": "in force"},
    202: {
        "model": answers.Withdrawal,
        "description": "recorded: not in force yet, or a person must say who is meant",
    },
}
# What a person is told in words, who is no program.
_PAGES = answers.OVER | {503: {"description": "nothing could be written down", "content": {"text/html": {}}}}
Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,100}$")]


class Withdraw(Part):
    """Who withdraws, from what, and who says so. A proxy may withdraw for a person.

    Where only a case or a reference is named, `role` says which of its people it is. Left out, nobody in it is contacted
    until a person has said whom it means (202, needs_person), unless only one is known.
    """

    person: Id | None = None
    case: Id | None = None
    reference: Reference | None = None
    identifiers: Human | None = None
    scope: Literal["case", "everything"] = "everything"
    by: Literal["person", "proxy", "agency"] = "person"
    role: Literal["harmed", "responsible"] | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        named = [self.person, self.reference, self.identifiers]
        if sum(value is not None for value in named) + (self.case is not None and self.person is None) != 1:
            raise wrong(
                "it does not say who, or says it twice",
                "give person (with case or without), case, reference or identifiers",
            )
        if self.identifiers is not None and not self.identifiers.anything():
            raise wrong(
                "identifiers is empty",
                "give what is known: name, date_of_birth, phones, emails, addresses, identifiers",
            )
        if self.role is not None and (self.person is not None or self.identifiers is not None):
            raise wrong("role is given beside who it is", "give role only with case or reference alone")
        if self.scope == "case" and self.case is None and self.reference is None:
            raise wrong("scope is case and no case is named", "give case or reference, or scope everything")
        return self


@router.post("/withdrawals", status_code=201, responses=_STATES, openapi_extra=sends(Withdraw))
async def withdraw(
    request: Request,
    service: Current,
    key: Key,
    caller: Caller = scope("withdrawals.write"),
) -> Response:
    """Withdraw a person: 201 in force (clean, or in_flight with what was already under way); 202 recorded, not yet in force.

    From the answer on no contact details are handed out, in either case.
    """
    raw = await request.body()
    body = parse(Withdraw, raw)
    named = withdrawing.Named(
        body.person, body.case, body.reference, body.identifiers, body.scope, body.by, body.role
    )
    # The payload is remembered as a keyed hash: it may hold a name and a birth date, which a plain hash would give away.
    remembered = service.keyring.tag("content", raw)
    # Who is named by details waits for the locks under which the matcher looks for the same people: not before it, then.
    with nullcontext() if named.human else service.precedence.first():
        answer = await service.once(
            caller, key, remembered, _record, service, caller, named, route="POST /v1/withdrawals"
        )
        return await _state(service, answer)


async def _record(work: Work, service: Intake, caller: Caller, named: withdrawing.Named) -> Answer:
    withdrawal = await withdrawing.record(work, service, caller.agency, caller.worker, named)
    return Answer(202, {"withdrawal": withdrawal}, {"Location": f"/v1/withdrawals/{withdrawal}"})


async def _state(service: Intake, answer: Answer) -> Response:
    """Ask consent, and answer how the withdrawal stands: a repetition learns more than the first try could."""
    known = await withdrawing.put_in_force(service, answer.body["withdrawal"])
    if known is None:
        raise not_found("withdrawal")
    return json_response(known.body(), 201 if known.state == IN_FORCE else 202, answer.headers)


@router.get(
    "/withdrawals/link/{token}",
    response_class=HTMLResponse,
    responses=_PAGES,
    dependencies=[Depends(public("the link in a message to the person: shows a page"))],
)
async def show_link(
    service: Current, token: Annotated[str, Path(max_length=600)], language: PageLanguage = "en"
) -> Response:
    """Show the page behind the link in a message. It never acts: links are opened by mail scanners too."""
    try:
        found = withdrawing.read_token(service, token, await service.pool.fetchval(_CLOCK))
    except INFRASTRUCTURE:
        return pages.not_done(language)
    if found is None:
        return pages.link_over(language)
    return pages.withdraw_form(has_case=found[1] is not None, language=language)


@router.post(
    "/withdrawals/link/{token}",
    response_class=HTMLResponse,
    responses=_PAGES,
    dependencies=[Depends(public("the link in a message to the person: withdraws"))],
    openapi_extra=described(_CHOICE, "application/x-www-form-urlencoded"),
)
async def use_link(
    request: Request,
    service: Current,
    token: Annotated[str, Path(max_length=600)],
    language: PageLanguage = "en",
) -> Response:
    """Withdraw by the link. The same choice twice within a minute is one withdrawal."""
    form = await request.form()
    try:
        now = float(await service.pool.fetchval(_CLOCK))
        found = withdrawing.read_token(service, token, now)
        if found is None:
            return pages.link_over(language)
        person, case = found
        scope: Literal["case", "everything"] = (
            "case" if case is not None and form.get("scope") == "case" else "everything"
        )
        named = withdrawing.Named(person=person, case=case, scope=scope, by="link")
        known = await _by_link(service, token, named, now)
    except (Problem, Unavailable, *INFRASTRUCTURE) as error:
        # Whoever presses the button is no program: that nothing was written down has to be said in words.
        log.warning("a no by a link could not be written down", extra={"error": type(error).__name__})
        return pages.not_done(language)
    return pages.withdrawn(known.body() if known else {}, everything=scope == "everything", language=language)


async def _by_link(service: Intake, token: str, named: withdrawing.Named, now: float) -> Withdrawal | None:
    """Record a withdrawal by a link, or return the one that the same choice made a moment ago.

    A link is good for long. Whoever has come back since, and says no again by an old letter, says it anew.
    """
    caller = Caller("public", None, frozenset(), "person", 0.0)
    choice = f"{token}/{named.scope}/{now // 3600:.0f}"
    while True:
        key = service.keyring.tag("link", choice).hex()
        answer = await service.once(
            caller, key, b"", _record, service, caller, named, route="POST /v1/withdrawals/link"
        )
        known = await withdrawing.put_in_force(service, answer.body["withdrawal"])
        if known is None or known.state == RECORDED or now - known.recorded_at.timestamp() < AT_ONCE:
            return known
        choice = f"{choice}/{known.id}"


@router.get("/withdrawals/{withdrawal}", responses={200: {"model": answers.Withdrawal}})
async def get_withdrawal(
    service: Current, withdrawal: PathId, caller: Caller = scope("withdrawals.write", "hub")
) -> Response:
    """Return a withdrawal's state: recorded; in_force, clean or in_flight; needs_person."""
    known = await _mine(service, withdrawal, caller)
    return json_response(known.body())


@router.get("/withdrawals")
async def list_unclear(
    service: Current,
    state: Annotated[Literal["needs_person"], Query()] = "needs_person",  # noqa: ARG001 - the only one there is
    caller: Caller = scope("hub"),
) -> Response:
    """Return the withdrawals of which a person must say whom they mean, the oldest first.

    With what was said of who it is, and the candidates: none where too many people have such a name.
    """
    rows = await service.transact(_unclear, caller)
    found = [
        {
            "withdrawal": row["id"],
            "agency": row["agency"],
            "recorded_at": row["recorded_at"].isoformat(),
            "scope": row["scope"],
            "case": row["case_id"],
            "identifiers": _said(service, row),
            "candidates": row["candidates"],
        }
        for row in rows
    ]
    return json_response({"withdrawals": found}, headers={"Cache-Control": "no-store"})


async def _unclear(work: Work, caller: Caller) -> Sequence[Any]:
    rows = await store.unclear(work)
    for row in rows:
        for person in row["candidates"] or [None]:
            await reading.note_read(work, caller.agency, caller.worker, "withdrawals.unclear", person)
    return rows


def _said(service: Intake, row: Any) -> Any:  # noqa: ANN401 - a record, and JSON
    if row["key"] is None:
        return None
    owner = withdrawing.sealed_owner(row["id"])
    return msgspec.json.decode(service.keyring.unwrap(row["key"], owner).open(row["sealed"], owner))


class Resolution(Part):
    """Whom an unclear withdrawal means; nobody known: an empty list."""

    people: tuple[Id, ...] = Field(max_length=50)


@router.post(
    "/withdrawals/{withdrawal}/resolution",
    responses={200: {"model": answers.Withdrawal}},
    openapi_extra=sends(Resolution),
)
async def resolve(
    request: Request, service: Current, withdrawal: PathId, caller: Caller = scope("hub")
) -> Response:
    """Say whom an unclear withdrawal means."""
    body = parse(Resolution, await request.body())
    if reading.as_uuid(withdrawal) is None:
        raise not_found("withdrawal")
    await service.transact(withdrawing.resolve, withdrawal, list(body.people), caller, actor=caller.actor)
    known = await withdrawing.put_in_force(service, withdrawal)
    return json_response(known.body() if known else {})


async def _mine(service: Intake, withdrawal: str, caller: Caller) -> Withdrawal:
    known = await service.transact(store.read, withdrawal) if reading.as_uuid(withdrawal) else None
    if known is None or not (
        known.agency == caller.agency
        or caller.may("hub")
        or known.agency in await service.transact(following.lineage, caller.agency)
    ):
        raise not_found("withdrawal")
    return known


@router.post("/people/{person}/withdrawal-link", status_code=201)
async def make_link(
    service: Current,
    person: PathId,
    case: Annotated[Code | None, Query()] = None,
    caller: Caller = scope("internal"),  # noqa: ARG001 - the declaration is the check
) -> Response:
    """Make the link that every message to this person carries."""
    now = float(await service.pool.fetchval(_CLOCK))
    token = withdrawing.make_token(service, person, case, int(now) + service.own.link_days * 86_400)
    base = service.own.public_url or f"http://{service.settings.host}:{service.settings.port}"
    return json_response({"url": f"{base.rstrip('/')}/v1/withdrawals/link/{token}"}, 201)
