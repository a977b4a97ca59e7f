"""Histories on several running stacks: `python -m tests.faults [--long] [--minutes M] [--only NAME] [--stacks N]`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from deploy.local.place import Place
from tests.faults.crew import Crew, OutOfWorkers
from tests.faults.faults import FAULTS
from tests.faults.tally import Result, Tally
from tests.faults.worker import label
from tests.support.promise import Promise

LONG_HISTORIES = 320
SLOW = 15.0
TRIES = 3


def say(text: str) -> None:
    """Print a line, now."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def plan(*, long: bool, seed: int) -> list[tuple[str, ...]]:
    """Return which faults each history has: every one alone, then pairs; a long run has all of both."""
    names = [name for name in FAULTS if name != "nothing"]
    draw = random.Random(seed)
    alone = [(name,) for name in ["nothing", *names]]
    pairs = list(itertools.permutations(names, 2))
    draw.shuffle(alone)
    draw.shuffle(pairs)
    if not long:
        return [one for both in zip(alone, pairs, strict=False) for one in both]
    return [*alone, *pairs[: LONG_HISTORIES - len(alone)]]


@contextlib.contextmanager
def finishing() -> Iterator[None]:
    """Go on to the table, whatever ends the work."""
    try:
        yield
    except KeyboardInterrupt:
        say("\nstopped")
    except OutOfWorkers as error:
        say(f"\n{error}")


async def run(
    plans: list[tuple[str, ...]],
    tally: Tally,
    kept: Path | None,
    deadline: float,
    seed: int,
    stacks: int = 1,
    *,
    parts: bool = False,
) -> None:
    """Run what is left of the plan on so many stacks at once, until the time is over. `parts`: say when each part ended."""
    todo = [faults for faults in plans if label(faults) not in tally.done]
    began, before = time.monotonic(), len(tally.done)

    def following() -> list[str] | None:
        return list(todo.pop(0)) if todo and time.monotonic() < deadline else None

    def done(asked: list[str], answer: dict[str, object]) -> None:
        result = Result(**answer)  # type: ignore[arg-type]
        tally.add(result)
        again = sum(line.startswith(f"{result.label}: ") for line in tally.broke_off)
        if result.broke_off and again < TRIES:
            todo.append(tuple(asked))
        if kept:
            tally.write(kept)
        pace = (time.monotonic() - began) / max(1, len(tally.done) - before)
        left = f"{pace * len(todo) / 60:3.0f} min left" if kept else ""
        say(f"{len(tally.done):4}/{len(plans)}  {left}  {result.line()}")
        if parts:
            say("      " + ", ".join(f"{part} {seconds}" for part, seconds in result.parts.items()))
        if result.converged_after > SLOW:
            say("      the last to arrive: " + "; ".join(result.last))
        for _, text in result.broken:
            say(text)

    crew = Crew("tests.faults.worker", following, done)
    await crew.work(min(stacks, len(todo)), seed)


def main() -> int:
    """Run; return 1 if any promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    parser.add_argument(
        "--long", action="store_true", help="every fault alone and in pairs; goes on where it was stopped"
    )
    parser.add_argument("--minutes", type=float, default=None, help="begin no history after so many minutes")
    parser.add_argument("--only", action="append", help="histories with this fault (or `one + other`) only")
    parser.add_argument("--stacks", type=int, default=2, help="how many stacks run at once")
    parser.add_argument("--seed", type=int, default=None, help="what is drawn; the day's date unless told")
    parser.add_argument("--anew", action="store_true", help="forget what a long run has done so far")
    parser.add_argument("--parts", action="store_true", help="say when each part of a history ended")
    asked = parser.parse_args()
    seed = asked.seed if asked.seed is not None else int(time.strftime("%Y%m%d"))
    kept = Place.default().made().home / "faults-long.json" if asked.long else None
    if kept and asked.anew:
        kept.unlink(missing_ok=True)
    tally = Tally.read(kept) if kept else Tally()
    plans = (
        [tuple(only.split(" + ")) for only in asked.only]
        if asked.only
        else plan(long=asked.long, seed=1 if asked.long else seed)
    )
    minutes = asked.minutes or (1e6 if asked.long else 9.0)
    with finishing():
        asyncio.run(
            run(
                plans,
                tally,
                kept,
                time.monotonic() + minutes * 60,
                seed + len(tally.done),
                asked.stacks,
                parts=asked.parts,
            )
        )
    say("\n" + tally.table())
    for story in tally.stories if kept else []:
        say("\n" + story)
    unshown = [faults for faults in plans if label(faults) not in tally.done]
    if asked.long and unshown:
        say(f"\nleft for another time: {len(unshown)}")
    return 1 if any(tally.harm[promise.name] for promise in Promise) else 0


if __name__ == "__main__":
    sys.exit(main())
