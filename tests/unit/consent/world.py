"""A small world for sentences about contact: ledgers in memory, the real rules, and a clock that the test moves.

Every method is one thing that happens; it runs the real rule, applies its changes and returns the decision.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from services.consent.domain import cases, choices, contact, leads, outcomes, people, permits
from services.consent.domain.decision import Decision, Situation
from services.consent.domain.facts import (
    Agree,
    Ask,
    Attempted,
    Context,
    HandOver,
    Inbound,
    Paused,
    Redeem,
    Reopen,
    Report,
    Resolve,
    Restrict,
    Withdraw,
)
from services.consent.domain.state import CaseState, PersonState
from shared.contracts.cases import CaseCleared, CaseProposed, ClearedParty, Limits, ProposedLead
from shared.contracts.consent import Answer, PermitGranted
from shared.contracts.envelope import Payload
from shared.contracts.people import (
    AgreementFact,
    PersonErased,
    PersonHeld,
    PersonHoldLifted,
    PersonReferred,
    PriorContact,
    Safety,
)

TUESDAY = datetime(2026, 3, 3, 10, 0, tzinfo=UTC)
PHONE = Safety(channels=("phone", "letter", "email"))


class World:
    """People, cases and a clock."""

    def __init__(self) -> None:
        """Begin on a Tuesday at ten in London, knowing nobody."""
        self.people: defaultdict[str, PersonState] = defaultdict(PersonState)
        self.cases: defaultdict[str, CaseState] = defaultdict(CaseState)
        self.now = TUESDAY
        self.successors: dict[str, str] = {}
        self.deputies: dict[str, str] = {}
        self.parked = False
        self.restored = False
        self.permits = 0
        self.last: Decision | None = None
        self.decided: dict[tuple[str, str], tuple[int, str]] = {}

    @property
    def context(self) -> Context:
        return Context(self.now, self.successors, self.deputies, self.parked, self.restored)

    @property
    def at(self) -> Situation:
        return Situation(self.people, self.cases)

    def apply(self, decision: Decision) -> Decision:
        self.people.update(decision.people())
        self.cases.update(decision.cases())
        self.last = decision
        return decision

    def later(self, **delta: float) -> None:
        self.now += timedelta(**delta)

    # --- what happens

    def refer(
        self,
        person: str = "vera",
        case: str = "c1",
        *,
        incident: str = "",
        role: str = "harmed",
        by: str = "police",
        safety: Safety = PHONE,
        prior: PriorContact | None = None,
        referral: str = "r1",
        **more: Any,
    ) -> Decision:
        event = PersonReferred(
            case=case,
            incident=incident or f"incident of {case}",
            referral=referral,
            referrer=by,
            role=role,  # type: ignore[arg-type]
            safety=safety,
            prior_contact=prior,
            **more,
        )
        return self.apply(people.referred(self.at, person, event, self.context))

    def claim(
        self, person: str = "vera", case: str = "c1", *, agency: str = "beacon", worker: str | None = None,
        party: str | None = None, role: str = "harmed", claim: str = "",
    ) -> Decision:  # fmt: skip
        lead = ProposedLead(party=party or person, person=person, role=role, agency=agency, worker=worker)  # type: ignore[arg-type]
        proposal = CaseProposed(
            claim=claim or f"{case}-{agency}", incident=f"incident of {case}", leads=(lead,), partnership="p",
            policy_version="1", rule="r", why=("because",),
        )  # fmt: skip
        return self.apply(leads.claim(self.at, case, proposal, self.now, self.context))

    def clear(
        self, person: str = "vera", case: str = "c1", *, party: str | None = None, **limits: Any
    ) -> Decision:
        one = ClearedParty(party=party or person, person=person, limits=Limits(**limits))
        return self.apply(cases.cleared(self.at, case, CaseCleared(parties=(one,), policy_version="1")))

    def lead(self, person: str = "vera", case: str = "c1", agency: str = "beacon", **refer: Any) -> None:
        """Refer, claim and clear: ready to be approached."""
        self.refer(person, case, **refer)
        self.claim(person, case, agency=agency, role=refer.get("role", "harmed"))
        self.clear(person, case)

    def ask(
        self, person: str = "vera", case: str = "c1", agency: str = "beacon", *, purpose: str = "approach",
        channel: str = "phone", worker: str | None = "wendy", party: str | None = None,
    ) -> Decision:  # fmt: skip
        self.permits += 1
        ask = Ask(case, party or person, person, agency, worker, purpose, channel)  # type: ignore[arg-type]
        return self.apply(permits.grant(self.at, ask, f"p{self.permits}", self.context))

    def redeem(
        self,
        person: str = "vera",
        *,
        fence: int | None = None,
        behind: bool = False,
        permit: str = "",
        sender: str | None = None,
        worker: str | None = None,
    ) -> Decision:
        live = self.people[person].permit
        command = Redeem(
            permit or (live.id if live else "none"),
            person,
            fence or (live.fence if live else 0),
            behind,
            sender,
            worker,
        )
        return self.apply(permits.redeem(self.at, command, self.context))

    def outcome(
        self, outcome: str, person: str = "vera", *, agency: str | None = "beacon", **more: Any
    ) -> Decision:
        live = self.people[person].permit
        command = Report(live.id if live else "none", person, live.fence if live else 0, outcome, agency)  # type: ignore[arg-type]
        return self.apply(outcomes.report(self.at, replace(command, **more), self.context))

    def late(
        self, outcome: str, permit: str, person: str = "vera", case: str = "c1", agency: str = "beacon"
    ) -> Decision:
        command = Report(permit, person, 1, outcome, agency)  # type: ignore[arg-type]
        attempted = Attempted(case, person, agency, "phone", "approach")
        return self.apply(outcomes.late_no(self.at, command, attempted, self.context))

    def attempt(
        self, outcome: str, person: str = "vera", case: str = "c1", agency: str = "beacon", **more: Any
    ) -> Decision:
        """Ask, redeem and report in one."""
        assert granted(self.ask(person, case, agency))
        assert self.redeem(person).refusal is None
        return self.outcome(outcome, person, agency=agency, **more)

    def overdue(self, person: str = "vera") -> Decision:
        live = self.people[person].permit
        return self.apply(permits.overdue(self.at, person, live.id if live else "none", self.context))

    def expire(self, person: str = "vera") -> Decision:
        live = self.people[person].permit
        return self.apply(permits.expire(self.at, person, live.id if live else "none", self.context))

    def resolve(self, permit: str, outcome: str, person: str = "vera", **more: Any) -> Decision:
        attempted = Attempted("c1", person, "beacon", "phone", "approach")
        command = Resolve(permit, person, attempted, outcome, "hub", **more)  # type: ignore[arg-type]
        return self.apply(outcomes.resolve(self.at, command, self.context))

    def withdraw(self, *who: str, cases: tuple[str, ...] = (), by: str = "person") -> Decision:
        command = Withdraw("w1", who or ("vera",), cases, by, "mercia")  # type: ignore[arg-type]
        return self.apply(choices.withdraw(self.at, command))

    def reopen(self, person: str = "vera", *cases: str, reason: str = "person_asked") -> Decision:
        command = Reopen(person, cases, "letter of 3 March", reason, "beacon")  # type: ignore[arg-type]
        return self.apply(choices.reopen(self.at, command))

    def rings(
        self, answer: Answer, person: str = "vera", case: str = "c1", agency: str = "beacon", **more: Any
    ) -> Decision:
        inbound = Inbound(person, case, agency, answer, **more)
        return self.apply(outcomes.inbound(self.at, inbound, self.context))

    def agree(
        self, person: str = "vera", case: str | None = "c1", agency: str = "beacon", **fact: Any
    ) -> Decision:
        agreed = AgreementFact(scope=fact.pop("scope", ("be_contacted",)), **fact)
        return self.apply(
            outcomes.agree(self.at, Agree(person, case, agency, agreed), self.context, hub=False)
        )

    def hold(self, person: str = "vera", hold: str = "h1", reason: str = "identity_doubtful") -> Decision:
        return self.apply(people.held(self.at, person, PersonHeld(hold=hold, reason=reason)))

    def lift(self, person: str = "vera", hold: str = "h1") -> Decision:
        return self.apply(
            people.hold_lifted(self.at, person, PersonHoldLifted(hold=hold, reason="looked_at"))
        )

    def _decided(self, one: str, other: str, what: str) -> int:
        """Number intake's decision about a pair: the last one again if it says the same, else the next."""
        pair = (min(one, other), max(one, other))
        number, last = self.decided.get(pair, (0, ""))
        self.decided[pair] = (number + (what != last), what)
        return self.decided[pair][0]

    def link(self, one: str, other: str, *, told_by: str = "both", number: int | None = None) -> None:
        number = number or self._decided(one, other, "link")
        if told_by in {"both", one}:
            self.apply(people.linked(self.at, one, other, number, self.context))
        if told_by in {"both", other}:
            self.apply(people.linked(self.at, other, one, number, self.context))

    def unlink(self, one: str, other: str, *, told_by: str = "both", number: int | None = None) -> None:
        number = number or self._decided(one, other, "unlink")
        if told_by in {"both", one}:
            self.apply(people.unlinked(self.at, one, other, number))
        if told_by in {"both", other}:
            self.apply(people.unlinked(self.at, other, one, number))

    def erase(self, person: str = "vera") -> Decision:
        return self.apply(people.erased(self.at, person, PersonErased(reason="asked")))

    def hand_over(self, target: str, person: str = "vera", worker: str | None = None) -> Decision:
        return self.apply(leads.hand_over(self.at, HandOver(person, target, worker, "moved"), self.context))

    def restrict(self, kind: str, case: str = "c1", **more: Any) -> Decision:
        command = Restrict(case, kind, "x1", "meeting", **more)  # type: ignore[arg-type]
        return self.apply(cases.restrict(self.at, command))

    def pause(self, case: str = "c1", pause: str = "x1") -> Decision:
        return self.apply(cases.paused(self.at, case, Paused(pause, "meeting")))

    def resume(self, case: str = "c1", pause: str | None = "x1") -> Decision:
        return self.apply(cases.resumed(self.at, case, pause))

    def close(self, case: str = "c1", into: str | None = None) -> Decision:
        return self.apply(cases.closed(self.at, case, "done", into))

    def may(self, person: str = "vera", case: str = "c1", agency: str = "beacon") -> str:
        ask = Ask(case, person, person, agency, "wendy", "approach", None)
        refusal = contact.check(Decision(self.at), ask, self.context)
        return refusal.reason if refusal else "yes"


def granted(decision: Decision) -> bool:
    return bool(decision.told(PermitGranted)) and decision.refusal is None


def why(decision: Decision) -> str | None:
    return decision.refusal.reason if decision.refusal else None


def told(decision: Decision, kind: type[Payload], key: str | None = None) -> list[Any]:
    return [event for person, event in decision.told(kind) if key in {None, person}]


def on(day: str) -> date:
    return date.fromisoformat(day)


Given = Callable[[], World]
