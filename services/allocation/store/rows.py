"""What is written beside a case's state, so that it can be searched, seen by the right agencies, and measured.

Everything here runs once for a batch: one statement for each table, whatever the size of the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from services.allocation.domain.route import check_id
from services.allocation.domain.state import CaseState, status_of
from shared.contracts.cases import CaseAllocated, OutcomeRecorded
from shared.runtime.work import Connection, Work

_SAVE_CASES = """
INSERT INTO case_row AS c (case_id, status, reason, incident, partnership, policy_version, rule, area, offence, stage,
  initiated_by, hub, co_ordinator, funder, due, received_at, allocated_at, closed_at, changed_at)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
  $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::timestamptz[], $16::timestamptz[],
  $17::timestamptz[], $18::timestamptz[], $19::timestamptz[])
ON CONFLICT (case_id) DO UPDATE SET status = excluded.status, reason = excluded.reason, incident = excluded.incident,
  partnership = excluded.partnership, policy_version = excluded.policy_version, rule = excluded.rule,
  area = excluded.area, offence = excluded.offence, stage = excluded.stage, initiated_by = excluded.initiated_by,
  hub = excluded.hub, co_ordinator = excluded.co_ordinator, funder = excluded.funder, due = excluded.due,
  allocated_at = coalesce(c.allocated_at, excluded.allocated_at),
  closed_at = CASE WHEN excluded.closed_at IS NULL THEN NULL ELSE coalesce(c.closed_at, excluded.closed_at) END,
  changed_at = excluded.changed_at
"""
_SAVE_PARTIES = """
INSERT INTO case_party (case_id, party, person, role, place, agency, worker)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
ON CONFLICT (case_id, party) DO UPDATE SET person = excluded.person, role = excluded.role, place = excluded.place,
  agency = excluded.agency, worker = excluded.worker
"""
_ADD_AGENCIES = """
INSERT INTO case_agency (agency, case_id, relation) SELECT * FROM unnest($1::text[], $2::text[], $3::text[])
ON CONFLICT DO NOTHING
"""
_DROP_AGENCIES = """
DELETE FROM case_agency AS a USING unnest($1::text[], $2::text[], $3::text[]) AS d(agency, case_id, relation)
WHERE (a.agency, a.case_id, a.relation) = (d.agency, d.case_id, d.relation)
"""
_SAVE_CHECKS = """
INSERT INTO case_check (check_id, case_id, kind, of_agency, about, question, due, asked_at, answered_at, satisfied)
SELECT a, b, c, d, string_to_array(e, ','), f, g, h, i, j
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
  $7::timestamptz[], $8::timestamptz[], $9::timestamptz[], $10::boolean[]) AS t(a, b, c, d, e, f, g, h, i, j)
ON CONFLICT (check_id) DO UPDATE SET answered_at = excluded.answered_at, satisfied = excluded.satisfied
"""
_SAVE_FACTS = """
INSERT INTO case_fact (case_id, fact, key, at, agency, value)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::text[], $6::text[])
ON CONFLICT DO NOTHING
"""
# What is told once in a case is told once in what it was joined to, when it was told first; each outcome is one of its own.
# Who delivers is another question: each case has that of its own.
_MOVE_FACTS = """
WITH gone AS (
  DELETE FROM case_fact WHERE case_id = $1 AND fact <> 'deliverer'
    AND ($3::text IS NULL OR (fact, key) = ('referral', $3)) RETURNING fact, key, at, agency, value
)
INSERT INTO case_fact AS f (case_id, fact, key, at, agency, value)
SELECT $2, fact, CASE WHEN fact IN ('referral', 'allocated', 'contact', 'harmed_reached') THEN key ELSE $1 || '.' || key END,
  at, agency, value
FROM gone ON CONFLICT (case_id, fact, key) DO UPDATE SET at = least(f.at, excluded.at)
"""
_EXPLAIN = """
INSERT INTO explanation (digest, why) SELECT * FROM unnest($1::text[], $2::text[]) ON CONFLICT DO NOTHING
"""
_SAVE_DECISIONS = """
INSERT INTO case_decision (case_id, at, policy_version, rule, explanation)
SELECT * FROM unnest($1::text[], $2::timestamptz[], $3::text[], $4::text[], $5::text[])
ON CONFLICT (case_id, at) DO UPDATE SET policy_version = excluded.policy_version, rule = excluded.rule,
  explanation = excluded.explanation
"""
_QUEUE = """
INSERT INTO queue (case_id, agency, due, since)
SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[])
ON CONFLICT (case_id) DO UPDATE SET agency = excluded.agency, due = excluded.due
"""
_UNQUEUE = "DELETE FROM queue WHERE case_id = ANY($1::text[])"


@dataclass(frozen=True, slots=True)
class CaseRow:
    """One row of `case_row`, in the order of its columns."""

    case_id: str
    status: str
    reason: str | None
    incident: str
    partnership: str | None
    policy_version: str | None
    rule: str | None
    area: str | None
    offence: str | None
    stage: str | None
    initiated_by: str | None
    hub: str | None
    co_ordinator: str | None
    funder: str | None
    due: datetime | None
    received_at: datetime
    allocated_at: datetime | None
    closed_at: datetime | None
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class CheckRow:
    """A check as asked or answered."""

    check_id: str
    case_id: str
    kind: str
    of_agency: str
    about: str
    question: str
    due: datetime | None
    asked_at: datetime
    answered_at: datetime | None
    satisfied: bool | None


Relation = tuple[str, str]


def relations(state: CaseState, agency_of: Mapping[str, str]) -> frozenset[Relation]:
    """Return which agencies have to do with the case, and as what. `agency_of`: whose worker each one is."""
    found = {(facts.agency, "referrer") for facts in state.referrals.values()}
    if state.told:
        stood = ("led", "elsewhere", "out")
        found |= {(p.agency, "lead") for p in state.parties.values() if p.agency and p.place in stood}
        found |= {(check.of, "asked") for check in state.checks.values()}
        found |= {(agency_of[member], "team") for member in state.members if member in agency_of}
    if state.proposal:
        hubs = ((state.proposal.hub, "hub"), (state.proposal.co_ordinator, "co_ordinator"))
        found |= {(agency, relation) for agency, relation in hubs if agency}
    return frozenset(found)


@dataclass(frozen=True, slots=True)
class Moved:
    """What measures count of one case counts for another: all of it, or that it was referred."""

    old: str
    new: str
    referral: str | None


def case_row(case: str, state: CaseState, now: datetime) -> CaseRow:
    """Return the row of a case as it is now."""
    proposal = state.proposal
    last = max(state.referrals.values(), key=lambda facts: (facts.received_at, facts.version), default=None)
    pause = next(iter(state.pauses.values()), None)
    return CaseRow(
        case_id=case,
        status=status_of(state),
        reason=state.closed or (pause.reason if pause else state.undecided),
        incident=state.incident,
        partnership=proposal.partnership if proposal else None,
        policy_version=proposal.policy_version if proposal else None,
        rule=proposal.rule if proposal else None,
        area=proposal.area if proposal and proposal.partnership else last.area if last else None,
        offence=last.offence_class if last else None,
        stage=last.stage if last else None,
        initiated_by=last.initiated_by if last else None,
        hub=proposal.hub if proposal else None,
        co_ordinator=proposal.co_ordinator if proposal else None,
        funder=proposal.funder if proposal else None,
        due=min(proposal.clocks.values(), default=None) if proposal else None,
        received_at=state.received_at or now,
        allocated_at=now if state.told else None,
        closed_at=now if state.closed else None,
        changed_at=now,
    )


def stage_rows(
    work: Work,
    case: str,
    before: CaseState,
    after: CaseState,
    told: Iterable[object],
    agency_of: Mapping[str, str],
    *,
    quiet: bool = False,
) -> None:
    """Stage the rows that differ between a case as it was and as it is. `quiet`: only where a party stands has changed."""
    if not quiet:
        work.write(save_cases, case_row(case, after, work.now))
    for key, party in after.parties.items():
        if before.parties.get(key) != party:
            work.write(
                save_parties, (case, key, party.person, party.role, party.place, party.agency, party.worker)
            )
    if quiet and not after.told:
        return
    was, now_is = relations(before, agency_of), relations(after, agency_of)
    for agency, relation in sorted(was ^ now_is):
        work.write(relate, (agency, case, relation, (agency, relation) in now_is))
    _stage_checks(work, case, before, after)
    if after.queued_for != before.queued_for:
        due = min(after.proposal.clocks.values(), default=None) if after.proposal else None
        work.write(queue, (case, after.queued_for, due, after.received_at or work.now))
    for index, payload in enumerate(told):
        if isinstance(payload, OutcomeRecorded):
            _stage_outcome(work, case, str(before.outcomes + 1 + index), payload)
        elif isinstance(payload, CaseAllocated) and not before.told:
            stage_fact(work, case, "allocated", "first", None, payload.partnership)


def _stage_outcome(work: Work, case: str, key: str, outcome: OutcomeRecorded) -> None:
    agency = work.actor.agency
    stage_fact(work, case, "outcome", key, agency, outcome.form)
    if outcome.agreement:
        stage_fact(work, case, "agreement", key, agency, ",".join(outcome.kinds))
    for fact, answer in (("fulfilled", outcome.fulfilled), ("satisfied", outcome.satisfied)):
        if answer is not None:
            stage_fact(work, case, fact, key, agency, "yes" if answer else "no")
    for number, said in enumerate(outcome.feedback):
        word = "satisfied" if said.satisfied else "not satisfied"
        stage_fact(work, case, "feedback", f"{key}.{number}", agency, f"{said.by}: {word}")
    if outcome.reason:
        stage_fact(work, case, "not_further", key, agency, outcome.reason)


def _stage_checks(work: Work, case: str, before: CaseState, after: CaseState) -> None:
    if before.checks is after.checks:
        return
    questions = {check_id(case, c): c.question for c in (after.proposal.checks if after.proposal else ())}
    for key, check in after.checks.items():
        if before.checks.get(key) != check:
            answered = work.now if check.satisfied is not None else None
            work.write(
                save_checks,
                CheckRow(
                    check_id=key,
                    case_id=case,
                    kind=check.kind,
                    of_agency=check.of,
                    about=",".join(check.about),
                    question=questions.get(key, ""),
                    due=check.due,
                    asked_at=work.now,
                    answered_at=answered,
                    satisfied=check.satisfied,
                ),
            )


def stage_fact(work: Work, case: str, fact: str, key: str, agency: str | None, value: str | None) -> None:
    """Stage something that measures count, once for each case, fact and key."""
    work.write(save_facts, (case, fact, key, work.now, agency, value))


def stage_move(work: Work, old: str, new: str, referral: str | None = None) -> None:
    """Stage that what measures count of a case (or only its `referral`) counts for another now, when it happened."""
    work.write(save_facts, Moved(old, new, referral))


def _last_of(rows: Sequence[Any], key: Callable[[Any], Any]) -> list[Any]:
    """Return the last row of each key, in key order: one statement may not touch a row twice, and locks in one order."""
    return [row for _, row in sorted({key(row): row for row in rows}.items())]


async def _run(connection: Connection, sql: str, rows: Sequence[Sequence[object]]) -> None:
    await connection.execute(sql, *[list(column) for column in zip(*rows, strict=True)])


def _values(row: object) -> tuple[object, ...]:
    return tuple(getattr(row, field.name) for field in fields(row))  # type: ignore[arg-type] # a dataclass, of whichever table


async def save_cases(connection: Connection, rows: list[CaseRow]) -> None:
    """Write cases as they are now."""
    await _run(connection, _SAVE_CASES, [_values(row) for row in _last_of(rows, lambda row: row.case_id)])


async def save_parties(connection: Connection, rows: list[tuple[str, ...]]) -> None:
    """Write parties as they stand now."""
    await _run(connection, _SAVE_PARTIES, _last_of(rows, lambda row: row[:2]))


async def relate(connection: Connection, rows: list[tuple[str, str, str, bool]]) -> None:
    """Let agencies see a case in a relation, or no more (`present` False). The last word of the batch counts."""
    last = _last_of(rows, lambda row: row[:3])
    for sql, present in ((_DROP_AGENCIES, False), (_ADD_AGENCIES, True)):
        chosen = [row[:3] for row in last if row[3] is present]
        if chosen:
            await _run(connection, sql, chosen)


async def save_checks(connection: Connection, rows: list[CheckRow]) -> None:
    """Write checks as asked, or as answered."""
    await _run(connection, _SAVE_CHECKS, [_values(row) for row in _last_of(rows, lambda row: row.check_id)])


async def save_facts(connection: Connection, rows: list[tuple[object, ...] | Moved]) -> None:
    """Write facts to be measured; one that is known stays as it was first told. Then move what moves, in order."""
    told = {row[:3]: row for row in reversed(rows) if not isinstance(row, Moved)}
    if told:
        await _run(connection, _SAVE_FACTS, list(told.values()))
    for row in rows:
        if isinstance(row, Moved):
            await connection.execute(_MOVE_FACTS, row.old, row.new, row.referral)


async def save_decisions(
    connection: Connection, rows: list[tuple[str, datetime, str, str, str, str]]
) -> None:
    """Keep why policy decided as it did: (case, at, policy version, rule, digest of the explanation, explanation)."""
    await _run(connection, _EXPLAIN, sorted({row[4:] for row in rows}))
    await _run(connection, _SAVE_DECISIONS, [row[:5] for row in _last_of(rows, lambda row: row[:2])])


async def queue(connection: Connection, rows: list[tuple[object, ...]]) -> None:
    """Let cases wait for a worker of an agency, or (agency None) no more. The last word of the batch counts."""
    last = _last_of(rows, lambda row: row[0])
    gone = [row[0] for row in last if row[1] is None]
    if gone:
        await connection.execute(_UNQUEUE, gone)
    waiting = [row for row in last if row[1] is not None]
    if waiting:
        await _run(connection, _QUEUE, waiting)


async def mark_overdue(connection: Connection, rows: list[str]) -> None:
    """Checks that were not answered in time."""
    await connection.execute(
        "UPDATE case_check SET overdue = true WHERE check_id = ANY($1::text[])", sorted(set(rows))
    )
