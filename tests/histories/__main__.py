"""Run random histories of joined and parted cases, and tell the first that breaks a promise.

python -m tests.histories                    10,000 histories, then every planted bug
python -m tests.histories --histories N      so many; `--first S`: from this seed on
python -m tests.histories --seed S           one history, with its story
python -m tests.histories --only NAME …      these planted bugs
"""

from __future__ import annotations

import argparse
import sys
import time

from rich.console import Console
from rich.table import Table

from tests.histories import mutants
from tests.histories.history import first_broken, tell

HISTORIES = 10_000

console = Console(width=125)


def _explore(first: int, histories: int) -> bool:
    began = time.monotonic()
    done, violation = first_broken(first, histories)
    if violation:
        console.print(str(violation), highlight=False, markup=False)
    kept = "BROKEN" if violation else "every promise kept"
    console.print(f"{done:,} histories, {time.monotonic() - began:.0f} seconds: {kept}", highlight=False)
    return violation is None


def _mutants(names: list[str]) -> bool:
    table = Table("planted bug", "what it does", "breaks", "histories until found", "how")
    well = True
    for bug in mutants.BUGS:
        if bug.name in names:
            done, violation = mutants.find(bug.name)
            well = well and violation is not None
            broke = violation.promise.name if violation else "NOT FOUND"
            table.add_row(bug.name, bug.what, broke, f"{done:,}", violation.what if violation else "")
    console.print(table)
    return well


def _replay(seed: int) -> bool:
    violation, story = tell(seed)
    told = str(violation) if violation else "\n".join([*story, "every promise was kept"])
    console.print(told, highlight=False, markup=False)
    return violation is None


def main() -> int:
    """Return 0 if every promise was kept and every planted bug was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.histories")
    parser.add_argument("--histories", type=int, help="so many, and no planted bug")
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--seed", type=int, help="one history, with its story")
    parser.add_argument(
        "--only", nargs="+", choices=[b.name for b in mutants.BUGS], help="these planted bugs"
    )
    chosen = parser.parse_args()
    if chosen.seed is not None:
        return 0 if _replay(chosen.seed) else 1
    if chosen.only:
        return 0 if _mutants(chosen.only) else 1
    well = _explore(chosen.first, chosen.histories or HISTORIES)
    if chosen.histories is None:
        well = _mutants([bug.name for bug in mutants.BUGS]) and well
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
