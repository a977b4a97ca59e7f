"""Who the people of a batch are: each against everybody stored that shares a key, and against those of the batch itself."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from services.intake import matching
from services.intake.crypto import Keyring
from services.intake.matching import KINDS, Candidate, Decision, Record, Rule, kind_of, worth_comparing
from services.intake.matching.rules import sentence
from services.intake.recognising.load import Someone, open_record
from services.intake.store import matching as store
from shared.runtime.identifiers import new_id
from shared.runtime.work import Work


class RecordCache:
    """Records already opened, by their row. Bounded, and emptied whenever somebody is erased: see Keyring.forget."""

    def __init__(self, keyring: Keyring, most: int = 50_000) -> None:
        """`most` records of about a kilobyte."""
        self._keyring = keyring
        self._most = most
        self._known: OrderedDict[str, Record] = OrderedDict()
        keyring.keeps(self)

    def forget(self) -> None:
        """Drop everything: some of it has just been destroyed."""
        self._known.clear()

    def open(self, party: str, key: bytes, sealed: bytes) -> Record:
        """Return the record of a row."""
        known = self._known.get(party)
        if known is None:
            known = self._known[party] = open_record(self._keyring, party, key, sealed)
            if len(self._known) > self._most:
                self._known.popitem(last=False)
        return known


class HotKeys:
    """Keys that so many people share that they are not followed: not looked up either, for some minutes.

    Only of kinds for which a hot key raises no doubt: until an erasure is noticed here, somebody may be compared with fewer.
    """

    def __init__(self, seconds: float = 300.0, most: int = 100_000) -> None:
        self._seconds = seconds
        self._most = most
        self._until: dict[bytes, float] = {}

    def among(self, tags: Iterable[bytes]) -> set[bytes]:
        """Return which of the keys were hot a short while ago."""
        now = time.monotonic()
        return {tag for tag in self._until.keys() & tags if self._until[tag] > now}

    def note(self, key: str, tag: bytes) -> None:
        """A key was found to be hot."""
        if not KINDS[kind_of(key)].doubt:
            if len(self._until) >= self._most:
                self._until.clear()
            self._until[tag] = time.monotonic() + self._seconds


class Crowd:
    """Everybody that the people of a batch might be. Grows with the batch: its second referral meets its first."""

    def __init__(self, cache: RecordCache, hot: HotKeys, count: int, referrals: int | None = None) -> None:
        """`count` is how many people are stored: among more people a coincidence is likelier. `referrals`: of them all."""
        self._cache = cache
        self._hot = hot
        self.count = count
        self.referrals = referrals
        self._crowded: set[bytes] = set()
        self._under: dict[bytes, list[str]] = {}
        self._stored: dict[bytes, int] = {}
        self._records: dict[str, list[Record]] = {}
        self._parties: dict[str, list[str]] = {}  # whose rows those records are, in their order
        self._group: dict[str, str] = {}
        self._apart: Mapping[tuple[str, str], float] = {}
        self.record_tags: set[tuple[str, bytes]] = set()
        self._grown: set[bytes] = set()
        self.locked_at = 0.0

    async def gather(self, work: Work, people: Sequence[Someone]) -> None:
        """Lock the batch's keys and read everybody under them; in that order, or two matchers would each see nobody."""
        bounds = {tag: KINDS[kind_of(key)].bound for one in people for key, tag in one.keys.items()}
        suppressions = {tag for one in people for tag in one.suppression}
        await store.lock_tags(work, [*bounds, *suppressions])
        self.locked_at = time.monotonic()
        self._crowded = self._hot.among(bounds)
        followed = {tag: bound for tag, bound in bounds.items() if tag not in self._crowded}
        self._under, suppressed = await store.meet(work, followed, suppressions)
        for one in people:
            one.met_suppressions = one.suppression & suppressed
            one.suppressed = bool(one.met_suppressions)
        self._stored = {tag: len(under) for tag, under in self._under.items()}
        wanted = {one.previous for one in people if one.previous}
        for one in people:
            near, hot = one.met = worth_comparing(self._met(one))
            wanted.update(near)
            for key in hot:
                self._hot.note(key, one.keys[key])
        links: dict[str, list[str]] = {}
        read: set[str] = set()
        while wanted:
            for row in await store.records(work, sorted(wanted)):
                self._records.setdefault(row["person"], []).append(
                    self._cache.open(row["id"], row["key"], row["record"])
                )
                self._parties.setdefault(row["person"], []).append(row["id"])
                self.record_tags.add((row["person"], row["record_tag"]))
                if row["links"] and row["links"] != "[]":
                    links[row["person"]] = _decode_links(row["links"])
            read |= wanted
            # Whoever is linked to these is the same human, key in common or not: what contradicts them, contradicts all.
            wanted = {other for others in links.values() for other in others} - read
        self._group = groups(links)
        before = {member for one in people if one.previous for member in self.members(one.previous)}
        self._apart = await store.told_apart(work, sorted(before))

    def _met(self, one: Someone) -> Iterable[tuple[str, Sequence[str]]]:
        for key, tag in one.keys.items():
            yield key, _CROWD if tag in self._crowded else self._under.get(tag, ())

    def is_keyed(self, tag: bytes, person: str) -> bool:
        """Whether the person is stored under the key, as far as the batch has read."""
        return person in self._under.get(tag, ())[: self._stored.get(tag, 0)]

    def members(self, person: str) -> set[str]:
        """Return everybody who is known to be this human, as far as the batch has read."""
        lead = self._group.get(person, person)
        return {person, lead, *(other for other, of in self._group.items() if of == lead)}

    def recognise(self, one: Someone, beside: Iterable[str] = ()) -> None:
        """Decide who this is, and add them to the crowd. `beside`: those who are somebody else by what was sent."""
        own = self.members(one.previous) if one.previous and not _replaced(one) else set()
        candidates, hot = self._candidates(one, own)
        one.decision = matching.decide(
            one.record, candidates, people_in_store=self.count, referrals_in_store=self.referrals, hot=hot
        )
        if self.referrals is not None and not own:
            self.referrals += 1
        joined = one.decision.people[0] if one.decision.answer == "join" else None
        if own and joined is not None:
            mine, theirs = (self._known(group) for group in (own, self.members(joined)))
            one.decision = held_for(one.decision, contradictions(mine, theirs))
            joined = joined if one.decision.answer == "join" else None
        if joined is not None and not self.members(joined).isdisjoint(beside):
            one.decision = held_for(one.decision, named_beside(one.decision))
            joined = joined if one.decision.answer == "join" else None
        if joined is not None:
            one.like = self._like(one, one.decision, self.members(joined))
        if own:
            # A later version of the same referral: its party stays who it was, and may turn out to be somebody else too.
            one.person, one.known, one.link_to = one.previous or "", True, joined
            one.repeats = any(_repeats(one.record, known) for known in self._known(own))
        elif joined is not None:
            one.person, one.known = joined, True
        else:
            one.person = new_id()
            self.count += 1
        for tag in one.keys.values():
            under = self._under.setdefault(tag, [])
            if not one.known or one.person not in under:
                under.append(one.person)
                self._grown.add(tag)
        self._records.setdefault(one.person, []).append(one.record)
        self._parties.setdefault(one.person, []).append(one.party)

    def reached(self, one: Someone) -> list[str]:
        """Return whoever may be at this telephone, address or number, however unlikely; before `recognise`."""
        return matching.reached(one.record, self._candidates(one, set())[0])

    def _candidates(self, one: Someone, own: set[str]) -> tuple[list[Candidate], list[str]]:
        # Under most people's keys nobody has come since the batch was read.
        as_read = one.met if self._grown.isdisjoint(one.keys.values()) else None
        people, hot = as_read or worth_comparing(self._met(one))
        mine = own or ({one.previous} if one.previous else set())
        found = []
        for lead in dict.fromkeys(self._group.get(person, person) for person in people if person not in own):
            group = sorted(self.members(lead)) if lead in self._group else [lead]
            # Whom a human told apart from one of them is told apart from all of them.
            pairs = ((member, other) for member in mine for other in group)
            bits = max((self._apart[pair] for pair in pairs if pair in self._apart), default=None)
            found += [Candidate(lead, record, bits) for record in self._known(group)]
        return found, hot

    def known_before(self, one: Someone) -> list[Record]:
        """Return what was known of this human before this record; after `recognise`."""
        return [record for record in self._known(self.members(one.person)) if record is not one.record]

    def _like(self, one: Someone, decision: Decision, group: set[str]) -> str:
        """Return the row of the record that the table of evidence is about."""
        rows = [
            row
            for member in sorted(group)
            for row in zip(self._parties.get(member, ()), self._known([member]), strict=True)
        ]
        if len(rows) == 1 or decision.evidence is None:
            return rows[0][0]
        # What a crowd shares was left out of the table, so no record's need be quite the same.
        model, table = matching.load(), decision.evidence.lines

        def alike(row: tuple[str, Record]) -> int:
            lines = matching.compare(one.record, row[1], model).lines
            return sum(line == other for line, other in zip(lines, table, strict=True))

        return max(rows, key=alike)[0]

    def _known(self, group: Iterable[str]) -> list[Record]:
        return [record for member in group for record in self._records.get(member, ())]


_NO_OTHER = frozenset({"same", "initial", "absent"})
# More people than any kind of key is followed to.
_CROWD = ("",) * (1 + max(kind.bound for kind in KINDS.values()))


def _replaced(one: Someone) -> bool:
    """Whether a later version speaks of another human in the same place, and not of the same one more exactly."""
    if one.previous_record is None:
        return False
    evidence = matching.compare(one.previous_record, one.record, matching.load())
    other_name = evidence.level("forename") in {"different", "odd"} and evidence.level("surname") in {
        "different",
        "different_woman",
    }
    return other_name or bool(matching.contradictions([one.previous_record, one.record]))


def _repeats(record: Record, known: Record) -> bool:
    """Whether a record says nothing that a known one does not; that a number is somebody else's too tells nobody apart."""
    return replace(known, shared=record.shared) == record and set(known.shared) <= set(record.shared)


def contradictions(mine: Iterable[Record], theirs: Iterable[Record]) -> list[Rule]:
    """What speaks against one human of two groups that are about to be one: record against record."""
    others = dict.fromkeys(theirs)
    pairs = ((one, other) for one in dict.fromkeys(mine) for other in others)
    return sorted({rule for pair in pairs for rule in matching.contradictions(pair)})


def named_beside(decision: Decision) -> list[Rule]:
    """What speaks against joining two whom one referral names beside each other.

    Twins, a father and a son: a person can see which. But who hit and was hit is often sent twice, as harmed and as
    responsible: nobody else has their name and their birth date or number, and no second forename of his own.
    """
    level = decision.evidence.level if decision.evidence else lambda _: ""
    one_name = (
        level("forename") == "same" and level("surname") == "same" and level("other_forenames") in _NO_OTHER
    )
    return [] if one_name and "same" in (level("date_of_birth"), level("identifier")) else [Rule.BESIDE]


def held_for(decision: Decision, rules: Sequence[Rule]) -> Decision:
    """The decision to join, held for a person where there are such rules: two records agree, their groups do not."""
    if not rules:
        return decision
    return replace(
        decision,
        answer="hold",
        reasons=tuple(rule.code for rule in rules),
        sentence=sentence("hold", rules, decision.evidence, ""),
    )


def _decode_links(text: str) -> list[str]:
    return [part for part in text.strip("[]").replace('"', "").replace(" ", "").split(",") if part]


def groups(links: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return for each linked person the one that stands for the group: the lowest id, which is the first that was known."""
    group: dict[str, set[str]] = {}
    for person, others in links.items():
        merged = {person, *others}
        for member in tuple(merged):
            merged |= group.get(member, set())
        for member in merged:
            group[member] = merged
    return {person: min(members) for person, members in group.items()}
