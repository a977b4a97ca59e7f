"""The parts of a proposal that one rule each decides: a party's lead, the team, the funding."""

from __future__ import annotations

from services.allocation.policy import strictest
from services.allocation.policy.context import Match, Side, party_values
from services.allocation.policy.facts import CaseFacts
from services.allocation.policy.model import Choice, Fund, LimitRule, Path, Rule, Team, Word, Worker
from services.allocation.policy.problems import FactsError
from services.allocation.policy.proposal import Funding, Lead, TeamNeed, WorkerNeed
from services.allocation.policy.run import NOBODY, Run, typed
from services.allocation.policy.shapes import BY_NAME, COORDINATOR


def lead_of(run: Run, side: Side, able: tuple[str, ...], rule: Rule, role: str) -> Lead:
    """Everything about the lead of one party; `able` are the agencies that may lead, the best first."""
    party = side.party
    if party is None:
        raise FactsError("parties: nobody leads for a party that is not known")
    seen = run.of_harmed(side) if role == "harmed" else run.of_responsible(side)
    view = seen.knowing(party_values(party, role))
    path = run.first("hand_over", Path, view)
    steps = [run.agency(ref, NOBODY, view) for ref in path.to]
    limits = run.first("limits", LimitRule, view)
    worker = run.first("worker", Worker, view)
    return Lead(
        party=party.id,
        role=party.role,
        agency=run.agencies.current(able[0]),
        options=run.today((*able, run.found[COORDINATOR])),
        rule=rule.id,
        team=typed(rule.effect, Choice).team,
        worker=WorkerNeed(
            roles=worker.roles,
            training=worker.training or "none",
            language=party.language,
            hours=worker.work_hours or 0,
            not_workers=_not_neutral(run.facts, worker.neutral_to)[0],
        ),
        hand_over=run.today(step for step in steps if step != able[0]),
        duty=run.first("duty", Word, view).word if role == "harmed" else None,
        limits=strictest.contract_limits(limits),
        sessions=limits.sessions,
    )


def team_of(run: Run) -> TeamNeed:
    """Who is needed to deliver."""
    team = run.first("team", Team, run.view)
    workers, agencies = _not_neutral(run.facts, team.neutral_to)
    groups = [[run.agency(ref, NOBODY, run.view) for ref in group] for group in team.one_from_each]
    return TeamNeed(
        facilitators=team.facilitators or 1,
        different_agencies=bool(team.different_agencies),
        one_from_each=tuple(map(run.today, groups)),
        training=team.training or "none",
        experience=team.experience or "any",
        supervision=team.supervision or "none",
        specialism=team.specialism,
        languages=_given([party.language for party in run.facts.parties]),
        not_workers=workers,
        not_agencies=agencies,
        travel_km=team.travel_km,
    )


def funding_of(run: Run) -> Funding:
    """Who pays: a fund by its name, an agency by who it is today."""
    section = BY_NAME["fund"]
    hit = run.search(section, run.partnership.plan["fund"], run.view)
    if hit is None:
        raise FactsError("fund has no rule for this case: the policy was not checked")
    rule, match = hit
    fund = typed(rule.effect, Fund)
    payer = next(filter(None, (_payer(run, ref, match) for ref in fund.payer)), fund.payer[-1])
    run.say(section, rule, run.name(payer))
    return Funding(payer=payer, basis=fund.basis, extras=_payer(run, fund.extras, match))


def _payer(run: Run, ref: str | None, match: Match) -> str | None:
    if ref is None or ref in run.partnership.funds:
        return ref
    agency = run.agency(ref, match, run.view)
    return run.agencies.current(agency) if agency is not None else None


def _not_neutral(facts: CaseFacts, relations: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Workers and agencies that stand in one of these relations to a party of the case."""
    parties = facts.parties
    workers: list[str | None] = []
    if "own_caseworker" in relations:
        workers += [party.caseworker for party in parties]
    if "own_liaison_officer" in relations:
        workers += [party.liaison_officer for party in parties]
    agencies = [party.supervising_agency for party in parties] if "own_supervisor_agency" in relations else []
    return _given(workers), _given(agencies)


def _given(words: list[str | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word for word in words if word is not None))
