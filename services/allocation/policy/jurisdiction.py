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
BASES: Final[Mapping[str, Callable[[CaseFacts], tuple[str | None, ...]]]] = {
    "offence": lambda facts: facts.areas,
    "harmed_home": lambda facts: tuple(party.home_area for party in facts.parties if party.harmed),
    "responsible_home": lambda facts: tuple(party.home_area for party in facts.parties if party.responsible),
}
SAYS: Final = {
    "offence": "it happened in",
    "harmed_home": "the harmed person lives in",
    "responsible_home": "the responsible person lives in",
}


@dataclass(frozen=True, slots=True)
class Policies:
    """All partnerships of one set of files, checked. `version` is the national policy's."""

    partnerships: Mapping[str, Partnership]
    vocabulary: Vocabulary
    areas: Areas
    order: tuple[str, ...]
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
            named = [text for text in BASES[basis](facts) if text]
            found = {area.id: area for area in map(self.areas.find, named) if area is not None}
            claims = [
                p.id
                for p in self.partnerships.values()
                if any(set(area.within) & set(p.areas) for area in found.values())
            ]
            places = " and ".join(area.name for area in found.values())
            reason = (
                f"{SAYS[basis]} {places}"
                if places
                else f"no area is known in which {SAYS[basis].removesuffix(' in')}"
            )
            if len(claims) == 1:
                sentence = "; ".join([*passed, f"{reason}, which {self.partnerships[claims[0]].name} holds"])
                return Jurisdiction(
                    partnership=claims[0], connection=_basis(basis), sentence=_sentence(sentence)
                )
            if claims:
                sentence = "; ".join(
                    [*passed, f"{reason}: {' and '.join(claims)} both claim it, so {self.arbiter} decides"]
                )
                return Jurisdiction(
                    partnership=None, connection="arbiter", sentence=_sentence(sentence), arbiter=self.arbiter,
                    candidates=tuple(claims),
                )  # fmt: skip
            passed.append(f"{reason}, which no partnership covers" if places else reason)
        sentence = "; ".join([*passed, f"so {self.arbiter} decides"])
        return Jurisdiction(
            partnership=None, connection="arbiter", sentence=_sentence(sentence), arbiter=self.arbiter,
            candidates=tuple(self.partnerships),
        )  # fmt: skip


def _basis(text: str) -> Basis:
    return "offence" if text == "offence" else "harmed_home" if text == "harmed_home" else "responsible_home"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
