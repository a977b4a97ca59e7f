"""Changing a policy: proposed by one person, put in force by another. Live cases keep the version that they began with."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request
from pydantic import Field
from starlette.responses import Response

from services.allocation import policy
from services.allocation.api.common import (
    HUB,
    Body,
    CaseId,
    Current,
    act,
    changed,
    json_response,
    stands_for,
)
from services.allocation.domain import cases
from services.allocation.domain.evolve import Story
from services.allocation.policy.difference import differences
from services.allocation.store import drafts
from services.allocation.store.drafts import Draft
from services.allocation.store.policies import NATION, Policies
from services.allocation.store.registry import MEMORY, Registry, rename
from shared.runtime.auth import Caller, scope
from shared.runtime.idempotency import Answer, idempotency_key
from shared.runtime.identifiers import new_id
from shared.runtime.problems import FieldError, Problem, invalid, not_found
from shared.runtime.service import Service
from shared.runtime.work import Work

router = APIRouter(prefix="/v1", tags=["policies"])
PolicyId = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9-]{1,63}$")]
DraftId = Annotated[str, Path(pattern=r"^[0-9a-f-]{36}$")]
Key = Annotated[str, Depends(idempotency_key)]


def readable(policies: Policies, policy_id: str, text: str) -> Policies:
    """Return the policies with this text in place of one. Raises Problem 422 with every line that is wrong."""
    try:
        found = policies.with_files({policies.file_of(policy_id): text})
    except policy.PolicyErrors as errors:
        wrong = [FieldError(f"{p.file}:{p.line}", p.what, p.remedy) for p in errors.problems]
        raise Problem(422, "policy", "The policy cannot be used.", errors=wrong) from None
    if policy_id != NATION and policy_id not in found.current.partnerships:
        raise invalid(
            [FieldError("text", f"not the policy {policy_id}", f"Keep `policy: {policy_id}` at its head.")]
        )
    return found


async def registry_of(service: Service) -> Registry:
    """Return what this process knows of agencies and policies, as of now."""

    async def body(work: Work) -> Registry:
        await work.lock()
        return await MEMORY.registry(work)

    return await service.transact(body)


async def in_force(service: Service, policy_id: str) -> Policies:
    """Return the policies in force. Raises Problem 404 if this one is none of them."""
    policies = (await registry_of(service)).policies
    if policy_id != NATION and policy_id not in policies.current.partnerships:
        raise not_found("policy")
    return policies


async def _somebody(service: Service, caller: Caller, policies: Policies, policy_id: str) -> tuple[str, str]:
    """Return who the caller is. Raises Problem 403 for one who may not change this policy, or is nobody in particular."""
    if not caller.may("operator"):
        partners = (
            policies.current.partnership(policy_id).partners if policy_id != NATION else frozenset[str]()
        )
        if set(partners).isdisjoint(await stands_for(service, caller)):
            title = "Your agency is no partner in this policy."
            raise Problem(
                403, "not-allowed", title, detail="A hub of the partnership or an operator changes it."
            )
    if caller.worker is None:
        title = "A policy is changed by two people: use a token that names the worker."
        raise Problem(403, "worker", title)
    return caller.agency, caller.worker


@router.get("/policies/{policy_id}")
async def get_policy(
    service: Current,
    policy_id: PolicyId,
    caller: Caller = scope("hub", "commissioner", "operator"),  # noqa: ARG001 - the declaration is the check
) -> Response:
    """Return the policy in force, as its file reads."""
    policies = await in_force(service, policy_id)
    file = policies.file_of(policy_id)
    found = {"policy": policy_id, "reference": policies.reference_of(policy_id), "file": file}
    return json_response({**found, "text": policies.files[file]})


class Proposed(Body):
    """A changed policy, as the text of its file."""

    text: str = Field(min_length=1, max_length=100_000)


@router.post("/policies/{policy_id}/drafts", status_code=201)
async def propose(
    service: Current,
    request: Request,
    policy_id: PolicyId,
    body: Proposed,
    key: Key,
    caller: Caller = scope("hub", "operator"),
) -> Response:
    """Propose a changed policy. Nothing changes until another person publishes it. Needs an Idempotency-Key."""
    policies = await in_force(service, policy_id)
    agency, worker = await _somebody(service, caller, policies, policy_id)
    after = await asyncio.to_thread(readable, policies, policy_id, body.text)
    base, reference = policies.reference_of(policy_id), after.reference_of(policy_id)
    changes = differences(policies.rules_of(policy_id), after.rules_of(policy_id))
    _check_version(policies, after, policy_id)

    async def record(work: Work) -> Answer:
        await work.lock()
        file = policies.file_of(policy_id)
        draft = Draft(new_id(), policy_id, file, body.text, base, reference, agency, worker, work.now)
        work.write(drafts.save, draft)
        answer = {"draft": draft.draft, "policy": policy_id, "base": base, "reference": reference}
        where = {"Location": f"/v1/policies/{policy_id}/drafts/{draft.draft}"}
        return Answer(201, {**answer, "rules": len(changes)}, where)

    answer = await service.once(caller, key, await request.body(), record, route=f"drafts/{policy_id}")
    return answer.response()


def _check_version(before: Policies, after: Policies, policy_id: str) -> None:
    versions = [
        p.current.version if policy_id == NATION else p.current.partnership(policy_id).version
        for p in (before, after)
    ]
    if versions[0] == versions[1]:
        raise invalid(
            [FieldError("text", f"it is version {versions[0]}, as the one in force", "Raise `version`.")]
        )


@router.get("/policies/{policy_id}/drafts")
async def list_drafts(
    service: Current,
    policy_id: PolicyId,
    caller: Caller = scope("hub", "commissioner", "operator"),  # noqa: ARG001 - the declaration is the check
) -> Response:
    """Return who proposed and who published what of this policy, the newest first."""
    await in_force(service, policy_id)
    return json_response({"drafts": await drafts.of_policy(service.pool, policy_id)})


@router.get("/policies/{policy_id}/drafts/{draft}")
async def get_draft(
    service: Current,
    policy_id: PolicyId,
    draft: DraftId,
    caller: Caller = scope("hub", "commissioner", "operator"),  # noqa: ARG001 - the declaration is the check
) -> Response:
    """Return a draft with its text, and rule by rule what it changes in the policy in force."""
    policies = await in_force(service, policy_id)
    found = await drafts.read(service.pool, policy_id, draft)
    if found is None:
        raise not_found("draft")
    changes: tuple[Any, ...] | None
    try:
        after = await asyncio.to_thread(readable, policies, policy_id, found["text"])
        changes = differences(policies.rules_of(policy_id), after.rules_of(policy_id))
    except Problem:
        changes = None  # what is in force has moved on, and the draft does not fit it any more
    return json_response({**found, "rules": changes})


@router.post("/policies/{policy_id}/drafts/{draft}/publication")
async def publish(
    service: Current,
    request: Request,
    policy_id: PolicyId,
    draft: DraftId,
    key: Key,
    caller: Caller = scope("hub", "operator"),
) -> Response:
    """Put a draft in force, as another person than who proposed it. Needs an Idempotency-Key.

    Cases that begin from now live under it; live cases keep their version until they are moved.
    """
    policies = await in_force(service, policy_id)
    agency, worker = await _somebody(service, caller, policies, policy_id)
    found = await drafts.read(service.pool, policy_id, draft)
    if found is None:
        raise not_found("draft")
    await asyncio.to_thread(readable, policies, policy_id, found["text"])

    async def record(work: Work) -> Answer:
        await work.lock()
        row = await drafts.one(work, draft) or found
        if (row["proposed_agency"], row["proposed_worker"]) == (agency, worker):
            title = "A policy is published by another person than who proposed it."
            raise Problem(409, "second-person", title)
        if row["published_at"] is not None:
            raise Problem(409, "published", "This draft is in force already, or was.")
        # Compared in this transaction: two drafts of one base, published at once, would lose one another's changes.
        await work.fetchval("SELECT version FROM registry FOR UPDATE")
        registry = await MEMORY.registry(work)
        current = registry.policies.reference_of(policy_id)
        if current != row["base"]:
            detail = f"It changes {row['base']}, and {current} is in force. Propose it anew on that one."
            raise Problem(
                409, "base-changed", "The policy has changed since this was proposed.", detail=detail
            )
        work.write(drafts.publish, (draft, agency, worker, work.now))
        work.write(rename, None)
        return Answer(200, {"policy": policy_id, "draft": draft, "reference": row["reference"]})

    route = f"publication/{draft}"
    answer = await service.once(caller, key, await request.body(), record, route=route)
    return answer.response()


@router.post("/cases/{case}/policy")
async def move(service: Current, request: Request, case: CaseId, caller: Caller = scope("hub")) -> Response:
    """Decide a live case by the version in force from now on, not by the one that it began with. Needs If-Match."""

    def decide(story: Story, _: Registry) -> None:
        cases.move_to_policy_in_force(story)

    state, version = await act(service, request, caller, case, decide, allowed=HUB, replan=True)
    now = state.proposal.policy_version if state.proposal else None
    return changed(case, state, version, policy_version=now)
