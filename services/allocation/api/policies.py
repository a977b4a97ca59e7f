"""Policies: which are in force, and what a changed one would change."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import Field
from starlette.responses import Response

from services.allocation.api.common import Body, Current, json_response
from services.allocation.api.drafts import readable, registry_of
from services.allocation.domain.state import CaseState, Proposal
from services.allocation.handlers.carry import CASE
from services.allocation.handlers.planning import propose
from services.allocation.store.policies import NATION, Decisions
from services.allocation.store.registry import Registry
from shared.runtime.auth import Caller, scope
from shared.runtime.problems import not_found

router = APIRouter(prefix="/v1/policies", tags=["policies"])
PolicyId = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9-]{1,63}$")]
MOST_CASES = 500
_LAST = """
SELECT s.key, s.state FROM case_row AS c JOIN stream AS s ON s.kind = 'case' AND s.key = c.case_id
WHERE c.partnership = $1 OR $2 ORDER BY c.case_id DESC LIMIT $3
"""


@router.get("")
async def list_policies(
    service: Current,
    caller: Caller = scope("hub", "commissioner", "operator"),  # noqa: ARG001 - the declaration is the check
) -> Response:
    """Return the policies in force: what a case that begins now lives under."""
    registry = await registry_of(service)
    found = [
        {
            "policy": p.id,
            "name": p.name,
            "version": p.version,
            "reference": p.reference,
            "areas": p.areas,
            "source": p.source,
        }
        for p in registry.policies.current.partnerships.values()
    ]
    return json_response({"policies": found})


class DryRun(Body):
    """A changed policy, as the text of its file, and how many of the last cases to try it on."""

    text: str = Field(min_length=1, max_length=100_000)
    last: int = Field(100, ge=1, le=MOST_CASES)
    everywhere: bool = Field(
        default=False, description="also cases of other partnerships: whose would become whose"
    )


@router.post("/{policy_id}/dry-run")
async def dry_run(
    service: Current,
    policy_id: PolicyId,
    body: DryRun,
    caller: Caller = scope("hub", "commissioner", "operator"),  # noqa: ARG001 - the declaration is the check
) -> Response:
    """Return, for the last cases, what the changed policy would decide otherwise. Nothing changes."""
    registry = await registry_of(service)
    if policy_id != NATION and policy_id not in registry.policies.current.partnerships:
        raise not_found("policy")
    everywhere = body.everywhere or policy_id == NATION
    rows = await service.pool.fetch(_LAST, policy_id, everywhere, body.last)
    # Each case is decided twice; in a thread, so that nobody else waits for it.
    return json_response(await asyncio.to_thread(_compare, registry, policy_id, body.text, rows))


def _compare(registry: Registry, policy_id: str, text: str, rows: list[Any]) -> dict[str, Any]:
    changed = readable(registry.policies, policy_id, text)
    differing = []
    as_is, as_it_would_be = Decisions(), Decisions()
    for row in rows:
        state: CaseState = CASE.decode(row["state"])
        # As if the case arrived now: a live case keeps its version, which would hide every difference.
        arriving = CaseState(incident=state.incident, referrals=state.referrals, parties=state.parties)
        before, _ = propose(arriving, registry.policies, registry.register, as_is)
        after, _ = propose(arriving, changed, registry.register, as_it_would_be)
        differences = _differences(before, after)
        if differences:
            differing.append({"case": row["key"], "differences": differences, "why": after.why})
    return {"policy": policy_id, "tried": len(rows), "differing": len(differing), "cases": differing}


def _differences(before: Proposal, after: Proposal) -> list[dict[str, Any]]:
    was, would_be = _table(before), _table(after)
    return [
        {"what": what, "is": was.get(what), "would_be": would_be.get(what)}
        for what in sorted(was.keys() | would_be.keys())
        if was.get(what) != would_be.get(what)
    ]


def _table(proposal: Proposal) -> dict[str, Any]:
    leads = {f"lead of {p.role} {p.party}": next(iter(p.options), None) for p in proposal.parties}
    within = {f"team for {p.role} {p.party}": p.team for p in proposal.parties if p.team}
    limits = {f"limits of {p.role} {p.party}": _limits(p.limits) for p in proposal.parties}
    holds = {f"hold of {p.role} {p.party}": p.hold for p in proposal.parties if p.hold}
    checks = {f"check {c.id}": {"gates": list(c.gates), "due": c.due} for c in proposal.checks}
    team = f"{proposal.delivery.facilitators} of {', '.join(proposal.delivery.agencies)}; {proposal.delivery.training}"
    rest = {
        "partnership": proposal.partnership,
        "co-ordinator": proposal.co_ordinator,
        "funder": proposal.funder,
        "team": team,
    }
    return {**rest, **leads, **within, **limits, **holds, **checks}


def _limits(limits: Any) -> str:  # noqa: ANN401 - contract limits
    channels = ", ".join(limits.channels)
    return f"{limits.attempts} attempts, {limits.gap_days} days between, {channels}"
