"""What agencies, the hub and the people themselves do, at random; and what an onlooker knows of who said no."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Literal

from services.allocation.domain import cases as rules
from services.allocation.domain.evolve import Story
from services.consent.domain import choices, leads, outcomes, permits
from services.consent.domain.facts import (
    Ask,
    Attempted,
    HandOver,
    Inbound,
    Redeem,
    Reopen,
    Report,
    Resolve,
    Withdraw,
)
from services.consent.domain.state import Outcome, find
from shared.contracts.consent import ConsentWithdrawn, StandingReopened
from shared.contracts.envelope import Purpose
from tests.histories.hearing import carry, do
from tests.histories.intake import REFERRALS, Intake
from tests.histories.world import AGENCIES, HEIR, IDS, ROB, Broken, World
from tests.support.promise import Promise

OUTCOMES: tuple[Outcome, ...] = ("no_answer", "agreed", "declined", "withdrew", "unknown", "agreed")
NOES = frozenset({"declined", "withdrew"})


class Acts:
    """Each act draws who does it and about what; one that is refused changes nothing."""

    def __init__(self, world: World, intake: Intake) -> None:
        self.world, self.intake = world, intake
        self.chance = world.random
        self.noes: dict[tuple[str, str], Promise] = {}
        """Who said no to which referral, and what an approach about it would break."""

    def _somebody(self) -> tuple[str, str]:
        """Draw an id, and a name under which a case of theirs has been known."""
        person = self.chance.choice(IDS)
        return person, self.chance.choice(sorted(self.intake.names[person]))

    def _said_no(self, group: tuple[str, ...], case: str) -> None:
        for one in group:
            if referral := self.intake.meant.get((one, case)):
                self.noes[one, referral] = Promise.N6

    # --- permits

    def approach(self) -> None:
        """An agency asks to approach somebody."""
        self._ask("approach")

    def converse(self) -> None:
        """An agency asks to go on speaking with somebody."""
        self._ask("conversation")

    def _ask(self, purpose: Purpose) -> None:
        world = self.world
        person, case = self._somebody()
        for agency in dict.fromkeys(world.heir(agency) for agency in AGENCIES):
            ask = Ask(case, person, person, agency, None, purpose, "phone")
            decision = permits.grant(world.at, ask, f"p{world.permits}", world.context)
            if decision.refusal is None:
                do(world, decision)
                world.permits += 1
                world.note("granted to", agency, "for", person, "in", case, purpose)

    def redeem(self) -> None:
        """Whoever has a permit redeems it: intake refuses for a referral that is there no longer."""
        world, intake = self.world, self.intake
        for person in IDS:
            permit = world.people[person].permit
            if permit is None or permit.redeemed:
                continue
            group = intake.group(person)
            if not any(
                intake.case_of[r] == permit.case and REFERRALS[r].person in group for r in intake.live()
            ):
                continue
            command = Redeem(permit.id, person, permit.fence, world.behind(group))
            decision = permits.redeem(world.at, command, world.context)
            if decision.refusal is None:
                self._must_not_have_said_no(person, permit.case, permit.agency)
                do(world, decision)
                world.asked[permit.id] = intake.group(person)
                world.note("redeemed for", person, "in", permit.case)

    def _must_not_have_said_no(self, person: str, case: str, agency: str) -> None:
        referral = self.intake.meant.get((person, case))
        if referral and (promise := self.noes.get((person, referral))):
            raise Broken(promise, f"{agency} contacts {person} in {case} after a no to {referral}")

    def report(self) -> None:
        """What came of the attempts that are in flight."""
        world = self.world
        for person in IDS:
            permit = world.people[person].permit
            if permit is None or not permit.redeemed:
                continue
            # Whoever answers is one of those who were one human then: the details of each were handed out.
            outcome, group = self.chance.choice(OUTCOMES), (*world.group(person), *world.asked[permit.id])
            said = Report(permit.id, person, permit.fence, outcome, permit.agency, agreement=None)
            decision = outcomes.report(world.at, said, world.context)
            if decision.refusal is None:
                do(world, decision)
                world.note(person, "in", permit.case, "was reached:", outcome)
                attempt = Attempted(permit.case, permit.party, permit.agency, permit.channel, permit.purpose)
                world.over[permit.id] = said, attempt
                if outcome in NOES:
                    self._said_no(group, permit.case)

    def report_late(self) -> None:
        """The holder puts right what it told of an attempt, or the hub finds out what became of one."""
        world = self.world
        if not world.over:
            return
        said, attempt = world.over[self.chance.choice(sorted(world.over))]
        outcome, person = self.chance.choice(OUTCOMES), said.person
        if said.permit in world.people[person].unresolved:
            found = Resolve(said.permit, person, attempt, outcome, "hub")
            decision = outcomes.resolve(world.at, found, world.context)
        elif outcome in NOES and said.outcome not in NOES:
            decision = outcomes.late_no(world.at, replace(said, outcome=outcome), attempt, world.context)
        else:
            return
        if decision.refusal is None:
            group = (*world.group(person), *world.asked[said.permit])
            do(world, decision)
            world.over[said.permit] = replace(said, outcome=outcome), attempt
            world.note("of", person, "in", attempt.case, "is told later:", outcome)
            if outcome in NOES:
                self._said_no(group, attempt.case)

    # --- what people say of themselves

    def ring(self) -> None:
        """Somebody rings, and names a case by any name that it has had."""
        world = self.world
        person, case = self._somebody()
        if find(world.people[person].parts, case) is None:
            return
        no, group = self.chance.random() < 0.5, world.group(person)
        said = Inbound(person, case, "X", "declined" if no else "agreed")
        decision = outcomes.inbound(world.at, said, world.context)
        if decision.refusal is None:
            do(world, decision)
            world.note(person, "rings about", case, "and says", "no" if no else "yes")
            if no:
                self._said_no(group, case)

    def withdraw(self) -> None:
        """Somebody withdraws, from a case or from everything. Intake knows the case by its present name."""
        world, intake = self.world, self.intake
        person, name = self._somebody()
        everything = self.chance.random() < 0.3
        referral = intake.meant.get((person, name))
        if referral is None and not everything:
            return
        cases = () if everything or referral is None else (intake.case_of[referral],)
        command = Withdraw("w", intake.group(person), cases, "person", "X")
        decision = choices.withdraw(world.at, command)
        bound = {key for key, _ in decision.told(ConsentWithdrawn)}
        do(world, decision)
        world.note(person, "withdraws from", *(cases or ("everything",)))
        for other, case in intake.case_of.items():
            one = REFERRALS[other].person
            if one in bound and (not cases or case in cases):
                self.noes[one, other] = Promise.N2

    def reopen(self) -> None:
        """Somebody asks to take part after all, in everything."""
        world = self.world
        person = self.chance.choice(IDS)
        decision = choices.reopen(world.at, Reopen(person, (), "x", "person_asked", "X"))
        if decision.refusal is None:
            group = world.group(person)
            do(world, decision)
            world.note(person, "asks to take part after all")
            self.noes = {key: promise for key, promise in self.noes.items() if key[0] not in group}

    def correct(self) -> None:
        """A no to one case, under any of its names, was entered in error, or is taken back."""
        world = self.world
        person, case = self._somebody()
        if find(world.people[person].parts, case) is None:
            return
        reasons: tuple[Literal["person_asked", "entered_in_error"], ...] = (
            "person_asked",
            "entered_in_error",
        )
        reason = self.chance.choice(reasons)
        decision = choices.reopen(world.at, Reopen(person, (case,), "x", reason, "X"))
        if decision.refusal is None:
            do(world, decision)
            world.note("the no of", person, "to", case, "is taken back:", reason)
            for key, event in decision.told(StandingReopened):
                for again in event.cases:
                    self.noes.pop((key, self.intake.meant.get((key, again), "")), None)

    def responsible_speaks(self) -> None:
        """Whoever is responsible says no to a case, or asks to take part after all."""
        world = self.world
        parts = world.people[ROB].parts
        if not parts:
            return
        if self.chance.random() < 0.5:
            said = Inbound(ROB, self.chance.choice(parts).id, "X", "declined")
            decision = outcomes.inbound(world.at, said, world.context)
        else:
            decision = choices.reopen(world.at, Reopen(ROB, (), "x", "person_asked", "X"))
        if decision.refusal is None:
            do(world, decision)
            world.note(ROB, "says no, or takes part after all")

    # --- agencies, the hub, time

    def hand_over(self) -> None:
        """A lead moves."""
        world = self.world
        person = self.chance.choice(IDS)
        command = HandOver(person, world.heir(self.chance.choice(AGENCIES)), None, "moved")
        decision = leads.hand_over(world.at, command, world.context)
        if decision.refusal is None:
            do(world, decision)
            world.note("the lead of", person, "moves to", command.target)

    def succeed(self) -> None:
        """An agency is succeeded, seldom and once; later, person by person, that is written down."""
        world = self.world
        if not world.successors:
            if self.chance.random() < 0.2:
                world.successors[self.chance.choice(AGENCIES)] = HEIR
                world.note(*world.successors, "is succeeded by", HEIR)
            return
        self.write_down(self.chance.choice((*IDS, ROB)))

    def write_down(self, person: str) -> None:
        """Let a person's lead be the successor's by name: a timer comes to everybody in the end."""
        decision = leads.succeed(self.world.at, person, self.world.context)
        if decision.changes:
            do(self.world, decision)
            self.world.note("the lead of", person, "is written down as the successor's")

    def pause(self) -> None:
        """The hub pauses a case."""
        case = self.chance.choice(sorted(self.world.cases) or ["c1"])
        story = Story(self.world.cases[case])
        if story.state.closed is None and story.state.referrals:
            rules.pause_by_hub(story, "safety", None)
            carry(self.world, case, story)
            # One that has gone on elsewhere is in this case only until that is heard of too.
            gone = {r for other in story.state.parted for r in self.world.cases[other].referrals}
            self.world.paused.update(story.state.referrals.keys() - gone)
            self.world.note("the hub pauses", case)

    def resume(self) -> None:
        """The hub lets every case that it paused go on."""
        for case in sorted(self.world.cases):
            story = Story(self.world.cases[case])
            if story.state.closed is None and "hub" in story.state.pauses:
                rules.resume_by_hub(story, "ok")
                carry(self.world, case, story)
                self.world.note("the hub resumes", case)
        self.world.paused.clear()

    def wait(self) -> None:
        """Time passes: nothing, a day, a few, or more than the policy's gap."""
        self.world.now += timedelta(days=self.chance.choice((0, 1, 3, 60)))
