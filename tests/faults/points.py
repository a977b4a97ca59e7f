"""Every numbered point at which a service can die, died at: `python -m tests.faults.points [--minutes M] [--stacks N]`.

A point is (route, handler, timer or loop) x (before and after the commit, after sending, after the broker's acknowledgement,
around each outbound call, before the answer): see shared/runtime/crash.py. Every point that work passes is written down
while it works; each service dies at each of its points by itself (dying.py), the four of them at the same time, and after
each history the promise is checked as after any other fault. Once common points are done, every other history is a week
in which that comes about which takes days (days.py), as long as there is something declared that work has not passed yet.
Goes on where it was stopped, until nothing is left, or until work has not passed what is left in so many histories.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from deploy.local.place import Place
from tests.faults.__main__ import SLOW, finishing, say
from tests.faults.crew import Crew
from tests.faults.declared import declared
from tests.faults.dying import WEEK
from tests.faults.tally import Result, Tally
from tests.support.fleet import SERVICES

# Nobody has died at a new point in so many histories: what is left is not passed while armed, and is named as not covered.
IN_VAIN = 6
# Once services have died at such a part of what they pass, what is left is passed seldom, and is brought about.
COMMON = 0.8


@dataclass
class Coverage:
    """Which points there are, how often a service has died at each, and what came of the histories meanwhile."""

    every: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in SERVICES})
    died: dict[str, dict[str, int]] = field(default_factory=lambda: {name: {} for name in SERVICES})
    # What has been passed in weeks only (days.py).
    weekly: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in SERVICES})
    tally: Tally = field(default_factory=Tally)
    in_vain: int = 0

    @classmethod
    def read(cls, path: Path) -> Coverage:
        """Return what was covered before."""
        return msgspec.json.decode(path.read_bytes(), type=cls) if path.exists() else cls()

    def write(self, path: Path) -> None:
        """Keep it; a crash leaves the old one or the new."""
        draft = path.with_suffix(".new")
        draft.write_bytes(msgspec.json.encode(self))
        draft.replace(path)

    def left(self) -> dict[str, list[str]]:
        """Return the points of each service at which it has yet to die."""
        return {
            name: [point for point in points if point not in self.died[name]]
            for name, points in self.every.items()
        }

    def hoped(self, name: str, declares: set[str]) -> list[str]:
        """Return where a service may be armed besides: at what it declares and has not passed yet. It counts once passed."""
        committed = {point.replace("before_commit:", "after_commit:") for point in declares}
        return sorted((declares | committed) - self._passed(name))

    def unpassed(self, declares: dict[str, set[str]]) -> dict[str, set[str]]:
        """Return what each service declares and work has not passed yet."""
        return {name: has - self._passed(name) for name, has in declares.items()}

    def _passed(self, name: str) -> set[str]:
        """Return what a service has passed. A route of a router within a router goes by its path without the outer one's."""
        every = self.every[name]
        return {
            *every,
            *(point.replace(":/", ":/v1/", 1) for point in every if point.startswith("before_answer:/")),
        }

    def seldom(self) -> bool:
        """Whether what is left is passed seldom."""
        dead, every = self.counts()
        return every > 0 and dead >= COMMON * every

    def days(self, number: int) -> bool:
        """Whether the history of this number is a week: every other one, unless only weeks pass what is left."""
        if not self.seldom():
            return False
        left = {name: set(points) - set(self.weekly[name]) for name, points in self.left().items()}
        return not any(left.values()) or number % 2 == 1

    def add(self, answer: dict[str, Any]) -> list[str]:
        """Add a history; return the points that are new to the dead, as `service point`."""
        fresh = []
        for name in SERVICES:
            passed = {*answer["passed"][name], *answer["died"][name]}
            if answer["result"]["label"] == WEEK:
                self.weekly[name] += sorted(passed - set(self.every[name]))
            else:
                self.weekly[name] = [point for point in self.weekly[name] if point not in passed]
            self.every[name] = sorted({*self.every[name], *passed})
            for point in answer["died"][name]:
                fresh += [] if point in self.died[name] else [f"{name} {point}"]
                self.died[name][point] = self.died[name].get(point, 0) + 1
        self.tally.add(Result(**answer["result"]))
        self.in_vain = 0 if fresh or not self.tally.done[1:] else self.in_vain + 1
        return fresh

    def counts(self) -> tuple[int, int]:
        """Return how many points have been died at, and how many there are."""
        return sum(map(len, self.died.values())), sum(map(len, self.every.values()))

    def report(self) -> None:
        """Say how many points were covered, and which were not."""
        dead, every = self.counts()
        say(f"\ndied at {dead} of {every} points ({100 * dead / max(1, every):.1f} %)")
        say(f"{sum(sum(times.values()) for times in self.died.values())} deaths")
        for name, points in self.left().items():
            say(f"  {name}: {len(self.died[name])} of {len(self.every[name])}")
            for point in points:
                say(f"    not died at: {point}")
        for name, unpassed in self.unpassed(declared()).items():
            for point in sorted(unpassed):
                say(f"    work does not pass, of all that {name} declares: {point.partition(':')[2]}")
        say("\n" + self.tally.table())


async def run(coverage: Coverage, kept: Path, deadline: float, seed: int, stacks: int) -> None:
    """Die until nothing is left."""
    shared = 0
    declares = declared()

    def following() -> dict[str, Any] | None:
        nonlocal shared
        left = coverage.left()
        unpassed = coverage.unpassed(declares)
        nothing_left = coverage.tally.done and not any(left.values()) and not any(unpassed.values())
        if nothing_left or time.monotonic() > deadline or coverage.in_vain >= IN_VAIN * stacks:
            return None
        shared += 1
        many = sum(map(len, left.values())) > 10 * stacks
        # While there are many, those who work at once have different ones.
        mine = {name: points[shared % stacks :: stacks] if many else points for name, points in left.items()}
        return {
            "left": {name: [*points, *coverage.hoped(name, declares[name])] for name, points in mine.items()},
            "seldom": coverage.seldom(),
            "days": coverage.days(shared),
        }

    def done(_asked: Any, answer: dict[str, Any]) -> None:
        fresh = coverage.add(answer)
        coverage.write(kept)
        dead, every = coverage.counts()
        result = Result(**answer["result"])
        deaths = sum(map(len, answer["died"].values()))
        say(f"{dead:4}/{every}  {deaths:3} deaths, {len(fresh):3} at new points  {result.line()}")
        if result.converged_after > SLOW:
            say("      the last to arrive: " + "; ".join(result.last))
        say("      " + ", ".join(f"{part} {seconds}" for part, seconds in result.parts.items()))
        for _, text in result.broken:
            say(text)

    await Crew("tests.faults.dying", following, done).work(stacks, seed)


def main() -> int:
    """Run; return 1 if any promise was broken, or a point is left."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.points")
    parser.add_argument("--minutes", type=float, default=120, help="begin nothing after so many minutes")
    parser.add_argument("--stacks", type=int, default=2, help="how many stacks run at once")
    parser.add_argument("--anew", action="store_true", help="forget what was covered so far")
    asked = parser.parse_args()
    kept = Place.default().made().home / "crash-points.json"
    if asked.anew:
        kept.unlink(missing_ok=True)
    coverage = Coverage.read(kept)
    coverage.in_vain = 0
    seed = 7 + len(coverage.tally.done)
    with finishing():
        asyncio.run(run(coverage, kept, time.monotonic() + asked.minutes * 60, seed, asked.stacks))
    coverage.report()
    for story in coverage.tally.stories:
        say("\n" + story)
    return 1 if any(coverage.tally.harm.values()) or any(coverage.left().values()) else 0


if __name__ == "__main__":
    sys.exit(main())
