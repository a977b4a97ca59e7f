"""Partnership policies: read, checked and applied, with reasons. Pure: files' texts and facts in, proposals out.

policies = policy.load(folder)                       # PolicyErrors: every problem with file, line and remedy
found = policies.jurisdiction(facts)                 # one partnership, or the arbiter and why
proposal = policy.decide(policies.partnership(found.partnership), facts, agencies, found.connection)
"""

from services.allocation.policy.agencies import Agencies, Agency
from services.allocation.policy.clocks import Due, add_working_days, due_at, parse_due
from services.allocation.policy.evaluator import decide
from services.allocation.policy.facts import CaseFacts, PartyFacts, combine
from services.allocation.policy.jurisdiction import Policies
from services.allocation.policy.loader import load, parse
from services.allocation.policy.model import Partnership
from services.allocation.policy.problems import FactsError, PolicyErrors, Problem
from services.allocation.policy.proposal import (
    Check,
    Clock,
    Funding,
    Jurisdiction,
    Lead,
    OnHold,
    Proposal,
    TeamNeed,
    WorkerNeed,
)  # fmt: skip

__all__ = [
    "Agencies", "Agency", "CaseFacts", "Check", "Clock", "Due", "FactsError", "Funding", "Jurisdiction", "Lead", "OnHold",
    "Partnership", "PartyFacts", "Policies", "PolicyErrors", "Problem", "Proposal", "TeamNeed", "WorkerNeed",
    "add_working_days", "combine", "decide", "due_at", "load", "parse", "parse_due",
]  # fmt: skip
