"""Explore, and tell what was found.

python -m tests.exploration            every alphabet (at least a million distinct states), then every wrong variant
python -m tests.exploration --small    smaller bounds (seconds)
python -m tests.exploration --only X   one alphabet, or one wrong variant with its story
"""

from __future__ import annotations

import argparse
import sys

from rich.console import Console
from rich.table import Table

from tests.exploration.alphabets import ALPHABETS, Alphabet
from tests.exploration.explore import Exploration, Found
from tests.exploration.mutants import MUTANTS, Mutant
from tests.exploration.rules import wrong

STATES = 170_000
"""For each alphabet, in the full bounds."""
MUTANT_STATES = 400_000

console = Console(width=125)


def explore(alphabet: Alphabet, *, small: bool) -> Found:
    """Explore one alphabet with the rules as they are."""
    exploration = Exploration(alphabet)
    return exploration.run(depth=alphabet.small) if small else exploration.run(states=STATES)


def find(mutant: Mutant) -> Found:
    """Explore a wrong variant until it breaks a promise."""
    alphabet = next(a for a in ALPHABETS if a.name == mutant.where)
    return Exploration(alphabet, wrong(*mutant.patches)).run(states=MUTANT_STATES)


def right(mutant: Mutant, found: Found) -> bool:
    """Say whether a wrong variant was found, by the promise that it breaks."""
    return found.violation is not None and found.violation.promise.name == mutant.breaks


def _alphabets(chosen: list[Alphabet], *, small: bool) -> bool:
    table = Table(
        "alphabet", "distinct states", "steps", "depth", "seconds", "every step happened", "promise"
    )
    states, well = 0, True
    for alphabet in chosen:
        found = explore(alphabet, small=small)
        states += found.states
        well = well and found.violation is None
        kept = "kept" if found.violation is None else "BROKEN"
        table.add_row(
            alphabet.name, f"{found.states:,}", f"{found.steps:,}", str(found.depth), f"{found.seconds:.0f}",
            f"{len(found.happened)} kinds", kept,
        )  # fmt: skip
        if found.violation is not None:
            console.print(str(found.violation))
    console.print(table)
    console.print(f"{states:,} distinct states")
    return well


def _mutants(chosen: list[Mutant], *, tell: bool) -> bool:
    table = Table(
        "wrong variant", "the rule that it switches off", "breaks", "states until found", "steps long"
    )
    well = True
    for mutant in chosen:
        found = find(mutant)
        well = well and right(mutant, found)
        broke = found.violation.promise.name if found.violation else "NOT FOUND"
        long = str(len(found.violation.story) - 1) if found.violation else "-"
        table.add_row(mutant.name, mutant.rule, broke, f"{found.states:,}", long)
        if tell or not right(mutant, found):
            console.print(str(found.violation))
    console.print(table)
    return well


def main() -> int:
    """Return 0 if every promise was kept and every wrong variant was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.exploration")
    parser.add_argument("--small", action="store_true", help="smaller bounds")
    parser.add_argument("--only", help="one alphabet or one wrong variant")
    chosen = parser.parse_args()
    alphabets = [a for a in ALPHABETS if chosen.only in {None, a.name}]
    mutants = [m for m in MUTANTS if chosen.only in {None, m.name}]
    if not alphabets and not mutants:
        parser.error(f"there is no alphabet and no wrong variant called {chosen.only}")
    well = _alphabets(alphabets, small=chosen.small) if alphabets else True
    if mutants:
        well = _mutants(mutants, tell=chosen.only is not None) and well
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
