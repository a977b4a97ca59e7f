"""What the SQL of allocation does in memory, as far as cases of one harmed party and no registered workers need it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from services.allocation.handlers import of_consent
from services.allocation.store import drafts, policies, reading, registry
from services.allocation.store import rows as of_cases
from tests.simulation import statements
from tests.simulation.database import Row, Statement, Table, Transaction
from tests.simulation.statements import RUNTIME, knows, pick, zipped

ALLOCATION: dict[str, Statement] = {}
_CASE = ("case_id", "status", "reason", "incident", "partnership", "policy_version", "rule", "area", "offence", "stage",
         "initiated_by", "hub", "co_ordinator", "funder", "due", "received_at", "allocated_at", "closed_at",
         "changed_at")  # fmt: skip
_AGENCY = ("agency", "name", "kind", "areas", "sharing_agreement", "active", "successor", "since")


def tables(agencies: Sequence[str] = ()) -> list[Table]:
    """Return allocation's tables as its migrations leave them; these agencies are registered."""
    names = Table("registry", ("single",))
    names.rows[True,] = {"single": True, "version": "0"}
    registered = Table("agency", ("agency",))
    for one in agencies:
        values: tuple[Any, ...] = (one, one, "provider", [], None, True, None, None)
        registered.rows[one,] = dict(zip(_AGENCY, values, strict=True))
    return [
        *statements.tables(),
        Table("case_row", ("case_id",)),
        Table("case_agency", ("agency", "case_id", "relation")),
        Table("case_party", ("case_id", "party")),
        Table("case_decision", ("case_id", "at")),
        Table("explanation", ("digest",)),
        Table("case_fact", ("case_id", "fact", "key")),
        registered,
        Table("worker", ("worker",)),
        Table("queue", ("case_id",)),
        names,
        Table("policy_version", ("reference",)),
        Table("policy_draft", ("draft",)),
    ]


# --- a case's rows


@knows(ALLOCATION, of_cases._SAVE_CASES)
async def save_cases(t: Transaction, *columns: Sequence[Any]) -> None:
    for values in zipped(*columns):
        row = dict(zip(_CASE, values, strict=True))
        there = await t.insert("case_row", row)
        if there is not None:
            row["received_at"] = there["received_at"]
            row["allocated_at"] = there["allocated_at"] or row["allocated_at"]
            row["closed_at"] = (there["closed_at"] or row["closed_at"]) if row["closed_at"] else None
            await t.put("case_row", row)


@knows(ALLOCATION, of_cases._SAVE_PARTIES)
async def save_parties(t: Transaction, *columns: Sequence[Any]) -> None:
    for values in zipped(*columns):
        names = ("case_id", "party", "person", "role", "place", "agency", "worker")
        row = dict(zip(names, values, strict=True))
        if await t.insert("case_party", row) is not None:
            await t.put("case_party", row)


_RELATION = ("agency", "case_id", "relation")


@knows(ALLOCATION, of_cases._ADD_AGENCIES)
async def add_agencies(t: Transaction, *columns: Sequence[str]) -> None:
    for values in zipped(*columns):
        await t.insert("case_agency", dict(zip(_RELATION, values, strict=True)))


@knows(ALLOCATION, of_cases._DROP_AGENCIES)
async def drop_agencies(t: Transaction, *columns: Sequence[str]) -> None:
    gone = set(zipped(*columns))
    await t.delete("case_agency", lambda r: tuple(r[name] for name in _RELATION) in gone)


@knows(ALLOCATION, of_cases._SAVE_FACTS)
async def save_facts(t: Transaction, *columns: Sequence[Any]) -> None:
    for values in zipped(*columns):
        names = ("case_id", "fact", "key", "at", "agency", "value")
        await t.insert("case_fact", dict(zip(names, values, strict=True)))


@knows(ALLOCATION, of_cases._EXPLAIN)
async def explain(t: Transaction, digests: Sequence[str], why: Sequence[str]) -> None:
    for digest, text in zipped(digests, why):
        await t.insert("explanation", {"digest": digest, "why": text})


@knows(ALLOCATION, of_cases._SAVE_DECISIONS)
async def save_decisions(t: Transaction, *columns: Sequence[Any]) -> None:
    for values in zipped(*columns):
        row = dict(zip(("case_id", "at", "policy_version", "rule", "explanation"), values, strict=True))
        if await t.insert("case_decision", row) is not None:
            await t.put("case_decision", row)


@knows(ALLOCATION, of_consent._CASES_OF)
async def cases_of(t: Transaction, person: str) -> list[Row]:
    found = {r["case_id"] for r in t.rows("case_party") if person in (r["person"], r["party"])}
    return [{"case_id": case} for case in sorted(found)]


@knows(ALLOCATION, of_consent._LEADERS_OF)
async def leaders_of(t: Transaction, person: str) -> list[Row]:
    open_cases = {r["case_id"] for r in t.rows("case_row") if r["closed_at"] is None}
    return [
        pick(r, "case_id", "agency", "worker")
        for r in t.rows("case_party")
        if r["person"] == person and r["place"] == "led" and r["case_id"] in open_cases
    ]


# --- what a process remembers of agencies and policies


@knows(ALLOCATION, registry._VERSION)
async def version(t: Transaction) -> list[Row]:
    return [pick(row, "version") for row in t.rows("registry")]


@knows(ALLOCATION, registry._AGENCIES)
async def agencies(t: Transaction) -> list[Row]:
    return [pick(row, *_AGENCY) for row in t.rows("agency")]


@knows(ALLOCATION, registry._WORKERS, registry._HOURS)
async def workers(t: Transaction) -> list[Row]:
    """Nobody has registered any."""
    return []


@knows(ALLOCATION, registry._QUEUES)
async def queues(t: Transaction) -> list[Row]:
    """Without workers nobody waits for one."""
    return []


@knows(ALLOCATION, registry._CASES)
async def open_cases(t: Transaction) -> list[Row]:
    still = {r["case_id"] for r in t.rows("case_row") if r["closed_at"] is None}
    found: dict[str, int] = {}
    for r in t.rows("case_fact"):
        if r["fact"] == "deliverer" and r["case_id"] in still:
            found[r["agency"]] = found.get(r["agency"], 0) + 1
    return [{"agency": agency, "cases": count} for agency, count in found.items()]


@knows(ALLOCATION, drafts._IN_FORCE)
async def published(t: Transaction) -> list[Row]:
    """Nobody has published a policy: the one of the process is in force."""
    return []


@knows(ALLOCATION, policies._KNOWN)
async def known_policies(t: Transaction) -> list[Row]:
    return [pick(row, "reference") for row in t.rows("policy_version")]


@knows(ALLOCATION, policies._KEEP)
async def keep_policies(t: Transaction, *columns: Sequence[str]) -> None:
    for values in zipped(*columns):
        row = dict(zip(("reference", "partnership", "files"), values, strict=True))
        await t.insert("policy_version", row)


@knows(ALLOCATION, policies._FILES)
async def policy_files(t: Transaction, references: Sequence[str]) -> list[Row]:
    rows = (t.get("policy_version", one) for one in sorted(references))
    return [pick(row, "reference", "partnership", "files") for row in rows if row]


# --- reading for the routes


@knows(ALLOCATION, reading._PREDECESSORS)
async def predecessors(t: Transaction, agency: str) -> list[Row]:
    found: list[str] = [agency]
    now: datetime = t.now + t.database.shift
    for one in found:
        found += [
            r["agency"]
            for r in t.rows("agency")
            if r["successor"] == one and r["since"] <= now and r["agency"] not in found
        ]
    return [{"agency": one} for one in found]


def of_allocation() -> dict[str, Statement]:
    """Return everything that the simulated part of allocation may run."""
    return RUNTIME | ALLOCATION
