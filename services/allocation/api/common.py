"""What the routes share: whose case it is, the ETag, the rules' refusals as problems."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Final

import msgspec
from fastapi import Depends, Path, Request
from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints
from starlette.responses import Response

from services.allocation.domain.cases import Refused
from services.allocation.domain.evolve import Story
from services.allocation.domain.state import CaseState, is_known, status_of
from services.allocation.handlers.carry import CASE, carry_on
from services.allocation.store import reading, rows
from services.allocation.store.registry import MEMORY, Registry
from shared.runtime.auth import Caller
from shared.runtime.http import check_version, etag, required_version
from shared.runtime.idempotency import Answer
from shared.runtime.problems import FieldError, Problem, invalid, not_found
from shared.runtime.service import Service, current_service
from shared.runtime.work import Work

Current = Annotated[Service, Depends(current_service)]
Code = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")]
Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:@-]{0,99}$")]
CaseId = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}$")]


def _storable(value: Any) -> Any:  # noqa: ANN401 - JSON
    if b"\\u0000" in msgspec.json.encode(value):
        message = "holds a NUL character Remedy: Send it without."
        raise ValueError(message)
    return value


Storable = AfterValidator(_storable)
INSIDE: Final = frozenset({"hub", "co_ordinator", "lead", "operator"})
HUB: Final = frozenset({"hub", "co_ordinator", "operator"})

_STATUS: Mapping[str, tuple[int, str]] = {
    "not-lead": (403, "This agency cannot do this."),
    "closed": (409, "The case is over."),
    "already-accepted": (409, "The case is accepted already."),
    "check-answered": (409, "The check is answered already."),
    "checks-open": (409, "A check is not answered yet."),
    "not-waivable": (409, "This cannot be waived."),
    "undecided": (409, "There is nothing to decide."),
    "not-allocated": (409, "Nobody leads this case yet."),
    "invalid": (422, "Some fields cannot be accepted."),
}


class Body(BaseModel):
    """What a client sends: fields not named are refused, so that a misspelt one is noticed."""

    model_config = ConfigDict(extra="forbid")


def refusal(refused: Refused) -> Problem:
    """Return a rule's refusal as a problem. Of bad input the rules say `field: what is wrong; what would be right`."""
    status, title = _STATUS[refused.why]
    if refused.why == "invalid":
        field, _, sentence = refused.detail.partition(": ")
        what, _, remedy = sentence.partition("; ")
        return invalid([FieldError(field, what, f"{remedy[:1].upper()}{remedy[1:]}.")])
    return Problem(status, refused.why, title, detail=refused.detail)


def json_response(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer."""
    return Response(msgspec.json.encode(body), status, dict(headers or {}), media_type="application/json")


async def stands_for(service: Service, caller: Caller) -> list[str]:
    """Return the agencies that the caller stands for."""
    return await reading.standing_for(service.pool, caller.agency)


def relations_of(
    state: CaseState, caller: Caller, agencies: list[str], agency_of: Mapping[str, str]
) -> set[str]:
    """Return what the caller has to do with a case. A hub's part needs the scope of a hub; an operator sees every case."""
    found = {relation for agency, relation in rows.relations(state, agency_of) if agency in agencies}
    if not caller.may("hub"):
        found -= {"hub", "co_ordinator"}
    if caller.may("operator"):
        found.add("operator")
    return found


def is_agency(registry: Registry, agency: str) -> bool:
    """Say whether there is an agency of this name that still works: registered, or named in a policy in force."""
    known = registry.agencies.get(registry.heir(agency))
    if known is not None:
        return known.active
    return any(agency in p.partners for p in registry.policies.current.partnerships.values())


def must_work_for(registry: Registry, worker: str | None, agency: str) -> None:
    """Raise Problem 422 for a worker known to work elsewhere, or no longer: nobody else could contact the person then."""
    employer = registry.agency_of.get(worker or "")
    if employer is not None and registry.heir(employer) != registry.heir(agency):
        raise refusal(Refused("invalid", f"worker: works for {employer}; name a worker of {agency}"))
    if worker in registry.left:
        raise refusal(Refused("invalid", f"worker: works for {agency} no longer; name one who does"))


Decide = Callable[[Story, Registry], Awaitable[None] | None]


async def act(
    service: Service,
    request: Request,
    caller: Caller,
    case: str,
    decide: Decide,
    *,
    allowed: frozenset[str] = INSIDE,
    replan: bool = False,
    compared: bool = False,
) -> tuple[CaseState, int]:
    """Do something to a case that the caller has read (If-Match), and carry it on. Returns the case and its version.

    `compared`: `look` has found that the case is the caller's, and its version; what consent says since does not count.

    Raises Problem: 404 for a case that is not the caller's, 412 if it has moved on, 403, 409 or 422 if rules refuse.
    """
    wanted = required_version(request)
    agencies = await stands_for(service, caller)

    async def body(work: Work) -> tuple[CaseState, int]:
        if compared:
            # Consent's news that the lead has ended can come first, and the agency then has nothing to do with the case.
            await work.lock((CASE, case))
            registry = await MEMORY.registry(work)
        else:
            registry = await _own(work, caller, agencies, case, allowed)
            check_version(wanted, work.version(CASE, case))
        story = Story(work.state(CASE, case))
        try:
            decide(story, registry)
        except Refused as refused:
            raise refusal(refused) from None
        await carry_on(work, case, story, replan=replan)
        return work.state(CASE, case), work.version(CASE, case)

    return await service.transact(body, actor=caller.actor)


DecideOnce = Callable[[Story, Registry, list[str]], Answer]


async def act_once(
    service: Service,
    request: Request,
    caller: Caller,
    case: str,
    key: str,
    decide: DecideOnce,
    *,
    route: str,
    allowed: frozenset[str] | None = None,
) -> Response:
    """Do something to a case at most once for this Idempotency-Key, carry it on, and answer what `decide` says.

    `decide` is also told which agencies the caller stands for.

    Raises Problem: 404 for a case with which the caller has nothing to do (`allowed`: nothing of these), 409 or 422 if rules
    refuse.
    """
    agencies = await stands_for(service, caller)

    async def record(work: Work) -> Answer:
        await work.lock((CASE, case))
        registry = await MEMORY.registry(work)
        relations = relations_of(work.state(CASE, case), caller, agencies, registry.agency_of)
        if not (relations if allowed is None else relations & allowed):
            raise not_found("case")
        story = Story(work.state(CASE, case))
        try:
            answer = decide(story, registry, agencies)
        except Refused as refused:
            raise refusal(refused) from None
        await carry_on(work, case, story, replan=False)
        return answer

    answer = await service.once(caller, key, await request.body(), record, route=route)
    return answer.response()


async def _own(
    work: Work, caller: Caller, agencies: list[str], case: str, allowed: frozenset[str]
) -> Registry:
    """Lock the case. Raises Problem 404 unless the caller has to do with it, 403 if not in a way that allows this."""
    await work.lock((CASE, case))
    registry = await MEMORY.registry(work)
    state = work.state(CASE, case)
    relations = relations_of(state, caller, agencies, registry.agency_of) if is_known(state) else set()
    if not relations:
        raise not_found("case")
    if relations.isdisjoint(allowed):
        raise Problem(403, "not-allowed", "Your agency's part in this case does not allow this.")
    return registry


async def look(
    service: Service, caller: Caller, case: str, allowed: frozenset[str] = INSIDE
) -> tuple[CaseState, int]:
    """Read a case before something is asked of consent. Raises like `act`."""
    agencies = await stands_for(service, caller)

    async def body(work: Work) -> tuple[CaseState, int]:
        await _own(work, caller, agencies, case, allowed)
        return work.state(CASE, case), work.version(CASE, case)

    return await service.transact(body, actor=caller.actor)


def changed(case: str, state: CaseState, version: int, **more: Any) -> Response:  # noqa: ANN401 - JSON
    """Return the answer to a change of a case."""
    body = {"case": case, "status": status_of(state), **more}
    return json_response(body, headers={"ETag": etag(version)})
