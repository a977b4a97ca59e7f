"""Checks: questions that are answered before anybody is approached."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import Field
from starlette.responses import Response

from services.allocation.api.common import (
    HUB,
    Body,
    CaseId,
    Code,
    Current,
    Id,
    act,
    act_once,
    is_agency,
    json_response,
    stands_for,
)
from services.allocation.domain import cases
from services.allocation.domain.cases import Refused
from services.allocation.domain.evolve import Story
from services.allocation.store import reading
from services.allocation.store.registry import Registry
from shared.contracts.cases import CheckKind
from shared.runtime.auth import Caller, scope
from shared.runtime.http import etag
from shared.runtime.idempotency import Answer, idempotency_key
from shared.runtime.problems import Problem, not_found
from shared.runtime.times import Time

router = APIRouter(prefix="/v1", tags=["checks"])
CheckId = Annotated[str, Path(pattern=r"^[0-9a-f-]{36}$")]


@router.get("/checks")
async def list_checks(
    service: Current,
    limit: Annotated[int, Query(ge=1, le=200)] = 100,
    overdue: Annotated[bool, Query(description="only those that are late")] = False,  # noqa: FBT002 - a query parameter
    of: Annotated[
        Literal["us", "others"],
        Query(description="others: what anybody is asked in the cases that your hub co-ordinates"),
    ] = "us",
    caller: Caller = scope("cases.read"),
) -> Response:
    """Return what your agency is asked and has not answered, what is due first first; a hub sees that of others too."""
    agencies = await stands_for(service, caller)
    if of == "others":
        if not caller.may("hub"):
            raise Problem(403, "not-allowed", "Only a hub sees what others are asked.")
        found = await reading.open_checks_of_hub(service.pool, agencies, limit, overdue=overdue)
        return json_response({"checks": found})
    return json_response(
        {"checks": await reading.open_checks(service.pool, agencies, limit, overdue=overdue)}
    )


@router.get("/checks/{check}")
async def get_check(service: Current, check: CheckId, caller: Caller = scope("cases.read")) -> Response:
    """Return a check that your agency is asked; its ETag is needed to answer it."""
    found = await reading.check(service.pool, check)
    agencies = await stands_for(service, caller)
    if found is None or found["of_agency"] not in agencies:
        raise not_found("check")
    version = (await reading.case(service.pool, found["case_id"]) or (0, ""))[0]
    return json_response(found, headers={"ETag": etag(version)})


class WantedCheck(Body):
    """A question that policy did not plan."""

    kind: CheckKind
    of: Code = Field(description="the agency that is asked")
    party: Id = Field(description="the party whose approach waits for the answer")
    due: Time | None = None


@router.post("/cases/{case}/checks", status_code=201)
async def ask(
    service: Current,
    request: Request,
    case: CaseId,
    body: WantedCheck,
    key: Annotated[str, Depends(idempotency_key)],
    caller: Caller = scope("hub"),
) -> Response:
    """Ask an agency; the party is not approached before it has answered. Needs an Idempotency-Key."""

    def record(story: Story, registry: Registry, _: object) -> Answer:
        if not is_agency(registry, body.of):
            raise Refused("invalid", "of: no agency that is registered and active; name one that can answer")
        check = cases.extra_check_id(case, f"{caller.agency}/{key}")
        cases.ask(story, check, body.kind, registry.heir(body.of), body.party, body.due)
        return Answer(201, {"check": check, "case": case, "of": body.of}, {"Location": f"/v1/checks/{check}"})

    route = f"checks/{case}"
    return await act_once(service, request, caller, case, key, record, route=route, allowed=HUB)


class CheckAnswer(Body):
    """The answer. Its evidence stays with who answers."""

    satisfied: bool


@router.put("/checks/{check}/answer")
async def answer_check(
    service: Current,
    request: Request,
    check: CheckId,
    body: CheckAnswer,
    caller: Caller = scope("cases.write"),
) -> Response:
    """Answer a check that your agency is asked, once; the same answer again changes nothing. Needs If-Match."""
    found = await reading.check(service.pool, check)
    agencies = await stands_for(service, caller)
    if found is None or found["of_agency"] not in agencies:
        raise not_found("check")

    def decide(story: Story, _: object) -> None:
        of = story.state.checks[check].of
        cases.answer_check(story, check, of if of in agencies else caller.agency, satisfied=body.satisfied)

    if found["satisfied"] is not None and found["satisfied"] != body.satisfied:
        raise Problem(
            409,
            "check-answered",
            "The check is answered already.",
            detail="The hub can weigh it in a decision.",
        )
    asked = frozenset({"asked"}) | HUB
    state, version = await act(service, request, caller, found["case_id"], decide, allowed=asked, replan=True)
    satisfied = state.checks[check].satisfied
    return json_response({"check": check, "satisfied": satisfied}, headers={"ETag": etag(version)})
