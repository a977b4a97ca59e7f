"""Whether cases and leads agree: every open case names who really leads, and no case is forgotten.

Read from allocation's states and its journal, and compared with consent's ledgers. Asked once everything is told: while
an event is under way they may differ.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from services.allocation.domain.state import CaseState
from services.allocation.handlers import CASE
from services.consent.domain.state import PersonState
from tests.simulation.cluster import Cluster

CONCLUSIONS = frozenset({"case.proposed.v1", "case.allocated.v1", "case.needs_decision.v1", "case.closed.v1"})
"""After which nothing that was told before of who leads still counts."""
Ledger = Callable[[str], PersonState]
Human = Callable[[str], set[str]]


class Cases:
    """The cases of one history. `ledger` and `human` are consent's: of an id, and which ids it knows to be the same."""

    def __init__(self, cluster: Cluster, ledger: Ledger, human: Human) -> None:
        self._cluster = cluster
        self._ledger = ledger
        self._human = human

    def all(self) -> dict[str, CaseState]:
        """Return every case as allocation has it."""
        rows = self._cluster.allocation.tables["stream"].rows
        return {key: CASE.decode(row["state"]) for (_, key), row in sorted(rows.items())}

    def disagree(self) -> str | None:
        """Return about what cases and leads do not agree, None if they do."""
        cases = self.all()
        for case, state in cases.items():
            wrong = self._status(case, state) or (
                None if state.closed else self._open(case, state) or self._told(case, state)
            )
            if wrong:
                return wrong
        return self._leads(cases)

    def leads_of(self, person: str) -> set[str]:
        """Return who leads this human."""
        return {lead.agency for one in self._human(person) if (lead := self._ledger(one).lead)}

    def _open(self, case: str, state: CaseState) -> str | None:
        names = False
        for key, party in state.parties.items():
            if party.place == "claimed":
                return f"{case}: the claim of {party.agency} for {key} is not answered"
            if party.place not in ("led", "elsewhere"):
                continue
            leads = self.leads_of(party.person)
            if party.agency not in leads:
                lead = " and ".join(sorted(leads)) or "nobody"
                return f"{case} names {party.agency} for {key} ({party.place}), and {lead} leads"
            own = self._ledger(party.person).lead
            if party.place == "led" and (own is None or case not in own.cases):
                return f"{case} is led by {party.agency} for {key}, and that lead does not cover it"
            names = True
        if not names and not state.undecided:
            places = ", ".join(f"{key} {party.place}" for key, party in state.parties.items())
            return f"{case} is forgotten: nobody leads ({places}), and nobody is asked"
        return None

    def _told(self, case: str, state: CaseState) -> str | None:
        """What the world was told last of who leads is so."""
        rows = self._cluster.allocation.tables["journal"].rows.values()
        told = [row for row in rows if row["key"] == case and row["type"] in CONCLUSIONS]
        last = max(told, key=lambda row: row["sequence"], default=None)
        if last is None or last["type"] != "case.allocated.v1":
            return None
        parties: list[dict[str, Any]] = msgspec.json.decode(last["data"])["parties"]
        for party in parties:
            place = state.parties[party["party"]].place
            if party.get("agency") and party["agency"] not in self.leads_of(party["person"]):
                return f"{case} was told to be led by {party['agency']} for {party['party']} ({place}), who does not lead"
        return None

    def _status(self, case: str, state: CaseState) -> str | None:
        """Intake, whom referrers ask, knows what has become of the case."""
        row = self._cluster.intake.tables["case_status"].rows.get((case,))
        if bool(state.closed) != (row is not None and row["status"] == "closed"):
            return f"{case} is {state.closed or 'open'}, and to intake it is {row['status'] if row else 'unknown'}"
        return None

    def _leads(self, cases: dict[str, CaseState]) -> str | None:
        """Every lead at consent stands for an open case, and each of its open cases names it."""
        rows = self._cluster.consent.tables["stream"].rows
        for person in sorted(key for kind, key in rows if kind == "person"):
            lead = self._ledger(person).lead
            if lead is None:
                continue
            still = [case for case, _ in lead.covers if case in cases and not cases[case].closed]
            if not still:
                return f"{lead.agency} leads {person} for {', '.join(lead.cases)}, of which none is open"
            for case, key in lead.covers:
                party = cases[case].parties.get(key) if case in still else None
                if party is not None and (party.place, party.agency) != ("led", lead.agency):
                    who = party.agency or "nobody"
                    return f"{lead.agency} leads {key} for {case}, which says {who} ({party.place})"
        return None
