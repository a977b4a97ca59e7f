"""Agencies and their workers: who there is, who succeeds whom, and how many hours a worker has."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request
from pydantic import Field
from starlette.responses import Response

from services.allocation.api.common import (
    Body,
    Code,
    Current,
    Id,
    Storable,
    json_response,
    refusal,
)
from services.allocation.api.desks import WantedDesk
from services.allocation.domain import agencies
from services.allocation.domain.cases import Refused
from services.allocation.handlers.carry import AGENCY
from services.allocation.store import registering
from services.allocation.store.registry import MEMORY, rename
from shared.contracts.agencies import AgencyChanged, AgencyKind, Desk, Worker
from shared.runtime.auth import Caller, scope
from shared.runtime.http import check_version, etag, required_version
from shared.runtime.idempotency import Answer, idempotency_key
from shared.runtime.problems import FieldError, invalid, not_found
from shared.runtime.times import Time
from shared.runtime.work import Work

router = APIRouter(prefix="/v1", tags=["agencies"])
AgencyId = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9-]{1,63}$")]
WorkerId = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:@-]{0,99}$")]


class WantedAgency(Body):
    """An agency as it shall be."""

    name: Annotated[str, Storable] = Field(min_length=1, max_length=200)
    kind: AgencyKind
    areas: list[Code] = Field(default_factory=list, max_length=60)
    sharing_agreement: Code | None = None
    active: bool = True
    desk: WantedDesk | None = Field(
        default=None, description="how people reach it; left out: as it was; null: none"
    )


@router.get("/agencies")
async def list_agencies(
    service: Current,
    caller: Caller = scope("cases.read", "hub", "operator"),  # noqa: ARG001 - the declaration is the check
) -> Response:
    """Return the agencies."""
    return json_response({"agencies": await registering.agencies(service.pool)})


@router.get("/agencies/{agency}")
async def get_agency(
    service: Current,
    agency: AgencyId,
    caller: Caller = scope("cases.read", "hub", "operator"),  # noqa: ARG001 - the declaration is the check
) -> Response:
    """Return an agency; its ETag is needed to change it."""
    found = await registering.agency(service.pool, agency)
    if found is None:
        raise not_found("agency")
    return json_response(found, headers={"ETag": etag(found.pop("version"))})


@router.put("/agencies/{agency}")
async def put_agency(
    service: Current,
    request: Request,
    agency: AgencyId,
    body: WantedAgency,
    caller: Caller = scope("operator"),
) -> Response:
    """Register an agency (no If-Match), or change one (If-Match with its ETag)."""

    async def put(work: Work) -> tuple[int, Desk | None]:
        await work.lock((AGENCY, agency))
        _check_if_known(request, work, agency)
        # A client that does not know of desks must not take away what somebody has entered.
        desk = body.desk.told() if body.desk else None
        wanted = AgencyChanged(
            name=body.name,
            kind=body.kind,
            areas=tuple(body.areas),
            sharing_agreement=body.sharing_agreement,
            active=body.active,
            desk=desk if "desk" in body.model_fields_set else work.state(AGENCY, agency).desk,
        )
        try:
            told = agencies.change(work.state(AGENCY, agency), wanted)
        except Refused as refused:
            raise refusal(refused) from None
        if told:
            work.record(AGENCY, agency, *told)
            work.write(registering.save_agencies, (agency, work.state(AGENCY, agency)))
            work.write(rename, None)
        return work.version(AGENCY, agency), wanted.desk

    version, desk = await service.transact(put, actor=caller.actor)
    answer = {"agency": agency, **body.model_dump(exclude={"desk"}), "desk": desk}
    return json_response(answer, headers={"ETag": etag(version)})


def _check_if_known(request: Request, work: Work, agency: str) -> None:
    current = work.version(AGENCY, agency)
    if current or "if-match" in request.headers:
        check_version(required_version(request), current)


class Succession(Body):
    """Another agency takes this one's place."""

    successor: Code
    since: Time | None = Field(None, description="left out: now")


@router.post("/agencies/{agency}/succession", status_code=201)
async def succeed(
    service: Current,
    request: Request,
    agency: AgencyId,
    body: Succession,
    key: Annotated[str, Depends(idempotency_key)],
    caller: Caller = scope("operator"),
) -> Response:
    """Let another agency inherit this one's leads, agreements and feed. Needs an Idempotency-Key."""

    async def record(work: Work) -> Answer:
        # The successor too: two agencies that succeed each other at the same moment would make a circle.
        await work.lock((AGENCY, agency), (AGENCY, body.successor))
        if not work.state(AGENCY, body.successor).kind:
            raise invalid([FieldError("successor", "not a registered agency", "Register it first.")])
        since = body.since or work.now
        successors = await registering.successors(work)
        try:
            told = agencies.succeed(work.state(AGENCY, agency), agency, body.successor, since, successors)
        except Refused as refused:
            raise refusal(refused) from None
        if told:
            work.record(AGENCY, agency, *told)
            work.write(registering.save_agencies, (agency, work.state(AGENCY, agency)))
            work.write(rename, None)
            work.timer("succession", agency, max(since, work.now))
        return Answer(201, {"agency": agency, "successor": body.successor, "since": since.isoformat()})

    answer = await service.once(caller, key, await request.body(), record, route=f"succession/{agency}")
    return answer.response()


class WantedWorker(Body):
    """A worker as it shall be. Names and numbers of workers are kept by their agencies, not here."""

    agency: Code
    team: Annotated[str, Storable] | None = Field(None, max_length=100)
    active: bool = True
    named: bool = Field(default=True, description="may be the named worker of a person")
    deputy: Id | None = None
    capacity: int = Field(
        0, ge=0, le=2000, description="hours of open work that it can have; 0: none is assigned by rule"
    )
    details: Annotated[dict[str, Any], Storable] = Field(
        default_factory=dict,
        description="roles, training, experienced, specialisms, languages, supervision, areas, district, absences, employer",
    )


@router.get("/workers/{worker}")
async def get_worker(
    service: Current,
    worker: WorkerId,
    caller: Caller = scope("hub", "operator"),  # noqa: ARG001 - the declaration is the check
) -> Response:
    """Return a worker; its ETag is its agency's."""
    found = await registering.worker(service.pool, worker)
    if found is None:
        raise not_found("worker")
    return json_response(found, headers={"ETag": etag(found.pop("version"))})


@router.put("/workers/{worker}")
async def put_worker(
    service: Current,
    request: Request,
    worker: WorkerId,
    body: WantedWorker,
    caller: Caller = scope("operator"),
) -> Response:
    """Register a worker (no If-Match), or change one (If-Match with the ETag that was read)."""
    registering.check_details(worker, body.agency, body.details)

    async def put(work: Work) -> int:
        await work.lock((AGENCY, body.agency))
        before = await work.fetchrow("SELECT agency FROM worker WHERE worker = $1 FOR UPDATE", worker)
        if before is not None:
            if before["agency"] != body.agency:
                remedy = "End the worker there (active: false) and register it under a new id here."
                raise invalid([FieldError("agency", "the worker belongs to another agency", remedy)])
            check_version(required_version(request), work.version(AGENCY, body.agency))
        try:
            wanted = Worker(id=worker, active=body.active and body.named, deputy=body.deputy)
            told = agencies.change_worker(work.state(AGENCY, body.agency), wanted)
        except Refused as refused:
            raise refusal(refused) from None
        if told:
            work.record(AGENCY, body.agency, *told)
        work.write(
            registering.save_workers,
            registering.WorkerRow(worker=worker, **body.model_dump(exclude={"deputy"})),
        )
        work.write(rename, None)
        # More hours, or another worker: whoever waits is looked at.
        work.timer("capacity", body.agency, work.now)
        return work.version(AGENCY, body.agency)

    version = await service.transact(put, actor=caller.actor)
    MEMORY.forget_hours()
    return json_response({"worker": worker, **body.model_dump()}, headers={"ETag": etag(version)})
