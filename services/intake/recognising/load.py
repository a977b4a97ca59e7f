"""What was sent, readable again: from this process's memory if it has just come in, else unsealed and read once more."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from services.intake import matching
from services.intake.crypto import Keyring
from services.intake.doorstep import Doorstep, party_owner, version_owner
from services.intake.facts import comparable
from services.intake.matching import Decision, Record
from services.intake.precedence import Patience
from services.intake.referral import ContactPerson, Party, Referral
from services.intake.store import matching as store
from services.intake.store.matching import Due
from services.intake.suppressions import suppression_texts
from shared.runtime.work import Work


@dataclass(slots=True)
class Someone:
    """One human of a referral on the way to being recognised. `previous`: who an earlier version was found to be about.

    `met`: the people to compare with and the hot keys, as the batch was read; `like`: the row of the record that they were
    joined with.
    """

    party: str
    position: int
    contact: bool
    role: str
    key: bytes
    human: Party | ContactPerson
    record: Record
    keys: dict[str, bytes]
    suppression: frozenset[bytes]
    previous: str | None = None
    previous_record: Record | None = None
    repeats: bool = False  # a later version that says nothing of this human which was not said before
    person: str = ""
    known: bool = False
    link_to: str | None = None
    decision: Decision | None = None
    like: str = ""
    suppressed: bool = False
    met_suppressions: frozenset[bytes] = frozenset()
    met: tuple[list[str], list[str]] | None = None

    @property
    def identified(self) -> bool:
        """Whether this is anybody in particular."""
        return not isinstance(self.human, Party) or self.human.identified


@dataclass(slots=True)
class Pending:
    """A referral whose people are being worked out. `cases`: position -> (case, facts as last published)."""

    due: Due
    referral: Referral
    version_key: bytes
    people: list[Someone]
    cases: dict[int, tuple[str, str]] = field(default_factory=dict)

    def party(self, position: int) -> Someone:
        """Return the party at a position."""
        return next(one for one in self.people if one.position == position and not one.contact)

    def beside(self, one: Someone) -> set[str]:
        """Return who is named as somebody else than this one: the other parties, and the child of whoever is its parent.

        Who is spoken to for one party may well be another.
        """
        if isinstance(one.human, ContactPerson):
            parent = one.human.relation in ("parent", "guardian")
            return {self.party(one.position).person} if parent else set()
        return {other.person for other in self.people if other is not one and not other.contact}

    def contacts(self, position: int) -> list[Someone]:
        """Return whoever is spoken to for the party at a position."""
        return [one for one in self.people if one.position == position and one.contact]


def blocking_tags(keyring: Keyring, record: Record) -> dict[str, bytes]:
    """Return a record's blocking keys, each with its keyed hash."""
    return {key: keyring.tag("blocking", key) for key in matching.blocking_keys(record)}


async def load(work: Work, doorstep: Doorstep, batch: Sequence[Due], patience: Patience) -> list[Pending]:
    """Return the batch's referrals with everything that recognising their people needs."""
    found: dict[str, Pending] = {}
    for due in batch:
        await patience.give_way()
        fresh = doorstep.take_fresh(due.id, due.version)
        if fresh is not None:
            known = [(row.id, row.position, row.contact, row.role, row.key) for row in fresh.parties]
            found[due.id] = _pending(doorstep.keyring, due, fresh.referral, fresh.version_key, known)
    for due, rows in await _stored(work, [due for due in batch if due.id not in found]):
        referral = unseal(doorstep.keyring, due, rows)
        found[due.id] = _pending(
            doorstep.keyring, due, referral, rows[0]["version_key"],
            [(row["id"], row["position"], row["contact"], row["role"], row["key"]) for row in rows],
        )  # fmt: skip
    later = [due.id for due in batch if due.version > 1 or due.status == "lost"]
    if later:
        await _add_earlier(work, doorstep.keyring, found, later)
    return [found[due.id] for due in batch if due.id in found]


async def _stored(work: Work, batch: Sequence[Due]) -> Iterable[tuple[Due, list[Any]]]:
    rows = await store.sent(work, [(due.id, due.version) for due in batch])
    by_referral: dict[str, list[Any]] = {}
    for row in rows:
        by_referral.setdefault(row["referral"], []).append(row)
    return [(due, by_referral[due.id]) for due in batch if due.id in by_referral]


def unseal(keyring: Keyring, due: Due, rows: Sequence[Any]) -> Referral:
    """Put a referral together again from its sealed parts. Raises Unreadable."""
    owner = version_owner(due.agency, due.reference_tag, due.version)
    document = msgspec.json.decode(
        keyring.unwrap(rows[0]["version_key"], owner).open(rows[0]["version_sealed"], owner)
    )
    parties: dict[int, dict[str, Any]] = {}
    for row in sorted(rows, key=lambda row: (row["position"], row["contact"])):
        of = party_owner(row["id"])
        part = msgspec.json.decode(keyring.unwrap(row["key"], of).open(row["sealed"], of))
        if row["contact"]:
            parties[row["position"]]["contact_person"] = part
        else:
            parties[row["position"]] = part
    document["parties"] = [parties[position] for position in sorted(parties)]
    # Lax: a referral that came as CSV was text throughout, and was found to be sound then.
    return Referral.model_validate_json(msgspec.json.encode(document), strict=False)


def _pending(
    keyring: Keyring,
    due: Due,
    referral: Referral,
    version_key: bytes,
    rows: Iterable[tuple[str, int, bool, str, bytes]],
) -> Pending:
    people = []
    for party, position, contact, role, key in rows:
        human = referral.parties[position].contact_person if contact else referral.parties[position]
        if human is None:
            continue
        record = matching.normalise(comparable(human, due.agency))
        tags = frozenset(keyring.tag("suppression", text) for text in suppression_texts(record))
        people.append(
            Someone(party, position, contact, role, key, human, record, blocking_tags(keyring, record), tags)
        )
    return Pending(due, referral, version_key, people)


async def _add_earlier(
    work: Work, keyring: Keyring, found: dict[str, Pending], referrals: Sequence[str]
) -> None:
    for row in await store.earlier(work, referrals):
        pending = found.get(row["referral"])
        for one in pending.people if pending else ():
            same_place = (one.position, one.contact, one.role) == (
                row["position"],
                row["contact"],
                row["role"],
            )
            if same_place and one.party != row["id"] and one.previous is None:
                one.previous = row["person"]
                if row["record"] is not None and row["key"] is not None:
                    one.previous_record = open_record(keyring, row["id"], row["key"], row["record"])
    for row in await store.cases_of(work, referrals):
        if row["referral"] in found:
            found[row["referral"]].cases[row["position"]] = (row["case_id"], row["facts"])


_RECORD = msgspec.json.Decoder(Record)


def open_record(keyring: Keyring, party: str, key: bytes, sealed: bytes) -> Record:
    """Unseal what the matcher compares of one human of one referral."""
    return _RECORD.decode(keyring.open(key, party_owner(party), sealed, "record"))


def encode_record(record: Record) -> bytes:
    """Return what the matcher compares, as JSON: by its hash one record is known to be the same as another.

    Nearly none has a shared number. Left out, it leaves the hash what it was in stores from before this field.
    """
    return msgspec.json.encode(record).replace(b',"shared":[]}', b"}")


def seal_record(keyring: Keyring, one: Someone, record: bytes) -> bytes:
    """Seal what the matcher compares, as JSON."""
    owner = party_owner(one.party)
    return keyring.unwrap(one.key, owner).seal(record, owner, "record")
