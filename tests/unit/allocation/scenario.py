"""Scenarios of partnerships as data: given a case, when its facts change, then what the policy must say.

They stand in `scenarios/<partnership>.yaml`, in words that the partnership's people can check. The same files are meant for
the real flow: `given` has what a referral says, `then` what the lead agency sees.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import yaml

from services.allocation import policy
from services.allocation.policy.clocks import LONDON

FOLDER = Path(__file__).parent / "scenarios"
POLICIES = Path(__file__).parents[3] / "services" / "allocation" / "policies"
MONDAY = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
PARTY_DEFAULTS: dict[str, dict[str, Any]] = {
    "harmed": {"age_band": "25_or_over"},
    "responsible": {"age_band": "25_or_over", "risk": "low", "admitted": True},
    "both": {"age_band": "25_or_over", "admitted": True},
}
OF_JURISDICTION: dict[str, Callable[[policy.Jurisdiction], Any]] = {
    "held_by": lambda found: found.partnership,
    "connection": lambda found: found.connection,
    "arbiter": lambda found: found.arbiter,
    "candidates": lambda found: sorted(found.candidates),
}
OF_PROPOSAL: dict[str, Callable[[policy.Proposal], Any]] = {
    "co_ordinator": lambda proposal: proposal.co_ordinator,
    "deliverer": lambda proposal: proposal.deliverer,
    "stream": lambda proposal: proposal.stream,
    "sensitive": lambda proposal: sorted(proposal.sensitive),
    "payer": lambda proposal: proposal.funding.payer,
    "basis": lambda proposal: proposal.funding.basis,
    "extras": lambda proposal: proposal.funding.extras,
    "on_hold": lambda proposal: [hold.reason for hold in proposal.holds],
    "held_parties": lambda proposal: sorted(
        lead.party for lead in proposal.leads if proposal.held(lead.party)
    ),
    "checks": lambda proposal: [f"{check.kind} of {check.of}" for check in proposal.checks],
    "delivery_waits_for": lambda proposal: [check.kind for check in proposal.checks if check.delivery],
    "closing_waits_for": lambda proposal: [check.kind for check in proposal.checks if check.closing],
    "queue": lambda proposal: proposal.queue,
    "forms": lambda proposal: list(proposal.forms),
    "participants": lambda proposal: proposal.participants,
    "agenda": lambda proposal: [item.meeting for item in proposal.agenda],
}
OF_LEAD: dict[str, Callable[[policy.Lead], Any]] = {
    "leads": lambda lead: lead.agency,
    "options": lambda lead: list(lead.options),
    "hand_over": lambda lead: list(lead.hand_over),
    "duty": lambda lead: lead.duty,
    "named_worker": lambda lead: list(lead.worker.roles),
    "not_the_worker": lambda lead: list(lead.worker.not_workers),
    "worker_training": lambda lead: lead.worker.training,
    "language": lambda lead: lead.worker.language,
    "attempts": lambda lead: lead.limits.attempts,
    "channels": lambda lead: list(lead.limits.channels),
    "sessions": lambda lead: lead.sessions,
}
OF_WANTED: dict[str, Callable[[policy.Proposal, Any], Any]] = {
    # the kinds, in order, that the approach of each party waits for
    "waits_for": lambda proposal, wanted: {
        party: [c.kind for c in proposal.waiting_for(party)] for party in wanted
    },
    # the kinds that each kind is asked after
    "asked_after": lambda proposal, wanted: {kind: _after(proposal, kind) for kind in wanted},
    "due": lambda proposal, wanted: {
        kind: _day(next(c.due for c in proposal.checks if c.kind == kind)) for kind in wanted
    },
    "clocks": lambda proposal, wanted: {name: _day(_clock(proposal, name)) for name in wanted},
    "team": lambda proposal, wanted: {name: _plain(getattr(proposal.team, name)) for name in wanted},
    "told": lambda proposal, wanted: _said([s.say for s in proposal.told if s.parties], wanted),
    "told_referrer": lambda proposal, wanted: _said([s.say for s in proposal.told if s.referrer], wanted),
    "why": lambda proposal, wanted: _said(list(proposal.why), wanted),
}
FIELDS = {"scenario", "proves", "source", "given", "when", "agencies", "then"}


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scenario. `proves` says in our words what the source has; `source` is the document; `when` changes the case."""

    partnership: str
    name: str
    proves: str
    source: str
    given: Mapping[str, Any]
    when: Mapping[str, Any]
    agencies: Mapping[str, Mapping[str, Any]]
    then: Mapping[str, Any]


@cache
def policies() -> policy.Policies:
    """The shipped policies."""
    return policy.load(POLICIES)


@cache
def scenarios(folder: Path = FOLDER) -> tuple[Scenario, ...]:
    """Every scenario of the folder, in the order of files and lines."""
    found = []
    for path in sorted(folder.glob("*.yaml")):
        for entry in yaml.safe_load(path.read_text(encoding="utf-8")):
            unknown = set(entry) - FIELDS
            assert not unknown, f"{path.name}: a scenario has no {unknown}"
            found.append(
                Scenario(
                    partnership=path.stem,
                    name=entry["scenario"],
                    proves=entry["proves"],
                    source=entry["source"],
                    given=entry["given"],
                    when=entry.get("when", {}),
                    agencies=entry.get("agencies", {}),
                    then=entry["then"],
                )
            )
    return tuple(found)


def facts_of(given: Mapping[str, Any], when: Mapping[str, Any] | None = None) -> policy.CaseFacts:
    """The case of a scenario: `harmed`, `responsible` and `both` are parties (one or a list), the rest is the case's.

    Unless it says otherwise there is one harmed and one responsible person. Ids are the role, numbered from the second on.
    """
    told = _merged(given, when or {})
    parties: list[policy.PartyFacts] = []
    disputed = "both" in told
    for role, defaults in PARTY_DEFAULTS.items():
        entries = told.pop(role, [] if disputed or role == "both" else {})
        for number, entry in enumerate(entries if isinstance(entries, list) else [entries], start=1):
            party_id = role if number == 1 else f"{role}-{number}"
            parties.append(
                msgspec.convert({**defaults, **entry, "id": party_id, "role": role}, policy.PartyFacts)
            )
    told["parties"] = parties
    told.setdefault("received_at", MONDAY)
    return msgspec.convert(told, policy.CaseFacts)


def run(
    scenario: Scenario, other: policy.Policies | None = None
) -> tuple[policy.Jurisdiction, policy.Proposal]:
    """Decides the scenario's case as the service would; the first candidate stands for the arbiter's word."""
    facts = facts_of(scenario.given, scenario.when)
    shipped = other if other is not None else policies()
    found = shipped.jurisdiction(facts)
    partnership = shipped.partnership(found.partnership or found.candidates[0])
    register = {agency.id: agency for agency in policy.Agencies.of(partnership).all()}
    for agency_id, changes in scenario.agencies.items():
        known = register.get(agency_id, policy.Agency(id=agency_id, kind="provider"))
        register[agency_id] = msgspec.structs.replace(known, **changes)
    return found, policy.decide(partnership, facts, policy.Agencies(register.values()), found.connection)


def expect(found: policy.Jurisdiction, proposal: policy.Proposal, then: Mapping[str, Any]) -> None:
    """Holds the proposal against `then`; every key there must be known, so that no expectation is silently skipped."""
    for key, wanted in then.items():
        assert _seen(key, wanted, found, proposal) == wanted, f"{key}\n" + "\n".join(proposal.why)


def _seen(key: str, wanted: Any, found: policy.Jurisdiction, proposal: policy.Proposal) -> Any:
    if key in OF_JURISDICTION:
        return OF_JURISDICTION[key](found)
    if key in OF_PROPOSAL:
        return OF_PROPOSAL[key](proposal)
    if key in OF_LEAD:
        leads = {lead.party: lead for lead in proposal.leads}
        return {party: OF_LEAD[key](leads[party]) for party in wanted}
    assert key in OF_WANTED, f"a scenario cannot expect '{key}'"
    return OF_WANTED[key](proposal, wanted)


def _after(proposal: policy.Proposal, kind: str) -> list[str]:
    kinds = {check.id: check.kind for check in proposal.checks}
    return sorted(
        {kinds[before] for check in proposal.checks if check.kind == kind for before in check.after}
    )


def _day(moment: datetime | None) -> date | None:
    """The last day on which it is in time."""
    return None if moment is None else date.fromordinal(moment.astimezone(LONDON).date().toordinal() - 1)


def _clock(proposal: policy.Proposal, name: str) -> datetime | None:
    return next((clock.due for clock in proposal.clocks if clock.name == name), None)


def _said(sentences: list[str], wanted: list[str]) -> list[str]:
    return [words for words in wanted if any(words in sentence for sentence in sentences)]


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _merged(given: Mapping[str, Any], when: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(given)
    for key, value in when.items():
        both_maps = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = {**merged[key], **value} if both_maps else value
    return merged
