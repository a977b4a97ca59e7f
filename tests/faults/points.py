"""Every numbered point at which a service can die, died at: `python -m tests.faults.points [--minutes M]`.

A point is (route, handler, timer or loop) x (before and after the commit, after sending, after the broker's acknowledgement,
around each outbound call, before the answer): see shared/runtime/crash.py. First the points that work passes are written
down; then each service is armed at one of its points, dies there by itself while agencies work, and is started again; and
the promise is checked as after any other fault. What was not passed again while armed is shown as not covered.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.arena import Arena, arena
from tests.faults.checker import check
from tests.faults.history import Episode
from tests.support.fleet import SERVICES
from tests.support.promise import Violation
from tests.support.stack import outside_place

TRIES = 3
DEATHS = 4


def say(text: str) -> None:
    """Print a line, now."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


async def work(one: Arena, number: int) -> list[Violation]:
    """Let agencies work for a while; return what was broken."""
    history = await Episode(one, number, ("nothing",)).run()
    await one.read_journals()
    return check(one, history)


async def armed(one: Arena, variables: Mapping[str, Mapping[str, str]]) -> None:
    """Start services again, each with variables of its own."""
    for name in variables:
        await asyncio.to_thread(one.onefriend.processes[name].stop)
    for name, more in variables.items():
        one.onefriend.processes[name].start(**more)
    await asyncio.gather(*(one.onefriend.processes[name].ready(240) for name in variables))


async def enumerate_points(one: Arena, folder: Path) -> dict[str, list[str]]:
    """Return the points of each service that work passes."""
    logs = {name: folder / f"points-{name}" for name in SERVICES}
    await armed(one, {name: {"ONEFRIEND_CRASH_LOG": str(log)} for name, log in logs.items()})
    for number in range(3):
        for violation in await work(one, number):
            say(str(violation))
    return {name: sorted(set(log.read_text().splitlines())) for name, log in logs.items()}


@dataclass
class Coverage:
    """Which points there are, which are left (with how many tries), and at which a service has died."""

    every: dict[str, list[str]]
    left: dict[str, list[tuple[str, int]]]
    died: list[tuple[str, str]] = field(default_factory=list)
    # What each service is armed at, and how often it has died in this history.
    at: dict[str, tuple[str, int]] = field(default_factory=dict)
    deaths: Counter[str] = field(default_factory=Counter)

    resting: Callable[[], bool] = lambda: False

    @classmethod
    def of(cls, points: dict[str, list[str]], one: Arena) -> Coverage:
        """Begin with none. While the arena winds down nobody who has died is armed again."""
        left = {name: [(point, 0) for point in found] for name, found in points.items()}
        return cls(points, left, resting=lambda: one.winding_down)

    def next(self, name: str) -> dict[str, str]:
        """Return what arms a service at its next point; nothing if it has died often enough in this history."""
        if not self.left[name] or self.deaths[name] >= DEATHS:
            return {}
        self.at[name] = self.left[name].pop(0)
        return {"ONEFRIEND_CRASH_AT": self.at[name][0]}

    def dead(self, name: str) -> dict[str, str]:
        """Note that a service has died where it was armed; return what arms it anew."""
        self.deaths[name] += 1
        if name in self.at:
            point, _ = self.at.pop(name)
            self.died.append((name, point))
            say(f"{len(self.died):4}/{self.count()}  {name:<14} {point}")
        return {} if self.resting() else self.next(name)

    def end_history(self) -> None:
        """Note the points that were not passed: they are tried again, later."""
        for name, (point, tries) in self.at.items():
            if tries + 1 < TRIES:
                self.left[name].append((point, tries + 1))
            else:
                say(f"           {name:<14} {point}: not passed in {TRIES} histories")
        self.at.clear()
        self.deaths.clear()

    def count(self) -> int:
        """Return how many points there are."""
        return sum(len(points) for points in self.every.values())

    def report(self, broken: int) -> None:
        """Say how many points were covered, and which were not."""
        share = 100 * len(self.died) / max(1, self.count())
        say(f"\ncovered {len(self.died)} of {self.count()} points ({share:.0f} %), broken promises {broken}")
        for name, points in self.every.items():
            for point in points:
                if (name, point) not in self.died:
                    say(f"  not covered: {name} {point}")


async def run(minutes: float) -> int:
    """Die at every point; return how many promises were broken."""
    broken = 0
    deadline = time.monotonic() + minutes * 60
    with outside_place() as place:
        async with arena(place, place.home / "provider.log", 7) as one:
            coverage = Coverage.of(await enumerate_points(one, place.home), one)
            one.onefriend.arm = coverage.dead
            number = 10
            while any(coverage.left.values()) and time.monotonic() < deadline:
                await armed(one, {name: coverage.next(name) for name in SERVICES})
                found = await work(one, number)
                coverage.end_history()
                number += 1
                broken += len(found)
                for violation in found:
                    say(str(violation))
            coverage.report(broken)
    return broken


def main() -> int:
    """Run; return 1 if any promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.points")
    parser.add_argument("--minutes", type=float, default=120, help="begin nothing after so many minutes")
    return 1 if asyncio.run(run(parser.parse_args().minutes)) else 0


if __name__ == "__main__":
    sys.exit(main())
