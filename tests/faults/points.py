"""Every numbered point at which a service can die, died at: `python -m tests.faults.points [--minutes M]`.

A point is (route, handler, timer or loop) x (before and after the commit, after sending, after the broker's acknowledgement,
around each outbound call, before the answer): see shared/runtime/crash.py. First the points that work passes are written
down; then each service in turn is armed at a point, killed there by itself while agencies work, and started again; and the
promise is checked as after any other fault. What was not passed again while armed is shown as not covered.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tests.faults.arena import Arena, arena
from tests.faults.checker import check
from tests.faults.history import Episode
from tests.support.fleet import SERVICES
from tests.support.promise import Violation
from tests.support.stack import outside_place

TRIES = 3


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


async def run(minutes: float) -> int:
    """Die at every point; return how many promises were broken."""
    broken = 0
    deadline = time.monotonic() + minutes * 60
    with outside_place() as place:
        async with arena(place, place.home / "provider.log", 7) as one:
            points = await enumerate_points(one, place.home)
            every = [(name, point) for name in SERVICES for point in points[name]]
            say(
                f"{len(every)} points: " + ", ".join(f"{name} {len(found)}" for name, found in points.items())
            )
            todo = {name: [(point, 0) for point in found] for name, found in points.items()}
            died: list[tuple[str, str]] = []
            number = 10
            while any(todo.values()) and time.monotonic() < deadline:
                # One service each time: two that die at once would hide which one broke what.
                name = max(todo, key=lambda n: len(todo[n]))
                point, tries = todo[name].pop(0)
                before = one.onefriend.deaths.get(name, 0)
                await armed(one, {name: {"ONEFRIEND_CRASH_AT": point}})
                found = await work(one, number)
                number += 1
                hit = one.onefriend.deaths.get(name, 0) > before
                if hit:
                    died.append((name, point))
                elif tries + 1 < TRIES:
                    todo[name].append((point, tries + 1))
                broken += len(found)
                say(f"{len(died):4}/{len(every)}  {name:<14} {point:<60} {'died' if hit else 'not passed'}")
                for violation in found:
                    say(str(violation))
            share = 100 * len(died) / max(1, len(every))
            say(f"\ncovered {len(died)} of {len(every)} points ({share:.0f} %), broken promises {broken}")
            for name, point in sorted(set(every) - set(died)):
                say(f"  not covered: {name} {point}")
    return broken


def main() -> int:
    """Run; return 1 if any promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.points")
    parser.add_argument("--minutes", type=float, default=120, help="begin nothing after so many minutes")
    return 1 if asyncio.run(run(parser.parse_args().minutes)) else 0


if __name__ == "__main__":
    sys.exit(main())
