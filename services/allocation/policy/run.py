"""One evaluation of a policy: finds the rules that apply, resolves agencies, and keeps the reasons."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple, TypeVar

from services.allocation.policy import explanation, strictest
from services.allocation.policy.agencies import Agencies
from services.allocation.policy.clocks import Due, due_at
from services.allocation.policy.context import Match, Side, View
from services.allocation.policy.facts import CaseFacts
from services.allocation.policy.model import (
    Choice,
    Effect,
    Partnership,
    Rule,
    Rules,
    Word,
)
from services.allocation.policy.problems import FactsError
from services.allocation.policy.shapes import BY_NAME, COORDINATOR, Section

E = TypeVar("E", bound=Effect)
HEADLINE: Final = ("lead_harmed", "lead_responsible", "holds", "coordinator", "deliver", "fund")


class _Searched(NamedTuple):
    """What a search found: the rule (None: none applies) and the sentences of those before it; `match` is of that view."""

    rule: Rule | None
    passed_over: tuple[str, ...]
    match: Match


NOBODY: Final = Match((), ())


@dataclass(slots=True)
class Run:
    """One evaluation: what is decided so far.

    `why` keeps each sentence once, in the order of the decisions; `said` those of the rules that fired, by section.
    """

    partnership: Partnership
    facts: CaseFacts
    agencies: Agencies
    view: View
    found: dict[str, str] = field(default_factory=dict)
    fired: list[Rule] = field(default_factory=list)
    why: dict[str, None] = field(default_factory=dict)
    said: dict[str, list[str]] = field(default_factory=dict)

    def derive(self) -> None:
        """The sensitive classes that the facts imply, and who supervises by statute where the referral does not say."""
        words = [word for word in self.view.flat["sensitive"] if word != "none"]
        for rule, _ in self.all("sensitive", self.view):
            assert isinstance(rule.effect, Word)  # noqa: S101  the section's shape
            words.append(rule.effect.word)
        classes = {
            "sensitive": tuple(dict.fromkeys(words)) or ("none",),
            "complex": ("yes" if words else "no",),
        }
        self.view = self.view.knowing(classes)
        sides = []
        for side in self.view.responsible:
            if side.values["supervised_by"]:
                sides.append(side)
                continue
            word = self.first("supervision", Word, self.of_responsible(side)).word
            sides.append(Side({**side.values, "supervised_by": (word,)}, side.party))
        self.view = View(self.view.flat, self.view.harmed, tuple(sides))

    def of_harmed(self, side: Side) -> View:
        """The view of a section that decides for this harmed party."""
        return View(self.view.flat, (side,), self.view.responsible)

    def of_responsible(self, side: Side) -> View:
        """The view of a section that decides for this responsible party."""
        return View(self.view.flat, self.view.harmed, (side,))

    def all(self, name: str, view: View) -> list[tuple[Rule, Match]]:
        """Every rule of the section that applies, the nation's first."""
        rules = self.partnership.plan[name]
        values = view.values_of(rules.names)
        known = rules.remembered.get(values) if values is not None else None
        if isinstance(known, tuple):
            match = Match(view.harmed, view.responsible)
            applied = [(rule, match) for rule in known]
        else:
            applied = [(rule, match) for rule in rules if (match := view.match(rule)).failed is None]
            if values is not None:
                rules.remember(values, tuple(rule for rule, _ in applied))
        self.fired.extend(rule for rule, _ in applied)
        return applied

    def search(self, section: Section, rules: Rules, view: View) -> tuple[Rule, Match] | None:
        """The first rule that applies; those before it are explained."""
        values = view.values_of(rules.names)
        known = rules.remembered.get(values) if values is not None else None
        searched = known if isinstance(known, _Searched) else self._search(section, rules, view)
        if values is not None and known is None:
            rules.remember(values, searched)
        for sentence in searched.passed_over:
            self.why[sentence] = None
        if searched.rule is None:
            return None
        self.fired.append(searched.rule)
        return searched.rule, Match(view.harmed, view.responsible) if values is not None else searched.match

    def _search(self, section: Section, rules: Rules, view: View) -> _Searched:
        passed_over: list[str] = []
        for rule in rules:
            match = view.match(rule)
            if match.failed is None:
                return _Searched(rule, tuple(passed_over), match)
            passed_over.append(explanation.passed_over(section, rule, match))
        return _Searched(None, tuple(passed_over), NOBODY)

    def first(self, name: str, effect: type[E], view: View) -> E:
        """The effect of the first rule that applies, the stricter with the nation's where the section says so."""
        section, own = BY_NAME[name], self.partnership.plan[name]
        mine = self.search(section, own, view)
        if section.with_national != "strictest":
            if mine is None:
                raise FactsError(f"{name} has no rule for this case: the policy was not checked")
            self._explain(section, mine[0])
            return typed(mine[0].effect, effect)
        theirs = self.search(section, self.partnership.national[name], view)
        if theirs is None:
            raise FactsError(f"{name} has no national rule for this case: the policy was not checked")
        self._explain(section, theirs[0])
        if mine is None:
            return typed(theirs[0].effect, effect)
        self._explain(section, mine[0])
        both = (mine[0].id, theirs[0].id)
        if both not in own.together:
            own.together[both] = strictest.strictest(
                name, self.partnership.scales, mine[0].effect, theirs[0].effect
            )
        return typed(own.together[both], effect)

    def optional(self, name: str, effect: type[E]) -> E | None:
        """The effect of the first rule that applies, if one does."""
        section = BY_NAME[name]
        hit = self.search(section, self.partnership.plan[name], self.view)
        if hit is None:
            return None
        self._explain(section, hit[0])
        return typed(hit[0].effect, effect)

    def choose(self, name: str, view: View) -> tuple[str, ...]:
        """The agencies (by the policy's ids) that the section's first matching rule picks from, the best first."""
        section = BY_NAME[name]
        hit = self.search(section, self.partnership.plan[name], view)
        if hit is None:
            raise FactsError(f"{name} has no rule for this case: the policy was not checked")
        rule, match = hit
        choice = typed(rule.effect, Choice)
        able = [
            agency
            for ref in choice.agency
            for agency in [self.agency(ref, match, view)]
            if agency is not None
        ]
        able = list(dict.fromkeys(able)) or [self.found.get(COORDINATOR, choice.agency[-1])]
        outcome = self.name(able[0])
        if choice.choose == "least_loaded" and len(able) > 1:
            several = explanation.listed(map(self.name, able), "and")
            able.sort(key=lambda agency: (not self._delivers(agency), self.agencies.load(agency)))
            why = "who delivers already" if self._delivers(able[0]) else f"the least loaded of {several}"
            outcome = f"{self.name(able[0])}, {why}"
        self.say(section, rule, outcome)
        return tuple(able)

    def _delivers(self, agency: str) -> bool:
        return self.agencies.delivering in (agency, self.agencies.current(agency))

    def agency(self, ref: str, match: Match, view: View, *, partners_only: bool = True) -> str | None:
        """The agency that a reference of a rule stands for, if there is one that takes the case."""
        agency = self.found.get(ref) or self._of_case(ref, match)
        partner = self.partnership.partners.get(agency) if agency is not None else None
        if agency is None or (partner is None and partners_only) or not self.agencies.open(agency):
            return None
        if partner is not None and any(view.match(rule).failed is None for rule in partner.excludes):
            self.why[f"{partner.name} is passed over: it does not take such cases."] = None
            return None
        return agency

    def _of_case(self, ref: str, match: Match) -> str | None:
        if ref == "referring-agency":
            return self.facts.referred_by
        responsible = [side for side in match.responsible or self.view.responsible if side.party is not None]
        harmed = match.harmed or self.view.harmed
        if ref == "supervising-agency":
            return next(filter(None, map(self._supervisor, responsible)), None)
        if ref == "custody-agency":
            return next(
                (
                    side.party.custody_agency
                    for side in responsible
                    if side.party and side.party.custody_agency
                ),
                None,
            )
        if ref == "liaison-agency":
            return next(
                (side.party.liaison_agency for side in harmed if side.party and side.party.liaison_agency),
                None,
            )
        return ref if ref in self.partnership.partners else None

    def _supervisor(self, side: Side) -> str | None:
        """Named in the referral, or the only partner of the kind that supervises by statute (in the person's area)."""
        party = side.party
        if party is None:
            return None
        if party.supervising_agency is not None:
            return party.supervising_agency
        kind = side.values["supervised_by"][0]
        home = self.partnership.places.get((party.home_area or "").strip().casefold())
        here = set(home.within) if home is not None else set(self.view.flat["area"])
        of_kind = [partner for partner in self.partnership.partners.values() if partner.kind == kind]
        near = [partner for partner in of_kind if partner.areas & here] or [p for p in of_kind if not p.areas]
        return near[0].id if len(near) == 1 else None

    def today(self, agencies: Iterable[str | None]) -> tuple[str, ...]:
        """These agencies, or who succeeded them, each once."""
        return tuple(
            dict.fromkeys(self.agencies.current(agency) for agency in agencies if agency is not None)
        )

    def name(self, agency: str) -> str:
        """What a co-ordinator calls it."""
        partner = self.partnership.partners.get(agency)
        return partner.name if partner is not None else self.partnership.funds.get(agency, agency)

    def due(self, due: Due) -> datetime | None:
        """When something of this case is due."""
        return due_at(due, self.facts.received_at, self.facts.deadlines)

    def say(self, section: Section, rule: Rule, outcome: str) -> None:
        """Adds the sentence of a rule that fired."""
        sentence = explanation.fired(section, rule, outcome)
        if sentence not in self.why:
            self.why[sentence] = None
            self.said.setdefault(section.name, []).append(sentence)

    def headline(self) -> tuple[str, ...]:
        """The sentences that matter most, the harmed party's lead first."""
        return tuple(sentence for name in HEADLINE for sentence in self.said.get(name, ()))

    def _explain(self, section: Section, rule: Rule) -> None:
        self.say(section, rule, explanation.outcome(rule.effect))


def typed(effect: Effect, expected: type[E]) -> E:
    """The effect as its section's type."""
    if not isinstance(effect, expected):
        raise TypeError(f"a rule with {type(effect).__name__} where {expected.__name__} belongs")
    return effect
