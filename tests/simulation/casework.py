"""What agencies and their hub do with cases, by allocation's own routes: decide, hand over, take back, give back, close.

They read a case as allocation has it at this moment, and say so with If-Match; what they ask for may be lost, late, refused,
or answered by a process that dies. Nobody tries twice: whoever still wants it asks again some other time.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from services.allocation.domain.state import CaseState
from services.allocation.handlers import CASE
from shared.runtime.auth import Caller
from shared.runtime.errors import Unavailable
from shared.runtime.identifiers import new_id
from tests.simulation.cluster import AGENCIES, HUB, Cluster, agency_caller
from tests.simulation.witness import Witness

REASON = "asked"


class Casework:
    """The hub's co-ordinator, and the part of agencies' work that is about cases."""

    def __init__(self, cluster: Cluster, witness: Witness) -> None:
        self._cluster = cluster
        self._witness = witness
        self._random = cluster.chance.random

    def open_cases(self) -> dict[str, tuple[int, CaseState]]:
        """Return every case that goes on, with its version."""
        rows = self._cluster.allocation.tables["stream"].rows
        found = {key: (row["version"], CASE.decode(row["state"])) for (_, key), row in sorted(rows.items())}
        return {case: known for case, known in found.items() if known[1].closed is None}

    async def coordinate(self) -> None:
        """Do something about some case, again and again."""
        while True:
            await asyncio.sleep(self._random.expovariate(1 / 0.9))
            kind = self._random.random()
            cases = self.open_cases()
            waiting = sorted(case for case, (_, state) in cases.items() if state.undecided)
            if kind < 0.5:
                if waiting:
                    await self._decide(self._random.choice(waiting), cases)
            elif cases:
                await self._change(kind, self._random.choice(sorted(cases)), cases)

    async def hasten(self) -> None:
        """Hand a person's lead over just when it is claimed for another case: consent decides the two in one moment."""
        while True:
            await self._witness.proposal.wait()
            cases = self.open_cases()
            claimed = cases.get(self._witness.proposed)
            if claimed is None or self._random.random() < 0.2:
                continue
            for case, (version, state) in cases.items():
                for party, known in state.parties.items():
                    wanted = claimed[1].parties.get(party)
                    # For the agency that leads: as things are it would be given, and after this it is refused.
                    if wanted and known.place == "led" and known.agency == wanted.agency:
                        other = next(agency for agency in AGENCIES if agency != known.agency)
                        body = {"party": party, "target": other, "reason": REASON}
                        await self._ask(agency_caller(HUB), case, "hand-over", version, body)
                        if self._random.random() < 0.5:
                            # What consent says of both is then read in one batch.
                            self._cluster.chance.fuse["allocation"] = self._random.randrange(4)

    async def _decide(self, case: str, cases: dict[str, tuple[int, CaseState]]) -> None:
        version, state = cases[case]
        body = {"kind": "lead", "party": next(iter(state.parties)), "agency": self._random.choice(AGENCIES)}
        await self._ask(agency_caller(HUB), case, "decision", version, body)

    async def _change(self, kind: float, case: str, cases: dict[str, tuple[int, CaseState]]) -> None:
        version, state = cases[case]
        party, known = next(iter(state.parties.items()))
        other = self._random.choice(AGENCIES)
        if kind < 0.68:
            body = {"party": party, "target": other, "reason": REASON}
            await self._ask(agency_caller(HUB), case, "hand-over", version, body)
        elif kind < 0.78:
            body = {"party": party, "agency": other, "reason": REASON}
            await self._ask(agency_caller(HUB), case, "reallocation", version, body)
        elif kind < 0.9:
            if known.place == "led":
                await self._ask(
                    agency_caller(known.agency or ""), case, "return", version, {"reason": REASON}
                )
        elif kind < 0.95:
            await self._ask(agency_caller(HUB), case, "closure", version, {"reason": REASON})

    async def _ask(self, caller: Caller, case: str, what: str, version: int, body: dict[str, Any]) -> None:
        headers = {"If-Match": f'"{version}"', "Idempotency-Key": new_id()}
        path = f"/v1/cases/{case}/{what}"
        with suppress(Unavailable):
            await self._cluster.ask("allocation", "POST", path, caller=caller, json=body, headers=headers)
