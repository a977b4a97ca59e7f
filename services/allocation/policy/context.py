"""A case's facts as the values that conditions ask about.

A condition about the harmed (the responsible) holds if one harmed (responsible) party has all the values that the rule asks
for of it; in a section that decides for one party, it is that party.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from services.allocation.policy.agencies import Agencies
from services.allocation.policy.facts import CaseFacts, PartyFacts
from services.allocation.policy.model import Area, Condition, Partnership, Rule
from services.allocation.policy.problems import FactsError

Values = Mapping[str, tuple[str, ...]]
OTHER: Final = "other"
SELF: Final = "self"
"""Who refers themselves are their own referrer: the one agency that nobody registers."""
AGES: Final = {"under_10": "under_18", "10_to_17": "under_18", "18_to_24": "adult", "25_or_over": "adult"}
SUPERVISING: Final = {"crc", "nps", "yot", "prison"}
COURT_DATES: Final = ("hearing", "adjourned_to", "deferred_to")


@dataclass(frozen=True, slots=True)
class Side:
    """One harmed or one responsible party; `party` is None where nobody is known."""

    values: Values
    party: PartyFacts | None


class Match(NamedTuple):
    """`failed` is None if the rule applies, to these parties; else the first condition that failed and what was found."""

    harmed: tuple[Side, ...]
    responsible: tuple[Side, ...]
    failed: Condition | None = None
    found: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class View:
    """What the rules of one section see: `flat` is the case's, the deciding party's and earlier decisions' values."""

    flat: Values
    harmed: tuple[Side, ...]
    responsible: tuple[Side, ...]

    def knowing(self, values: Values) -> View:
        """The same with more values."""
        return View({**self.flat, **values}, self.harmed, self.responsible)

    def values_of(self, names: tuple[str, ...]) -> tuple[tuple[str, ...], ...] | None:
        """The values of some conditions; None where several parties make it more than one value each."""
        if len(self.harmed) != 1 or len(self.responsible) != 1:
            return None
        flat, harmed, responsible = self.flat, self.harmed[0].values, self.responsible[0].values
        return tuple(
            [
                flat[name] if name in flat else harmed[name] if name in harmed else responsible[name]
                for name in names
            ]
        )

    def match(self, rule: Rule) -> Match:
        """Whether the rule applies, to which parties; or the first condition that fails."""
        harmed, responsible = self.harmed, self.responsible
        for condition in rule.conditions:
            about, name, allowed = condition.attribute.about, condition.attribute.name, condition.allowed
            if about == "harmed":
                before, harmed = (
                    harmed,
                    tuple(side for side in harmed if not allowed.isdisjoint(side.values[name])),
                )
                if not harmed:
                    return Match((), (), condition, _distinct(before, name))
            elif about == "responsible":
                before, responsible = (
                    responsible,
                    tuple(s for s in responsible if not allowed.isdisjoint(s.values[name])),
                )
                if not responsible:
                    return Match((), (), condition, _distinct(before, name))
            elif allowed.isdisjoint(self.flat[name]):
                return Match((), (), condition, self.flat[name])
        return Match(harmed, responsible)


def view_of(partnership: Partnership, facts: CaseFacts, agencies: Agencies, connection: str | None) -> View:
    """The case as the first sections see it, before anything is derived or decided."""
    area, basis = place_in(partnership, facts)
    partners = partnership.partners
    referrer = facts.referred_by if facts.referred_by is not None and facts.referred_by in partners else OTHER
    kind = facts.referred_by_kind or _kind(partnership, agencies, facts.referred_by) or OTHER
    programme = facts.programme or "none"
    responsible = [party for party in facts.parties if party.responsible]
    dates = any(name in facts.deadlines for name in COURT_DATES)
    flat = {
        "offence": (facts.offence,),
        "sensitive": facts.sensitive or ("none",),
        "complex": (_yes(bool(facts.sensitive)),),
        "stage": (facts.stage,),
        "initiated_by": (facts.initiated_by,),
        "referred_by": (referrer,),
        "referred_by_kind": (kind,),
        "programme": (programme,),
        "plea": (facts.plea,),
        "area": area.within if area is not None else (partnership.areas[0],),
        "connection": (connection or basis,),
        "explicit_agreement": ("given" if facts.explicit_agreement else "missing",),
        "remedy_document": ("chosen" if facts.chosen_on_remedy_document else "not_chosen",),
        "court_date": ("known" if dates else "not_known",),
        "any_identified": (_yes(any(party.identified for party in responsible)),),
        "any_admitted": (_best(party.admitted for party in responsible),),
        "any_willing": (_best(party.willing for party in responsible),),
    }
    domains = partnership.domains
    harmed = tuple(
        Side(_fit(_harmed_values(party), domains), party) for party in facts.parties if party.harmed
    )
    sides = tuple(
        Side(_fit(responsible_values(partnership, agencies, party), domains), party) for party in responsible
    )
    return View(_fit(flat, domains), harmed, sides or (Side(NOBODY, None),))


def _fit(values: Values, domains: Mapping[str, frozenset[str]]) -> Values:
    """Every value is one that rules were checked against; a new word counts as `other` or `unknown` where there is such."""
    fitted: dict[str, tuple[str, ...]] = {}
    for name, given in values.items():
        domain = domains[name]
        if domain.issuperset(given):
            fitted[name] = given
            continue
        stand_in = next((word for word in (OTHER, "unknown") if word in domain), None)
        if stand_in is None:
            wrong = ", ".join(sorted(set(given) - domain))
            raise FactsError(f"{name} '{wrong}' is unknown: give {', '.join(sorted(domain))}")
        fitted[name] = tuple(dict.fromkeys(value if value in domain else stand_in for value in given))
    return fitted


def party_values(party: PartyFacts, role: str) -> Values:
    """What sections that decide for one party know of it."""
    return {
        "party": (role,),
        "party_age": (AGES.get(party.age_band, "unknown"),),
        "party_in_custody": (_yes(party.custody_agency is not None),),
    }


def responsible_values(partnership: Partnership, agencies: Agencies, party: PartyFacts) -> Values:
    """A responsible party, `supervised_by` still as the referral has it (empty: the national rules derive it)."""
    kind = party.supervising_kind or _kind(partnership, agencies, party.supervising_agency)
    supervisor = party.supervising_agency if party.supervising_agency in partnership.partners else OTHER
    holder = party.custody_agency if party.custody_agency in partnership.partners else OTHER
    return {
        "responsible_identified": (_yes(party.identified),),
        "responsible_age": (AGES.get(party.age_band, "unknown"),),
        "responsible_risk": (party.risk,),
        "responsible_admitted": (_known(party.admitted),),
        "responsible_willing": (_known(party.willing),),
        "responsible_in_custody": (_yes(party.custody_agency is not None),),
        "held_in": (holder or OTHER,),
        "responsible_needs": party.needs or ("none",),
        "responsible_prior_contact": (party.prior_contact,),
        "supervised_by": (kind,) if kind in SUPERVISING and kind is not None else (),
        "supervisor": (supervisor or OTHER,),
    }


NOBODY: Final[Values] = {
    "responsible_identified": ("no",),
    "responsible_age": ("unknown",),
    "responsible_risk": ("unknown",),
    "responsible_admitted": ("unknown",),
    "responsible_willing": ("unknown",),
    "responsible_in_custody": ("no",),
    "held_in": (OTHER,),
    "responsible_needs": ("none",),
    "responsible_prior_contact": ("none",),
    "supervised_by": (),
    "supervisor": (OTHER,),
}


def _harmed_values(party: PartyFacts) -> Values:
    return {
        "harmed_age": (AGES.get(party.age_band, "unknown"),),
        "harmed_prior_contact": (party.prior_contact,),
        "harmed_rights": ("enhanced" if party.enhanced_rights else "standard",),
        "harmed_vulnerable": (_yes(party.vulnerable),),
        "liaison_officer": (_yes(party.liaison_agency is not None or party.liaison_officer is not None),),
    }


def _kind(partnership: Partnership, agencies: Agencies, agency_id: str | None) -> str | None:
    if agency_id is None or agency_id == SELF:
        return agency_id
    agency = agencies.find(agency_id)
    if agency is not None:
        return agency.kind
    partner = partnership.partners.get(agency_id)
    return partner.kind if partner is not None else OTHER


def place_in(partnership: Partnership, facts: CaseFacts) -> tuple[Area | None, str]:
    """The first place of the case that the partnership covers, and what the case has to do with it."""
    claims = (
        ("offence", facts.areas),
        ("harmed_home", [party.home_area for party in facts.parties if party.harmed]),
        ("responsible_home", [party.home_area for party in facts.parties if party.responsible]),
    )
    for basis, names in claims:
        for name in names:
            area = partnership.places.get(name.strip().casefold()) if name else None
            if area is not None:
                return area, basis
    return None, "arbiter"


def _best(answers: Iterable[bool | None]) -> str:
    given = set(answers)
    return "yes" if True in given else "unknown" if None in given or not given else "no"


def _known(answer: bool | None) -> str:  # noqa: FBT001  None is the third answer
    return "unknown" if answer is None else _yes(answer)


def _yes(answer: bool) -> str:  # noqa: FBT001 - the answer is what it says in words
    return "yes" if answer else "no"


def _distinct(sides: tuple[Side, ...], name: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value for side in sides for value in side.values[name]))
