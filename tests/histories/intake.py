"""What intake tells: of referrals, of who is whom, of cases that are joined and parted, of what is taken back."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

from shared.contracts.people import (
    PersonErased,
    PersonHeld,
    PersonHoldLifted,
    PersonLinked,
    PersonReferred,
    PersonUnlinked,
    Safety,
)
from shared.contracts.referrals import (
    CaseFileJoined,
    PartyFact,
    ReferralChanged,
    ReferralFacts,
    ReferralReceived,
    ReferralRetracted,
)
from tests.histories.world import ANN, ANNE, IDS, ROB, World


class Posted(NamedTuple):
    """Who posts a referral, and whom it is about."""

    agency: str
    person: str


REFERRALS = {"r1": Posted("X", ANN), "r2": Posted("Y", ANNE), "r3": Posted("X", ANN)}
"""The first two are of one incident, or of two; the third is of another."""


class Intake:
    """The records, where each referral is, and what has been told."""

    def __init__(self, world: World) -> None:
        chance = world.random
        self.world = world
        self.one_incident = chance.random() < 0.7
        self.one_responsible = chance.random() < 0.5
        self.linked = False
        self.decisions = 0
        self.case_of = {"r1": "c1", "r2": "c2", "r3": "d1"}
        self.told: set[tuple[str, str]] = set()
        self.gone: set[str] = set()
        self.held: set[str] = set()
        self.erased: tuple[str, ...] = ()
        self.names = defaultdict(set, {ANN: {"c1"}, ANNE: {"c2"}})
        """The names under which each id's cases have been known: an agency may still use an old one."""
        self.meant: dict[tuple[str, str], str] = {}
        """The referral that an id and the name of a case stand for."""
        self.refer("r1")
        if chance.random() < 0.8:
            self.refer("r2")

    def known(self) -> set[str]:
        """Return the referrals that have been posted."""
        return {referral for _, referral in self.told}

    def live(self) -> list[str]:
        """Return those that have not been taken back."""
        return sorted(self.known() - self.gone)

    def group(self, person: str) -> tuple[str, ...]:
        """Return the ids that are this human."""
        return IDS if self.linked and person in IDS else (person,)

    def _facts(self, referral: str) -> ReferralFacts:
        posted = REFERRALS[referral]
        parties = (
            PartyFact(person=posted.person, role="harmed"),
            PartyFact(person=ROB if self.one_responsible else f"{ROB}-{referral}", role="responsible"),
        )
        shared = self.one_incident and referral != "r3"
        return ReferralFacts(
            referral=referral, agency=posted.agency, version=1, incident="i" if shared else f"i-{referral}",
            received_at=self.world.now, offence_class="burglary", stage="post_sentence", initiated_by="agency",
            parties=parties,
        )  # fmt: skip

    def _tell_referral(self, case: str, facts: ReferralFacts, continues: str | None = None) -> None:
        known = (case, facts.referral) in self.told
        changed = ReferralChanged(facts=facts, changed=("everything",))
        self.world.tell(
            "referrals", case, changed if known else ReferralReceived(facts=facts, continues=continues)
        )
        self.told.add((case, facts.referral))
        person = REFERRALS[facts.referral].person
        self.meant[person, case] = facts.referral
        self.names[person].add(case)

    def refer(self, referral: str, continues: str | None = None) -> None:
        """A referral is in a case: new, or as another than before."""
        case, facts = self.case_of[referral], self._facts(referral)
        self._tell_people(case, facts, continues)
        self._tell_referral(case, facts, continues)
        more = f"which goes on from {continues}" if continues else ""
        self.world.note(referral, "of", facts.parties[0].person, "is in case", case, more)

    def _tell_people(self, case: str, facts: ReferralFacts, continues: str | None) -> None:
        for party in facts.parties:
            self.world.tell(
                "people", party.person,
                PersonReferred(
                    case=case, incident=facts.incident, referral=facts.referral, referrer=facts.agency, role=party.role,
                    safety=Safety(channels=("phone", "letter")), continues=continues,
                ),
            )  # fmt: skip

    def refer_late(self) -> None:
        """A referral that was not there is posted."""
        if missing := sorted(set(REFERRALS) - self.known()):
            self.refer(self.world.random.choice(missing))

    def link(self) -> None:
        """The two ids are one human. Where the incident is one, its cases are joined."""
        if self.linked or not {"r1", "r2"} <= self.known():
            return
        self.linked = True
        self.decisions += 1
        for one, other in ((ANN, ANNE), (ANNE, ANN)):
            self.world.tell("people", one, PersonLinked(other=other, basis="decided", number=self.decisions))
        self.world.note("linked")
        for case in sorted(self.held):
            self.world.tell("people", ANNE, PersonHoldLifted(hold=f"not-{case}", reason="linked"))
        self.held.clear()
        old, into = self.case_of["r2"], self.case_of["r1"]
        if self.one_incident and not self.gone & {"r1", "r2"} and old != into:
            self.world.tell("referrals", old, CaseFileJoined(into=into))
            self._tell_people(into, self._facts("r2"), old)
            self._tell_referral(into, self._facts("r2"))
            self.case_of["r2"] = into
            self.world.note("case", old, "is joined to", into)

    def unlink(self) -> None:
        """They are two after all. What had become one case is parted: the second id is held in the first."""
        if not self.linked:
            return
        self.linked = False
        self.decisions += 1
        for one, other in ((ANN, ANNE), (ANNE, ANN)):
            self.world.tell("people", one, PersonUnlinked(other=other, reason="two", number=self.decisions))
        self.world.note("unlinked")
        old = self.case_of["r2"]
        if self.case_of["r1"] == old and not self.gone & {"r1", "r2"}:
            self.case_of["r2"] = f"c{2 + self.decisions}"
            self.refer("r2", continues=old)
            self.world.tell(
                "referrals", old, ReferralRetracted(referral="r2", agency=REFERRALS["r2"].agency, remaining=1)
            )
            self.world.tell("people", ANNE, PersonHeld(hold=f"not-{old}", reason="not_this_person", case=old))
            self.held.add(old)

    def retract(self) -> None:
        """A referral is taken back."""
        referral = self.world.random.choice(sorted(REFERRALS))
        if referral not in self.live():
            return
        self.gone.add(referral)
        case = self.case_of[referral]
        left = sum(1 for other in self.live() if self.case_of[other] == case)
        event = ReferralRetracted(referral=referral, agency=REFERRALS[referral].agency, remaining=left)
        self.world.tell("referrals", case, event)
        self.world.note(referral, "is taken back")

    def erase(self) -> None:
        """Somebody asks to be forgotten: seldom, and once."""
        if self.erased or self.world.random.random() > 0.2:
            return
        self.erased = self.group(self.world.random.choice(IDS))
        for one in self.erased:
            self.world.tell("people", one, PersonErased(reason="asked"))
        self.world.note("erased:", *self.erased)
