"""Simulate many histories, and tell the first that breaks a promise.

python -m tests.simulation                       2,000 histories, seeds from 1
python -m tests.simulation --long                100,000; goes on where it was stopped, and past a broken promise
python -m tests.simulation --seed 17             one history again, with its whole story
python -m tests.simulation --mutants             every planted bug, until it is found
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from deploy.local.place import Place
from tests.simulation import mutants
from tests.simulation.tally import Outcome, Tally, commit, digest

CHUNK = 25
HISTORIES, LONG_HISTORIES = 2_000, 100_000
# Within so many histories a planted bug must show itself.
MOST = 2_000
console = Console(width=125)


def _chunk(first: int, count: int) -> list[Outcome]:
    """Run some histories in this process."""
    from tests.simulation.history import run  # noqa: PLC0415 - costs a second

    found = []
    for seed in range(first, first + count):
        try:
            found.append(run(seed))
        except Exception as error:  # noqa: BLE001 - an error that no fault explains is found out like a broken promise
            text = str(error).strip() or "without a word"
            found.append(Outcome(seed, "error", f"{type(error).__name__}: {text}"))
    return found


def simulate(histories: int, first: int, workers: int, kept: Path | None) -> int:
    """Run histories on several cores, in the order of their seeds. Returns 0 if every promise was kept.

    `kept` is where a long run is kept: it goes on from there, and past what is broken. Any other stops at the first.
    """
    tally = Tally.read(kept) if kept else Tally()
    source = f"{commit()} ({digest()})"
    if tally.sources and source not in tally.sources:
        console.print(f"Begun on {', '.join(tally.sources)}; goes on with {source}. --anew begins again.")
    with suppress(KeyboardInterrupt):
        _work_off(tally, source, histories, first, workers, kept)
    console.print(tally.table(workers), highlight=False, markup=False)
    for story in tally.stories:
        console.print(story, highlight=False, markup=False)
    return 1 if tally.stories else 0


def _work_off(tally: Tally, source: str, histories: int, first: int, workers: int, kept: Path | None) -> None:
    began, before = time.monotonic(), tally.wall
    last = first + histories
    columns = (TextColumn("histories"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress, ProcessPoolExecutor(workers) as pool:
        task = progress.add_task("", total=histories, completed=tally.done)
        following, running = first + tally.done, list[Future[list[Outcome]]]()
        while following < last or running:
            while following < last and len(running) < 3 * workers:
                count = min(CHUNK, last - following)
                running.append(pool.submit(_chunk, following, count))
                following += count
            for outcome in running.pop(0).result():
                tally.add(outcome, source)
            tally.wall = before + time.monotonic() - began
            progress.update(task, completed=tally.done)
            if kept:
                tally.write(kept)
            elif tally.stories:
                for other in running:
                    other.cancel()
                return


def replay(seed: int) -> int:
    """Run one history again and tell all of it."""
    from tests.simulation.history import run  # noqa: PLC0415 - costs a second

    outcome = run(seed, keep=True)
    for line in outcome.story:
        console.print(line, highlight=False, markup=False)
    console.print(outcome.what or "every promise was kept")
    return 1 if outcome.broken else 0


def find(name: str, most: int) -> tuple[str, str, int, str]:
    """Run histories with a planted bug, in a process of its own, until one breaks a promise."""
    with ProcessPoolExecutor(1) as pool:
        return pool.submit(_find_here, name, most).result()


def _find_here(name: str, most: int) -> tuple[str, str, int, str]:
    mutants.plant(name)
    from tests.simulation.history import run  # noqa: PLC0415 - only now: what it imports has the bug

    for seed in range(1, most + 1):
        try:
            outcome = run(seed)
        except Exception as error:  # noqa: BLE001 - a bug may also show itself as an error that no fault explains
            return name, "an error", seed, f"{type(error).__name__}: {str(error).splitlines()[-1][:90]}"
        if outcome.broken:
            return name, outcome.broken, seed, outcome.what.partition(": ")[2].splitlines()[0]
    return name, "NOT FOUND", most, ""


def main() -> int:
    """Return 0 if all is well."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--histories", type=int)
    parser.add_argument("--long", action="store_true", help="100,000 histories; goes on where it was stopped")
    parser.add_argument("--anew", action="store_true", help="forget what a long run has done so far")
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
        return mutants.table(console, partial(find, most=chosen.histories or MOST), chosen.only)
    kept = Place.default().home / "simulate-long.json" if chosen.long else None
    if kept and chosen.anew:
        kept.unlink(missing_ok=True)
    histories = chosen.histories or (LONG_HISTORIES if kept else HISTORIES)
    return simulate(histories, 1 if kept else chosen.first, chosen.workers, kept)


if __name__ == "__main__":
    sys.exit(main())
