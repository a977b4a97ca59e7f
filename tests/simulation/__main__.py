"""Simulate many histories, and tell the first that breaks a promise.

python -m tests.simulation                       2,000 histories, seeds from 1
python -m tests.simulation --histories 100000    a long run
python -m tests.simulation --seed 17             one history again, with its whole story
python -m tests.simulation --mutants             every planted bug, until it is found
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tests.simulation import mutants

CHUNK = 25
console = Console(width=125)


def _chunk(first: int, count: int) -> list[Any]:
    """Run some histories in this process; stops at one that breaks a promise."""
    from tests.simulation.history import run  # noqa: PLC0415 - costs a second

    found: list[Any] = []
    for seed in range(first, first + count):
        found.append(run(seed))
        if found[-1].violation is not None:
            break
    return found


def simulate(histories: int, first: int, workers: int) -> int:
    """Run histories on several cores. Returns 0 if every promise was kept."""
    began = time.perf_counter()
    outcomes: list[Any] = []
    columns = (TextColumn("histories"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    chunks = [(seed, min(CHUNK, first + histories - seed)) for seed in range(first, first + histories, CHUNK)]
    with Progress(*columns, console=console) as progress, ProcessPoolExecutor(workers) as pool:
        task = progress.add_task("", total=histories)
        running = [pool.submit(_chunk, *chunk) for chunk in chunks]
        for future in running:
            outcomes += future.result()
            progress.update(task, completed=len(outcomes))
            if any(o.violation is not None for o in outcomes[-CHUNK:]):
                for other in running:
                    other.cancel()
                break
    broken = [o for o in outcomes if o.violation is not None]
    total = {
        name: sum(getattr(o, name) for o in outcomes)
        for name in ("contacts", "refused", "withdrawals", "kills")
    }
    cpu = sum(o.seconds for o in outcomes)
    wall = time.perf_counter() - began
    console.print(
        f"{len(outcomes):,} histories: {total['contacts']:,} contacts, {total['refused']:,} permits refused, "
        f"{total['withdrawals']:,} withdrawals answered, {total['kills']:,} processes killed"
    )
    console.print(
        f"{len(outcomes) / wall:.1f} histories/s on {workers} cores, {len(outcomes) / cpu:.1f} per second of one core"
    )
    for outcome in broken:
        console.print(f"seed {outcome.seed}: {outcome.violation}")
    return 1 if broken else 0


def replay(seed: int) -> int:
    """Run one history again and tell all of it."""
    from tests.simulation.history import run  # noqa: PLC0415 - costs a second

    outcome = run(seed, keep=True)
    for line in outcome.story:
        console.print(line, highlight=False, markup=False)
    console.print(str(outcome.violation or "every promise was kept"))
    return 1 if outcome.violation else 0


def find(name: str, most: int) -> tuple[str, str, int, str]:
    """Run histories with a planted bug, in a process of its own, until one breaks a promise."""
    with ProcessPoolExecutor(1) as pool:
        return pool.submit(_find_here, name, most).result()


def _find_here(name: str, most: int) -> tuple[str, str, int, str]:
    mutants.plant(name)
    from tests.simulation.history import run  # noqa: PLC0415 - only now: what it imports has the bug

    for seed in range(1, most + 1):
        try:
            broken = run(seed).violation
        except Exception as error:  # noqa: BLE001 - a bug may also show itself as an error that no fault explains
            return name, "an error", seed, f"{type(error).__name__}: {str(error).splitlines()[-1][:90]}"
        if broken is not None:
            return name, broken.promise.name, seed, broken.what
    return name, "NOT FOUND", most, ""


def main() -> int:
    """Return 0 if all is well."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--histories", type=int, default=2000)
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--seed", type=int, help="one history again")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--mutants", action="store_true", help="find every planted bug")
    parser.add_argument("--only", nargs="+", help="these planted bugs")
    chosen = parser.parse_args()
    if os.environ.get("PYTHONHASHSEED") != "0":
        # The order of a set of texts must be the same in every process, or a history would not replay.
        os.execve(  # noqa: S606 - this program again
            sys.executable,
            [sys.executable, "-m", "tests.simulation", *sys.argv[1:]],
            os.environ | {"PYTHONHASHSEED": "0"},
        )
    if chosen.seed is not None:
        return replay(chosen.seed)
    if chosen.mutants or chosen.only:
        return mutants.table(console, partial(find, most=chosen.histories), chosen.only)
    return simulate(chosen.histories, chosen.first, chosen.workers)


if __name__ == "__main__":
    sys.exit(main())
