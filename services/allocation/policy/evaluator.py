"""A policy and a case's facts -> a proposal, with its reasons. Pure: the same input gives the same output."""

from __future__ import annotations

from services.allocation.policy.agencies import Agencies
from services.allocation.policy.answers import funding_of, lead_of, team_of
from services.allocation.policy.context import view_of
from services.allocation.policy.facts import CaseFacts
from services.allocation.policy.model import Forms, Partnership, Queue
from services.allocation.policy.proposal import Proposal
from services.allocation.policy.requirements import agenda, checks, clocks, holds, told
from services.allocation.policy.run import Run
from services.allocation.policy.shapes import COORDINATOR, DELIVERING, LEADING


def decide(
    partnership: Partnership,
    facts: CaseFacts,
    agencies: Agencies | None = None,
    connection: str | None = None,
) -> Proposal:
    """What the partnership's policy says of the case.

    `agencies` is the register of today (default: as the policy lists them); `connection` the jurisdiction's, where known.
    Raises `FactsError` for facts outside every policy's vocabulary.
    """
    register = agencies if agencies is not None else Agencies.of(partnership)
    run = Run(partnership, facts, register, view_of(partnership, facts, register, connection))
    run.derive()
    co_ordinator = run.choose("coordinator", run.view)[0]
    run.found[COORDINATOR] = co_ordinator
    deliverer = run.choose("deliver", run.view)[0]
    stream = run.fired[-1].id
    run.found[DELIVERING] = deliverer
    run.view = run.view.knowing({"delivered_by": (deliverer,)})
    harmed = [
        (side, run.choose("lead_harmed", run.of_harmed(side)), run.fired[-1]) for side in run.view.harmed
    ]
    run.found[LEADING] = harmed[0][1][0]
    run.view = run.view.knowing({"led_by": tuple(dict.fromkeys(able[0] for _, able, _ in harmed))})
    leads = [lead_of(run, side, able, rule, "harmed") for side, able, rule in harmed]
    # A party of both roles is led once, as harmed: what protects the harmed person comes first.
    for side in run.view.responsible:
        if side.party is not None and not side.party.harmed:
            able = run.choose("lead_responsible", run.of_responsible(side))
            leads.append(lead_of(run, side, able, run.fired[-1], "responsible"))
    team, funding, forms = team_of(run), funding_of(run), run.first("forms", Forms, run.view)
    queue = run.optional("queue", Queue)
    return Proposal(
        partnership=partnership.id,
        policy_version=partnership.version,
        policy_digest=partnership.digest,
        connection=run.view.flat["connection"][0],
        co_ordinator=register.current(co_ordinator),
        deliverer=register.current(deliverer),
        stream=stream,
        leads=tuple(leads),
        team=team,
        funding=funding,
        sensitive=tuple(word for word in run.view.flat["sensitive"] if word != "none"),
        holds=holds(run),
        checks=checks(run),
        clocks=clocks(run),
        forms=forms.forms,
        participants=forms.participants,
        told=told(run),
        queue=queue.queue if queue is not None else None,
        queue_order=queue.order if queue is not None else None,
        agenda=agenda(run),
        rules=tuple(dict.fromkeys(f"{rule.section}/{rule.id}" for rule in run.fired)),
        headline=run.headline(),
        why=tuple(run.why),
    )
