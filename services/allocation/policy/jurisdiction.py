"""Which partnership holds a case: never two, and where rules do not say, a named arbiter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from services.allocation.policy.facts import CaseFacts
from services.allocation.policy.model import Partnership
from services.allocation.policy.problems import FactsError, nearest
from services.allocation.policy.proposal import Jurisdiction
from services.allocation.policy.vocabulary import Areas, Vocabulary

Basis = Literal["offence", "harmed_home", "responsible_home"]
BASES: Final[Mapping[Basis, Callable[[CaseFacts], tuple[str | None, ...]]]] = {
    "offence": lambda facts: facts.areas,
    "harmed_home": lambda facts: tuple(party.home_area for party in facts.parties if party.harmed),
    "responsible_home": lambda facts: tuple(party.home_area for party in facts.parties if party.responsible),
}
SAYS: Final[Mapping[Basis, str]] = {
    "offence": "it happened in",
    "harmed_home": "the harmed person lives in",
    "responsible_home": "the responsible person lives in",
}


@dataclass(frozen=True, slots=True)
class Policies:
    """All partnerships of one set of files, checked. `holders`: who claims each area; `version` is the national policy's."""

    partnerships: Mapping[str, Partnership]
    vocabulary: Vocabulary
    areas: Areas
    holders: Mapping[str, tuple[str, ...]]
    order: tuple[Basis, ...]
    arbiter: str
    version: str

    def partnership(self, partnership_id: str) -> Partnership:
        """One partnership; `FactsError` names the nearest if there is none of this id."""
        found = self.partnerships.get(partnership_id)
        if found is None:
            raise FactsError(
                f"there is no partnership '{partnership_id}': {nearest(partnership_id, self.partnerships)}"
            )
        return found

    def jurisdiction(self, facts: CaseFacts) -> Jurisdiction:
        """The partnership that holds the case, by the first connection that any has; a tie goes to the arbiter."""
        passed: list[str] = []
        for basis in self.order:
            found = {
                area.id: area for text in BASES[basis](facts) if (area := self.areas.find(text)) is not None
            }
            claims = tuple(dict.fromkeys(holder for area in found for holder in self.holders.get(area, ())))
            places = " and ".join(area.name for area in found.values())
            if len(claims) == 1:
                held = f"{SAYS[basis]} {places}, which {self.partnerships[claims[0]].name} holds"
                return Jurisdiction(
                    partnership=claims[0], connection=basis, sentence=_sentence([*passed, held])
                )
            if claims:
                tie = (
                    f"{SAYS[basis]} {places}: {' and '.join(claims)} both claim it, so {self.arbiter} decides"
                )
                return self._undecided([*passed, tie], claims)
            nowhere = f"no area is known in which {SAYS[basis].removesuffix(' in')}"
            passed.append(f"{SAYS[basis]} {places}, which no partnership covers" if places else nowhere)
        return self._undecided([*passed, f"so {self.arbiter} decides"], tuple(self.partnerships))

    def _undecided(self, parts: list[str], candidates: tuple[str, ...]) -> Jurisdiction:
        return Jurisdiction(
            partnership=None,
            connection="arbiter",
            sentence=_sentence(parts),
            arbiter=self.arbiter,
            candidates=candidates,
        )


def holders_of(partnerships: Mapping[str, Partnership], areas: Areas) -> dict[str, tuple[str, ...]]:
    """For each area, the partnerships that cover it or what contains it."""
    return {
        area.id: tuple(p.id for p in partnerships.values() if set(area.within) & set(p.areas))
        for area in areas.by_id.values()
    }


def _sentence(parts: list[str]) -> str:
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."
