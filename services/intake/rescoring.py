"""The whole store looked at with other weights: what would be decided otherwise. Pure, but for reading.

Everybody is met again in the order in which they came, and looked for among those who came before: what the matcher would
have answered, beside what stands. What people have decided stays: whom they linked is one human, whom they told apart is
asked about again only on more evidence than they had.

All is done in memory: some three kilobytes for each person.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, Literal

import msgspec

from services.intake import matching
from services.intake.core import Intake
from services.intake.matching import KINDS, Candidate, Decision, Model, Record, kind_of
from services.intake.recognising.load import open_record
from services.intake.recognising.people import contradictions, groups, held_for, named_beside
from services.intake.store.matching import RECORDS

Kind = Literal["joined", "in_doubt", "cleared_same", "cleared_different", "parted"]
KINDS_OF_CHANGE: Final[Mapping[Kind, str]] = {
    "joined": "two people today, would be one",
    "in_doubt": "two people today, would be held for a reviewer",
    "cleared_same": "held for a reviewer today, would be one",
    "cleared_different": "held for a reviewer today, would be two people",
    "parted": "one person today, would not be joined: for a person to look at",
}
Tell = Callable[[str, int, int], None]  # what, done, of
_PAGE: Final = 5_000
_STEP: Final = 500
_BEST: Final = {"join": 2, "hold": 1, "different": 0}
_READ: Final = """
SELECT person, id::text AS id, key, record FROM party
WHERE record IS NOT NULL AND key IS NOT NULL AND (person, id) > ($1, $2::uuid) ORDER BY person, id LIMIT $3
"""
# One version of a referral may name those whom another names no more.
_BESIDE: Final = """
SELECT array_agg(DISTINCT person) AS people FROM party WHERE person IS NOT NULL AND record IS NOT NULL AND NOT contact
GROUP BY referral, version HAVING count(DISTINCT person) > 1
"""


@dataclass
class Snapshot:
    """Everybody as stored, with `records` records in all, as the matcher counts them.

    `group`: who stands for whom that is linked; `apart`: what people told apart, in bits, by those who stand for them;
    `beside`: whom one referral names as several, by those who stand for them;
    `open`: person -> review that waits for a decision; `held`: by an agency.
    """

    people: dict[str, list[Record]] = field(default_factory=dict)
    group: dict[str, str] = field(default_factory=dict)
    apart: dict[tuple[str, str], float] = field(default_factory=dict)
    beside: dict[str, set[str]] = field(default_factory=dict)
    open: dict[str, str] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)
    records: int = 0

    def lead(self, person: str) -> str:
        """Who stands for this human."""
        return self.group.get(person, person)

    def of(self, lead: str) -> list[Record]:
        """What is known of this human."""
        members = self._members.get(lead, [lead])
        return [record for member in members for record in self.people.get(member, ())]

    @cached_property
    def _members(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        for member, lead in self.group.items():
            found[lead].append(member)
        return dict(found)


@dataclass(frozen=True, slots=True)
class Change:
    """One person of whom something else would be decided, and whom the decision is about."""

    kind: Kind
    person: str
    decision: Decision

    @property
    def other(self) -> str | None:
        """Whom they would be joined with, or are most likely to be."""
        return self.decision.people[0] if self.decision.people else None


async def read(service: Intake, tell: Tell) -> Snapshot:
    """Read and unseal everybody."""
    pool, found = service.pool, Snapshot()
    total = await pool.fetchval("SELECT count(*) FROM party WHERE record IS NOT NULL AND key IS NOT NULL")
    done, person, row_id = 0, "", "00000000-0000-0000-0000-000000000000"
    while rows := await pool.fetch(_READ, person, row_id, _PAGE):
        for row in rows:
            record = open_record(service.keyring, row["id"], row["key"], row["record"])
            known = found.people.setdefault(row["person"], [])
            known.append(record)
            del known[:-RECORDS]  # the newest, as the matcher reads
        done += len(rows)
        person, row_id = rows[-1]["person"], rows[-1]["id"]
        tell("records read", done, total)
    found.records = done
    linked = await pool.fetch(
        """SELECT key, state ->> 'links' AS links FROM stream
           WHERE kind = 'person' AND coalesce(state ->> 'links', '[]') <> '[]'"""
    )
    found.group = groups({row["key"]: msgspec.json.decode(row["links"], type=list[str]) for row in linked})
    for row in await pool.fetch("SELECT person, other, bits FROM told_apart"):
        pair = found.lead(row["person"]), found.lead(row["other"])
        found.apart[pair] = max(row["bits"], found.apart.get(pair, row["bits"]))
    for row in await pool.fetch(_BESIDE):
        leads = {found.lead(person) for person in row["people"]}
        for lead in leads:
            found.beside.setdefault(lead, set()).update(leads - {lead})
    waiting = "SELECT person, id::text AS id FROM match_review WHERE kind = 'identity' AND answer IS NULL"
    found.open = {row["person"]: row["id"] for row in await pool.fetch(waiting)}
    asked = """SELECT DISTINCT person FROM hold
               WHERE reason = 'identity_incomplete' AND lifted_at IS NULL AND person IS NOT NULL"""
    found.held = {row["person"] for row in await pool.fetch(asked)}
    return found


class _Index:
    """Who came before, by key. A hot key keeps no more than it takes to know that it is hot."""

    def __init__(self) -> None:
        self._under: dict[int, list[str]] = {}

    def add(self, keys: Sequence[str], person: str) -> None:
        for key in keys:
            under = self._under.setdefault(hash(key), [])
            if len(under) <= KINDS[kind_of(key)].bound and person not in under:
                under.append(person)

    def near(self, keys: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
        near, hot = matching.worth_comparing((key, self._under.get(hash(key), ())) for key in keys)
        return list(near), list(hot)


def changes(snapshot: Snapshot, model: Model, tell: Tell) -> Iterator[Change]:
    """Give everybody of whom something else would be decided, in the order in which they came."""
    index, total = _Index(), len(snapshot.people)
    for done, (person, records) in enumerate(snapshot.people.items(), start=1):
        keys = [matching.blocking_keys(record, model) for record in records]
        best = max(
            (
                _decide(snapshot, index, person, record, of, model)
                for record, of in zip(records, keys, strict=True)
            ),
            key=lambda decision: _BEST[decision.answer],
        )
        if best.answer == "join":
            mine, theirs = (snapshot.of(snapshot.lead(one)) for one in (person, best.people[0]))
            best = held_for(best, contradictions(mine, theirs))
        if best.answer == "join" and best.people[0] in snapshot.beside.get(snapshot.lead(person), ()):
            best = held_for(best, named_beside(best))
        kind = _kind(snapshot, person, best)
        if kind is not None:
            yield Change(kind, person, best)
        yield from _parted(snapshot, person, records, model)
        for of in keys:
            index.add(of, person)
        if done % _STEP == 0 or done == total:
            tell("people looked at", done, total)


def _decide(
    snapshot: Snapshot, index: _Index, person: str, record: Record, keys: Sequence[str], model: Model
) -> Decision:
    lead = snapshot.lead(person)
    near, hot = index.near(keys)
    candidates = [
        Candidate(snapshot.lead(other), known, snapshot.apart.get((lead, snapshot.lead(other))))
        for other in near
        if snapshot.lead(other) != lead
        for known in snapshot.people[other]
    ]
    return matching.decide(
        record,
        candidates,
        people_in_store=len(snapshot.people),
        referrals_in_store=snapshot.records,
        hot=hot,
        model=model,
    )


def _kind(snapshot: Snapshot, person: str, decision: Decision) -> Kind | None:
    waits = person in snapshot.open
    if decision.answer == "join":
        return "cleared_same" if waits else "joined"
    if decision.answer == "different":
        return "cleared_different" if waits else None
    # What only the agency can settle is asked of it when it next sends something; a person would not know either.
    return None if waits or decision.ask or person in snapshot.held else "in_doubt"


def _parted(snapshot: Snapshot, person: str, records: Sequence[Record], model: Model) -> Iterator[Change]:
    """Give a person whose records the weights would not join: only a human parts what was joined."""
    for count in range(1, len(records)):
        known = [Candidate(person, record) for record in records[:count]]
        decision = matching.decide(
            records[count],
            known,
            people_in_store=len(snapshot.people),
            referrals_in_store=snapshot.records,
            model=model,
        )
        if decision.answer != "join":
            yield Change("parted", person, decision)
            return


def counted(found: Sequence[Change]) -> dict[Kind, int]:
    """Return how many changes there are of each kind, none left out."""
    counts = Counter(change.kind for change in found)
    return {kind: counts[kind] for kind in KINDS_OF_CHANGE}
