"""What came of the referrals, checked against the truth in the data and against the agencies' own records."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from deploy.local.demo.agency import Contact
from deploy.local.demo.people import Posting


@dataclass(frozen=True)
class Outcome:
    """One referral at the end: its cases and the reasons for which it is on hold."""

    posting: Posting
    cases: tuple[str, ...]
    holds: tuple[str, ...]


@dataclass(frozen=True)
class Truth:
    """The figures of the table."""

    people: int
    referrals: int
    joined: int
    could_join: int
    wrongly_joined: int
    held: Counter[str]
    approached_twice: int
    known_as_one_and_approached_twice: int
    exact_joined: int
    exact_wrongly_joined: int
    exact_approached_twice: int
    lost: int


def weigh(outcomes: Iterable[Outcome], contacts: Iterable[Contact], lost: int) -> Truth:
    """Count. A referral is joined if an earlier one about the same human is in its case; wrongly, if another human's is."""
    outcomes = list(outcomes)
    humans_of_case: dict[str, set[str]] = defaultdict(set)
    referrals_of: Counter[tuple[str, str]] = Counter()
    for outcome in outcomes:
        for case in outcome.cases:
            humans_of_case[case].add(outcome.posting.human)
            referrals_of[case, outcome.posting.human] += 1
    per_human = Counter(outcome.posting.human for outcome in outcomes)
    contacts = list(contacts)
    # An attempt reaches the humans whose referrals are in the case: those whom the details could belong to.
    times = Counter(human for contact in contacts for human in humans_of_case[contact.case])
    by_id = Counter(contact.person for contact in contacts)
    exact = _exact(outcomes)
    return Truth(
        people=len(per_human),
        referrals=len(outcomes),
        joined=sum(n - 1 for n in referrals_of.values()),
        could_join=sum(n - 1 for n in per_human.values()),
        wrongly_joined=sum(len(humans) - 1 for humans in humans_of_case.values() if len(humans) > 1),
        held=Counter(reason for outcome in outcomes for reason in sorted(set(outcome.holds))[:1]),
        approached_twice=sum(1 for n in times.values() if n > 1),
        known_as_one_and_approached_twice=sum(1 for n in by_id.values() if n > 1),
        exact_joined=sum(sum(group.values()) - len(group) for group in exact.values()),
        exact_wrongly_joined=sum(len(group) - 1 for group in exact.values() if len(group) > 1),
        exact_approached_twice=sum(1 for n in _groups_of(exact).values() if n > 1),
        lost=lost,
    )


def _exact(outcomes: Iterable[Outcome]) -> Mapping[object, Counter[str]]:
    """Return the groups that exact matching makes of the same referrals; without a birth date it can join nothing."""
    groups: dict[object, Counter[str]] = defaultdict(Counter)
    for number, outcome in enumerate(outcomes):
        first, surname, born = outcome.posting.exact
        groups[outcome.posting.exact if first and surname and born else number][outcome.posting.human] += 1
    return groups


def _groups_of(groups: Mapping[object, Counter[str]]) -> Counter[str]:
    """Return in how many groups each human is: so often would agencies believe to be the first."""
    return Counter(human for group in groups.values() for human in group)
