"""Consent's side of a step: the real decision, and its changes taken into the ledgers.

The lines here stand for what the routes and handlers of consent do around a decision; those run in tests/simulation.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from shared.contracts.cases import CaseCleared, CaseProposed, ClearedParty, Limits, ProposedLead
from tests.exploration.rules import Rules
from tests.exploration.world import AGENCIES, BEGIN, CASES, RECORDS, Consent, Try, put

# Days that policy wants between two approaches.
GAP_DAYS = 60
SUCCESSOR = "Z"


class Deciding:
    """Consent's decisions, one method for each command or event; each returns the Consent after it."""

    def __init__(self, rules: Rules, incidents: tuple[str, str], attempts: int) -> None:
        self.r = rules.consent
        self._limits = Limits(attempts=attempts, gap_days=0, approach_gap_days=GAP_DAYS)
        self._incidents = dict(zip(RECORDS, incidents, strict=True))

    def begin(self, permits: int) -> Consent:
        """Return a consent that knows nobody."""
        ledger, case = self.r["state"].PersonState(), self.r["state"].CaseState()
        return Consent((ledger, ledger), (case, case), (0, 0), (0, 0), (False, False), (None,) * permits)

    def _situation(self, c: Consent) -> Any:
        people = dict(zip(RECORDS, c.people, strict=True))
        return self.r["decision"].Situation(people, dict(zip(CASES.values(), c.cases, strict=True)))

    def carry_out(self, c: Consent, d: Any) -> Consent:
        """Return consent with a decision's changes."""
        people, cases = d.people(), d.cases()
        ended = c.ended
        for change in d.changes:
            name = type(change.what).__name__
            if name == "PermitEnded":
                ended = put(ended, number(change.what.permit), (change.what.how, None))
            elif name == "AttemptRecorded":
                ended = put(ended, number(change.what.permit), ("attempted", change.what.outcome))
        return c._replace(
            people=tuple(people.get(key, old) for key, old in zip(RECORDS, c.people, strict=True)),
            cases=tuple(cases.get(key, old) for key, old in zip(CASES.values(), c.cases, strict=True)),
            ended=ended,
        )

    def view(self, c: Consent) -> Any:
        """Return an empty decision, to ask about groups and standings."""
        return self.r["decision"].Decision(self._situation(c))

    def group(self, c: Consent, record: int) -> tuple[int, ...]:
        """Return the records that are this human here."""
        return tuple(RECORDS.index(key) for key in self.view(c).group(RECORDS[record]))

    def context(self, c: Consent, now: datetime, record: int | None = None) -> Any:
        """Return what surrounds a question. Parked: an event of anybody in the group is parked or waits."""
        parked = record is not None and any(
            c.parked[r] or c.got[r] != c.applied[r] for r in self.group(c, record)
        )
        return self.r["facts"].Context(now, {"X": SUCCESSOR} if c.succeeded else {}, {}, parked)

    # --- what comes by event

    def take_in(self, c: Consent, record: int, event: Any) -> Consent:
        """Apply one event of intake's about a record."""
        at, key, people = self._situation(c), RECORDS[record], self.r["people"]
        context = self.context(c, BEGIN)
        match type(event).__name__:
            case "PersonReferred":
                d = people.referred(at, key, event, context)
            case "PersonHeld":
                d = people.held(at, key, event)
            case "PersonHoldLifted":
                d = people.hold_lifted(at, key, event)
            case "PersonErased":
                d = people.erased(at, key, event)
            case "PersonLinked":
                d = people.linked(at, key, event.other, event.number, context)
            case "PersonUnlinked":
                d = people.unlinked(at, key, event.other, event.number)
            case _:
                d = people.changed(at, key, event)
        return self.carry_out(c, d)

    def claim(self, c: Consent, record: int, agency: str) -> Consent:
        """Decide allocation's claim of a record for an agency, of which the checks are answered at once."""
        key = RECORDS[record]
        lead = ProposedLead(party=key, person=key, role="harmed", agency=agency)
        proposal = CaseProposed(
            claim=f"{agency}-{key}", incident=self._incidents[key], leads=(lead,), partnership="", policy_version="",
            rule="", why=(),
        )  # fmt: skip
        claimed = self.r["leads"].claim(
            self._situation(c), CASES[key], proposal, BEGIN, self.context(c, BEGIN)
        )
        after = self.carry_out(c, claimed)
        cleared = CaseCleared(
            parties=(ClearedParty(party=key, person=key, limits=self._limits),), policy_version=""
        )
        return self.carry_out(after, self.r["cases"].cleared(self._situation(after), CASES[key], cleared))

    # --- permits

    def grant(self, c: Consent, permit: int, agency: str, record: int, now: datetime) -> Consent | None:
        """Grant a permit, or None."""
        ask = self._ask(record, agency)
        context = self.context(c, now, record)
        d = self.r["permits"].grant(self._situation(c), ask, name(permit), context)
        return None if d.refusal is not None else self.carry_out(c, d)

    def _ask(self, record: int, agency: str) -> Any:
        key = RECORDS[record]
        return self.r["facts"].Ask(CASES[key], key, key, agency, "worker", "approach", "phone")

    def may(self, c: Consent, agency: str, record: int, now: datetime) -> bool:
        """Answer `may I contact`."""
        context = self.context(c, now, record)
        return self.r["contact"].check(self.view(c), self._ask(record, agency), context) is None

    def redeem(
        self, c: Consent, permit: int, record: int, trying: Try, now: datetime
    ) -> tuple[Consent, datetime] | str:
        """Redeem a permit for intake: how long it may be used, or the kind of the refusal."""
        behind = any(c.applied[r] < sequence for r, sequence in trying.seen)
        command = self.r["facts"].Redeem(
            name(permit), RECORDS[record], self._fence(c, permit, record), behind
        )
        d = self.r["permits"].redeem(self._situation(c), command, self.context(c, now, record))
        if d.refusal is None:
            after = self.carry_out(c, d)
            told = next(change.what for change in d.changes if type(change.what).__name__ == "PermitRedeemed")
            return after, told.use_by
        if d.refusal.reason != "not_live":
            return str(d.refusal.reason.replace("_", "-"))
        how = c.ended[permit]
        return "already-redeemed" if how and how[0] in {"attempted", "not_made"} else "revoked"

    def _fence(self, c: Consent, permit: int, record: int) -> int:
        live = c.people[record].permit
        return live.fence if live is not None and live.id == name(permit) else 0

    def expire(self, c: Consent, permit: int, record: int, now: datetime) -> Consent:
        """Let the timer of a permit fire."""
        d = self.r["permits"].expire(self._situation(c), RECORDS[record], name(permit), self.context(c, now))
        return self.carry_out(c, d)

    def overdue(self, c: Consent, permit: int, record: int, now: datetime) -> Consent:
        """Let the timer of an outcome fire."""
        d = self.r["permits"].overdue(self._situation(c), RECORDS[record], name(permit), self.context(c, now))
        return self.carry_out(c, d)

    def report(
        self,
        c: Consent,
        permit: int,
        record: int,
        agency: str,
        outcome: str,
        now: datetime,
        service: str | None,
    ) -> Consent | None:
        """Record an outcome that the holder, or intake, reports; None if it is refused. See consent's route `_report`."""
        facts, outcomes, ended = self.r["facts"], self.r["outcomes"], c.ended[permit]
        fence = self._fence(c, permit, record)
        command = facts.Report(
            name(permit), RECORDS[record], fence, outcome, None if service else agency, service=service
        )
        context = self.context(c, now)
        if ended is not None:
            recorded = "not_made" if ended[0] == "not_made" else ended[1]
            if (
                recorded is None
                or outcome not in {"declined", "withdrew"}
                or recorded in {"declined", "withdrew"}
            ):
                return None
            key = RECORDS[record]
            attempt = facts.Attempted(CASES[key], key, agency, "phone", "approach")
            d = outcomes.late_no(self._situation(c), command, attempt, context)
        else:
            d = outcomes.report(self._situation(c), command, context)
        return None if d.refusal is not None else self.carry_out(c, d)

    def resolve(self, c: Consent, permit: int, record: int, agency: str, now: datetime) -> Consent | None:
        """Let a person at the hub find out that nobody answered."""
        facts, key = self.r["facts"], RECORDS[record]
        attempt = facts.Attempted(CASES[key], key, agency, "phone", "approach")
        command = facts.Resolve(name(permit), key, attempt, "no_answer", "hub")
        d = self.r["outcomes"].resolve(self._situation(c), command, self.context(c, now))
        return None if d.refusal is not None else self.carry_out(c, d)

    # --- people and leads

    def withdraw(self, c: Consent, record: int, bound: tuple[int, ...]) -> tuple[Consent, frozenset[int]]:
        """Put a withdrawal from everything in force; says which permits were in flight."""
        people = tuple(RECORDS[r] for r in bound)
        command = self.r["facts"].Withdraw(f"withdrawal-{RECORDS[record]}", people, (), "person", "person")
        d = self.r["choices"].withdraw(self._situation(c), command)
        told = next(change.what for change in d.changes if type(change.what).__name__ == "ConsentWithdrawn")
        return self.carry_out(c, d), frozenset(number(permit) for permit in told.in_flight)

    def hand_over(self, c: Consent, record: int, target: str, now: datetime) -> Consent | None:
        """Move a lead; None if that is refused."""
        command = self.r["facts"].HandOver(RECORDS[record], target, None, "asked")
        d = self.r["leads"].hand_over(self._situation(c), command, self.context(c, now))
        return None if d.refusal is not None else self.carry_out(c, d)

    def succeed(self, c: Consent, record: int, now: datetime) -> Consent:
        """Write a succession down for one person."""
        d = self.r["leads"].succeed(self._situation(c), RECORDS[record], self.context(c, now))
        return self.carry_out(c, d)

    def reassign(self, c: Consent, record: int) -> Consent | None:
        """Take back a lead; None if that is refused."""
        d = self.r["leads"].reassign(self.view(c), RECORDS[record])
        return None if d.refusal is not None else self.carry_out(c, d)

    def lead(self, c: Consent, record: int) -> str | None:
        """Return the agency that leads a record's human, as whoever it is now."""
        view = self.view(c)
        lead = self.r["standing"].lead_of(view, view.group(RECORDS[record]))
        return self.r["standing"].current(lead.agency, self.context(c, BEGIN).successors) if lead else None


def name(permit: int) -> str:
    """Return a permit's id."""
    return f"p{permit + 1}"


def number(permit: str) -> int:
    """Return a permit's place."""
    return int(permit[1:]) - 1


ASKING = (*AGENCIES, SUCCESSOR)
