"""What is wrong with a policy file, said so that the person who wrote it can mend it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake: where it is (file and line, from 1), what is wrong, and what would be right."""

    file: str
    line: int
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what}: {self.remedy}"


class PolicyErrors(Exception):
    """Every problem of a set of policy files at once; nothing of the set is used."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class FactsError(ValueError):
    """Facts about a case that no policy can be asked about; the message names the fact and the remedy."""


def nearest(word: str, allowed: Iterable[str]) -> str:
    """A remedy that lists what may stand here, the likeliest first: `did you mean 'custody'? one of …`."""
    choices = sorted(allowed)
    likely = get_close_matches(word, choices, n=1)
    hint = f"did you mean '{likely[0]}'? " if likely else ""
    if not choices:
        return f"{hint}there is nothing that may stand here: leave it out"
    return f"{hint}write one of {', '.join(choices)}"
