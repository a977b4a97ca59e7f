"""How often two reviewers who do not know of each other say the same: the measure of what a decision is worth. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Agreement:
    """`share`: of pairs that agree. `kappa`: Cohen's, what is left of that when chance is taken away (1 = all of it)."""

    pairs: int
    agreed: int
    share: float | None
    kappa: float | None


def agreement(pairs: Sequence[tuple[str, str]]) -> Agreement:
    """Return the agreement of pairs of answers to the same question.

    None where it cannot be said: without pairs, or (kappa) where everybody always gave one and the same answer, so that
    chance alone would agree as well.
    """
    count = len(pairs)
    if not count:
        return Agreement(0, 0, None, None)
    agreed = sum(one == other for one, other in pairs)
    first, second = Counter(one for one, _ in pairs), Counter(other for _, other in pairs)
    by_chance = sum(first[answer] * second[answer] for answer in first) / count**2
    share = agreed / count
    kappa = (share - by_chance) / (1 - by_chance) if by_chance < 1 else None
    return Agreement(count, agreed, share, kappa)
