"""What an onlooker sees: who was handed details, who was contacted, what people were told; and whether the promise is kept.

It reads rows as they are committed, never what a service says of itself; and it alone sees both databases at one moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec

from services.consent.domain.state import PersonState
from services.consent.handlers import PERSON as LEDGER
from services.intake.core import PERSON
from tests.simulation.cluster import Cluster
from tests.simulation.database import Database, Key, Row
from tests.simulation.witness_of_cases import Cases
from tests.support.promise import Promise, Violation

PEOPLE = ("a", "b", "c")
"""Every id."""
ATTEMPTS = 3
KNOWN = {"no_answer", "declined", "withdrew", "agreed"}
STORY = 38


class Broken(Exception):
    """A promise was broken."""

    def __init__(self, violation: Violation) -> None:
        super().__init__(str(violation))
        self.violation = violation


@dataclass
class Handed:
    """Details that were handed out under a permit, and what its holder did with them."""

    permit: str
    person: str
    agency: str
    use_by: datetime
    contacts: int = 0
    resting: bool = False
    """The holder has said that it made no contact, and will make none."""


class Witness:
    """The onlooker of one history."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.lines: list[str] = []
        self.handed: dict[str, Handed] = {}
        self.redeemed: dict[str, int] = {}
        self.answers: list[tuple[tuple[str, ...], frozenset[str], str]] = []
        self.passed: set[tuple[str, str]] = set()
        self.outcomes: dict[str, str] = {}
        self.broken: Violation | None = None
        self.asked = {person: asyncio.Event() for person in PEOPLE}
        """Set at the moment at which intake begins to release somebody's details."""
        self.release, self.redemption = asyncio.Event(), asyncio.Event()
        """Set at the moment at which intake begins to release anybody's, and at which consent redeems `permit`."""
        self.permit = ""
        self.proposal, self.proposed = asyncio.Event(), ""
        """Set at the moment at which allocation makes a claim for the case `proposed`."""
        self.restored = self.restoring = False
        """Consent's database came back from a copy, and is not reconciled yet: its ledgers say nothing until then."""
        self._seen: set[str] = set()
        self._recorded: dict[str, str] = {}
        """The outcome of each permit as consent had it before its disk was lost."""
        self.cases = Cases(cluster, self.ledger, self.linked_at_consent)
        cluster.intake.watchers.append(self._intake)
        cluster.consent.watchers.append(self._consent)
        cluster.allocation.watchers.append(self._allocation)

    # --- telling

    def say(self, line: str) -> None:
        """Add a line to the story."""
        self.lines.append(f"{asyncio.get_running_loop().time():8.3f}s {line}")

    def fail(self, promise: Promise, what: str) -> None:
        """Note that a promise is broken: the first one counts."""
        if self.broken is None:
            self.say(f"*** {what}")
            left_out = max(0, len(self.lines) - STORY)
            story = ([f"({left_out} lines before)"] if left_out else []) + self.lines[-STORY:]
            self.broken = Violation(promise, what, tuple(story))

    # --- reading what is committed

    def ledger(self, person: str) -> PersonState:
        """Return consent's ledger of an id."""
        row = self.cluster.consent.tables["stream"].rows.get(("person", person))
        return LEDGER.decode(row["state"]) if row else PersonState()

    def linked_at_intake(self, person: str) -> set[str]:
        """Return every id that intake knows to be this human."""
        return _reach(person, self._links_at_intake)

    def _links_at_intake(self, person: str) -> list[str]:
        row = self.cluster.intake.tables["stream"].rows.get(("person", person))
        return list(PERSON.decode(row["state"]).links) if row else []

    def linked_at_consent(self, person: str) -> set[str]:
        """Return every id that consent knows to be this human."""
        return _reach(person, lambda one: [link.id for link in self.ledger(one).links if link.holds])

    # --- what intake commits

    def _intake(self, written: Mapping[tuple[str, Key], Row | None]) -> None:
        for (table, _), row in written.items():
            if row is None:
                continue
            if table == "inbox":
                self._held(self.cluster.intake, row)
            if table == "release" and row["state"] == "handed_out" and row["permit"] not in self.handed:
                self._handed(row)
            elif table == "release" and row["state"] == "asked":
                self.asked[row["person"]].set()
                self.asked[row["person"]] = asyncio.Event()
                self.release.set()
                self.release = asyncio.Event()
            elif table == "withdrawal" and row["state"] == "in_force":
                self._answered(row)
            elif table == "journal":
                self.say(f"intake records {row['type']} of {row['key']} (#{row['sequence']})")
            elif table == "withdrawal" and row["state"] == "recorded":
                self.say(f"intake stores the withdrawal of {row['person']}")

    def _handed(self, row: Row) -> None:
        permit, person = row["permit"], row["person"]
        use_by = datetime.fromisoformat(msgspec.json.decode(row["redeemed"])["use_by"])
        new = Handed(permit, person, row["agency"], use_by)
        self.say(f"INTAKE HANDS OUT the details of {person} to {row['agency']} for {permit[-4:]}")
        group = self.linked_at_intake(person)
        earlier = [h for h in self.handed.values() if h.person in group and self._counts(h)]
        for h in earlier:
            if not self._follows(h.agency, new.agency):
                self.fail(Promise.N1, f"{new.agency} approaches a person whom {h.agency} had approached")
            if self.outcomes.get(h.permit) in {"declined", "withdrew"}:
                self.fail(Promise.N1, f"{new.agency} approaches a person who had said no")
            if self._outcome(h.permit) not in KNOWN:
                self.fail(
                    Promise.N5, f"what became of {h.permit[-4:]} is not known, and details are handed out"
                )
        if len(earlier) >= ATTEMPTS:
            self.fail(Promise.N1, "more attempts than the policy allows")
        stored = self.cluster.intake.tables["withdrawal_candidate"].rows.values()
        if any(c["person"] in group for c in stored):
            self.fail(Promise.N2, "details are handed out after the withdrawal was stored")
        live = self.cluster.consent.tables["permit"].rows.get((permit,))
        if not self.restoring and (live is None or not (live["status"] == "redeemed" or live["unresolved"])):
            self.fail(
                Promise.N8, "details are handed out for a permit that consent does not hold to be in flight"
            )
        self.handed[permit] = new

    def _counts(self, h: Handed) -> bool:
        return bool(h.contacts) or (not h.resting and self.cluster.now < h.use_by)

    def _outcome(self, permit: str) -> str | None:
        if self.restoring:
            return self._recorded.get(permit)
        row = self.cluster.consent.tables["permit"].rows.get((permit,))
        return row["outcome"] if row else None

    def _follows(self, one: str, other: str) -> bool:
        return other in _reach(one, lambda a: [target for source, target in self.passed if source == a])

    def _answered(self, row: Row) -> None:
        in_flight = frozenset(one["permit"] for one in msgspec.json.decode(row["in_flight"]))
        candidates = self.cluster.intake.tables["withdrawal_candidate"].rows.values()
        bound = tuple(sorted(c["person"] for c in candidates if c["withdrawal"] == row["id"]))
        kind = "in flight: " + ", ".join(p[-4:] for p in sorted(in_flight)) if in_flight else "clean"
        self.say(f"the withdrawal of {', '.join(bound)} is answered: {kind}")
        self.answers.append((bound, in_flight, row["id"]))
        for person in bound:
            if not self.restoring and not self.ledger(person).closed:
                self.fail(Promise.N4, f"the withdrawal of {person} is answered, and its ledger is open")

    # --- what allocation commits

    def _allocation(self, written: Mapping[tuple[str, Key], Row | None]) -> None:
        for (table, _), row in written.items():
            if row is not None and table == "inbox":
                self._held(self.cluster.allocation, row)
            elif row is not None and table == "journal":
                self.say(f"allocation records {row['type']} of {row['key']} (#{row['sequence']})")
                if row["type"] == "case.proposed.v1":
                    self.proposed = row["key"]
                    self.proposal.set()
                    self.proposal = asyncio.Event()

    # --- what consent commits

    def _consent(  # noqa: C901 - one arm for each table
        self, written: Mapping[tuple[str, Key], Row | None]
    ) -> None:
        touched: set[str] = set()
        # First: where nothing that was published is missing, the copy is open at once, and this may be what it does first.
        if self.restoring and self._is_reconciled():
            self.say("(consent has reconciled, and is open)")
            self.restoring = False
            # What was reported while it was closed is known from now on, also to the next copy.
            permits = self.cluster.consent.tables["permit"].rows.values()
            self._recorded |= {row["id"]: row["outcome"] for row in permits if row["outcome"]}
            touched |= {name for kind, name in self.cluster.consent.tables["stream"].rows if kind == "person"}
        for (table, key), row in written.items():
            if row is None:
                continue
            if table == "journal" and row["type"] != "permit.refused.v1":
                if row["event_id"] not in self._seen:
                    self._seen.add(row["event_id"])
                    self._told(row)
            elif table == "permit" and row["status"] == "granted":
                self._granted(row)
            elif table == "permit" and row["outcome"] and not self.restoring:
                self._recorded[key[0]] = row["outcome"]
            elif table == "waiting":
                self._delivered(row)
            elif table == "inbox":
                self._held(self.cluster.consent, row)
            if table == "stream" and key[0] == "person":
                touched.add(key[1])
        if not self.restoring:
            self._look_at(touched)

    def _look_at(self, touched: set[str]) -> None:
        for person in sorted(touched):
            self._ledgers(person)
        # A link that was delivered stays in force: what comes before it is applied later, and must not undo it. (A hold that
        # was lifted and set again under one id has a gap between the two; until its turn the key is held: no grants.)
        tables = self.cluster.consent.tables
        for row in tables["waiting"].rows.values():
            there = tables["inbox"].rows.get((row["topic"], row["key"]))
            waits = row["key"] in touched and (there is None or row["sequence"] > there["sequence"])
            if waits and dict(msgspec.json.decode(row["headers"]))["ce_type"] == "person.linked.v1":
                self._delivered(row)

    def _told(self, row: Row) -> None:
        data = msgspec.json.decode(row["data"])
        permit = data.get("permit", "")
        self.say(f"consent records {row['type']} of {row['key']}" + (f" ({permit[-4:]})" if permit else ""))
        if row["type"] == "permit.redeemed.v1":
            self.permit = permit
            self.redemption.set()
            self.redemption = asyncio.Event()
            self.redeemed[permit] = self.redeemed.get(permit, 0) + 1
            if self.redeemed[permit] > 1:
                self.fail(Promise.N3, f"{permit[-4:]} is redeemed a second time")
        elif row["type"] == "permit.ended.v1":
            if permit in self.handed and data["how"] != "not_made" and not self.restoring:
                self.fail(Promise.N8, f"{permit[-4:]} is {data['how']}, and details were handed out under it")
        elif row["type"] == "lead.handed_over.v1":
            self.passed.add((data["source"], data["target"]))
            for h in self.handed.values():
                in_hand = not h.contacts and not h.resting and self.cluster.now < h.use_by
                if h.person == row["key"] and h.agency == data["source"] and in_hand:
                    self.fail(Promise.N7, f"the lead is handed over while {h.permit[-4:]} can still be used")

    def _granted(self, row: Row) -> None:
        if self.restoring:
            if row["id"] not in self.cluster.adopted:
                self.fail(
                    Promise.N8, f"{row['id'][-4:]} is granted by a restored consent that has not reconciled"
                )
            return
        for h in self.handed.values():
            if not self._knows_of(h.permit):
                what = f"{row['id'][-4:]} is granted by a consent that has forgotten the release of {h.permit[-4:]}"
                self.fail(Promise.N8, what)
        for person in sorted(self.linked_at_consent(row["person"])):
            # Of somebody linked nothing may have arrived yet: a delay like any other, which the redemption finds out.
            if self._is_parked(person):
                self.fail(
                    Promise.N8, f"a permit is granted while something about {person} is parked or waiting"
                )
        if not self.ledger(row["person"]).known:
            self.fail(Promise.N8, f"a permit is granted for {row['person']}, of whom nothing is known")

    def _knows_of(self, permit: str) -> bool:
        """Say whether consent holds a permit under which details were handed out to be in flight, or to have ended so."""
        row = self.cluster.consent.tables["permit"].rows.get((permit,))
        return row is not None and (row["status"] == "redeemed" or row["how"] in {"attempted", "not_made"})

    def _is_reconciled(self) -> bool:
        living = self.cluster.living("consent")
        (door,) = self.cluster.consent.tables["door"].rows.values()
        return bool(living) and all(s.reconciled.is_set() for _, s in living) and not door["restored"]

    def _is_parked(self, person: str) -> bool:
        """Say whether an event of this key is parked or waits, whatever the inbox says of it."""
        tables = self.cluster.consent.tables
        parked = [r for r in tables["quarantine"].rows.values() if r["resolved"] is None]
        there = tables["inbox"].rows.get(("people", person))
        applied = there["sequence"] if there else 0
        waiting = [r for r in tables["waiting"].rows.values() if r["sequence"] > applied]
        # What arrived while the permit was being decided came after it.
        before = self.cluster.consent.now - timedelta(seconds=1)
        both = [r for r in (*parked, *waiting) if r["since"] < before]
        return any(r["key"] == person and r["topic"] == "people" for r in both)

    def _delivered(self, row: Row) -> None:
        """What restricts is in force from its delivery on, although an earlier event of its key is parked or missing."""
        if row["topic"] != "people":
            return
        kind = dict(msgspec.json.decode(row["headers"]))["ce_type"]
        data, ledger = msgspec.json.decode(row["value"]), self.ledger(row["key"])
        late = False
        if kind == "person.linked.v1":
            late = not any(
                link.id == data["other"] and link.number >= data["number"] for link in ledger.links
            )
        elif kind == "person.held.v1":
            late = not any(hold.id == data["hold"] for hold in ledger.holds)
        if late:
            self.fail(Promise.N6, f"{kind} of {row['key']} was delivered, and is not in force")

    def _held(self, database: Database, row: Row) -> None:
        """A key is held as long as an event of it is parked or waits: only by that do permits and repairs know of it."""
        if row["held"]:
            return
        left = [
            other
            for table in ("waiting", "quarantine")
            for other in database.tables[table].rows.values()
            if (other["topic"], other["key"]) == (row["topic"], row["key"])
            and other["sequence"] > row["sequence"]
            and other.get("resolved") is None
        ]
        if left:
            self.fail(
                Promise.N8,
                f"{database.name} lets go of {row['key']}, and #{left[0]['sequence']} is not applied",
            )

    def _ledgers(self, person: str) -> None:
        group = sorted(self.linked_at_consent(person))
        ledgers = {one: self.ledger(one) for one in group}
        leads = {lead.agency for ledger in ledgers.values() if (lead := ledger.lead)}
        if len(leads) > 1 and not self._unlink_waits(group):
            self.fail(
                Promise.N7, f"{', '.join(group)} are one human with two leads: {', '.join(sorted(leads))}"
            )
        live = [p for ledger in ledgers.values() if (p := ledger.permit)]
        for permit in live:
            if permit.redeemed:
                continue
            if len(live) > 1:
                self.fail(Promise.N6, f"{permit.id[-4:]} is granted beside another live permit of this human")
            if permit.agency not in leads:
                self.fail(Promise.N7, f"{permit.agency} holds a permit, and does not lead")
            if any(ledger.closed or ledger.holds for ledger in ledgers.values()):
                self.fail(Promise.N6, f"{permit.id[-4:]} is granted though a ledger of this human says no")
        for bound, _, number in self.answers:
            if person in bound and not ledgers[person].closed:
                self.fail(
                    Promise.N4, f"the answered withdrawal {number[-4:]} of {person} is not in force any more"
                )

    def _unlink_waits(self, group: list[str]) -> bool:
        """Say whether a restored consent has yet to apply that some of these are two.

        Of its own events it has been given back that the lead of one was theirs again. The unlink from which this followed
        is read once more, and may be parked, with whatever came after it. Until then nothing is redeemed: it is behind.
        """
        inbox = self.cluster.consent.tables["inbox"].rows
        applied = {one: row["sequence"] for one in group if (row := inbox.get(("people", one)))}
        return self.restored and any(
            row["key"] in group
            and row["type"] == "person.unlinked.v1"
            and row["sequence"] > applied.get(row["key"], 0)
            and msgspec.json.decode(row["data"])["other"] in group
            for row in self.cluster.intake.tables["journal"].rows.values()
        )

    # --- what holders and people say

    def contact(self, permit: str) -> None:
        """A telephone rings."""
        h = self.handed[permit]
        h.contacts += 1
        self.say(f"{h.agency.upper()} CONTACTS {h.person} under {permit[-4:]}")
        if h.contacts > 1:
            self.fail(Promise.N5, f"a second contact under {permit[-4:]}")
        for bound, in_flight, _ in self.answers:
            if h.person in bound and permit not in in_flight:
                self.fail(
                    Promise.N2,
                    f"a contact begins after the withdrawal was answered without naming {permit[-4:]}",
                )

    def acknowledged(self, permit: str, outcome: str) -> None:
        """Consent has acknowledged an outcome."""
        self.say(f"the outcome of {permit[-4:]} is acknowledged: {outcome}")
        self.outcomes[permit] = outcome
        if outcome == "not_made":
            self.handed[permit].resting = True
        self._outcome_stands(permit, outcome)

    def _outcome_stands(self, permit: str, outcome: str) -> None:
        if self.restoring:
            return
        row = self.cluster.consent.tables["permit"].rows.get((permit,))
        said = ("not_made" if row["how"] == "not_made" else row["outcome"]) if row else None
        if said != outcome and not (outcome == "unknown" and said == "no_answer"):
            self.fail(
                Promise.N4, f"the outcome of {permit[-4:]} was acknowledged as {outcome} and stands as {said}"
            )

    # --- in the end

    def unsettled(self) -> str | None:
        """Return what is not agreed on yet, None if everything is."""
        return next(
            (
                left
                for part in (self._untold, self._unanswered, self._disagreed, self.cases.disagree)
                if (left := part())
            ),
            None,
        )

    def _untold(self) -> str | None:
        if self.restoring:
            return "consent has not reconciled"
        c, i, a = self.cluster.consent, self.cluster.intake, self.cluster.allocation
        for reader, owner, topic in (
            (c, i, "people"),
            (i, c, "consent"),
            (a, i, "referrals"),
            (a, c, "consent"),
            (c, a, "cases"),
            (i, a, "cases"),
        ):
            last: dict[str, int] = {}
            for row in owner.tables["journal"].rows.values():
                if row["topic"] == topic:
                    last[row["key"]] = max(last.get(row["key"], 0), row["sequence"])
            for key, sequence in sorted(last.items()):
                there = reader.tables["inbox"].rows.get((topic, key))
                if there is None or there["sequence"] != sequence or there["held"]:
                    return f"{reader.name} has applied {there['sequence'] if there else 0} of {sequence} events of {key}"
        return None

    def _unanswered(self) -> str | None:
        consent, intake = self.cluster.consent.tables, self.cluster.intake.tables
        for row in intake["withdrawal"].rows.values():
            if row["state"] != "in_force":
                return f"the withdrawal of {row['person']} is not in force"
        for row in intake["release"].rows.values():
            if not row["told"] or row["state"] == "asked":
                return f"the release of {row['permit'][-4:]} is not settled"
        for row in consent["permit"].rows.values():
            if row["status"] != "ended" or row["unresolved"]:
                return f"the permit {row['id'][-4:]} is not settled"
        return None

    def _disagreed(self) -> str | None:
        rows = self.cluster.intake.tables["stream"].rows
        for key in sorted(name for kind, name in rows if kind == "person"):
            if self.linked_at_intake(key) != self.linked_at_consent(key):
                return f"intake and consent do not agree who {key} is"
            held = set(PERSON.decode(rows["person", key]["state"]).holds)
            if held != {h.id for h in self.ledger(key).holds}:
                return f"intake and consent do not agree about the holds of {key}"
        return None

    def last_look(self) -> None:
        """Check what must have lasted."""
        for permit, outcome in sorted(self.outcomes.items()):
            self._outcome_stands(permit, outcome)
        for bound, _, _ in self.answers:
            for person in bound:
                if not self.ledger(person).closed:
                    self.fail(Promise.N4, f"the withdrawal of {person} was answered, and is gone")
        for person in sorted(PEOPLE):
            self._ledgers(person)
        for database in self.cluster.databases.values():
            self._chain(database.name, list(database.tables["journal"].rows.values()))

    def _chain(self, name: str, rows: list[Row]) -> None:
        last: dict[str, Any] = {}
        for row in sorted(rows, key=lambda r: (r["topic"], r["key"], r["sequence"])):
            before = last.get(row["topic"] + row["key"])
            if row["sequence"] != (before["sequence"] + 1 if before else 1):
                self.fail(Promise.N4, f"{name}'s journal of {row['key']} has a gap before {row['sequence']}")
            if before is not None and row["previous"] != before["event_id"]:
                self.fail(Promise.N4, f"{name}'s journal of {row['key']} forks at {row['sequence']}")
            last[row["topic"] + row["key"]] = row


def _reach(one: str, following: Any) -> set[str]:
    todo, found = [one], {one}
    while todo:
        for other in following(todo.pop()):
            if other not in found:
                found.add(other)
                todo.append(other)
    return found
