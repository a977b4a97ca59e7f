"""One stack whose services die at numbered points while agencies work: `python -m tests.faults.dying SEED`; see points.py.

Reads a line of JSON for each history, `{"left": {"consent": ["before_commit:case.created.v1", …], …}, "seldom": false,
"days": false}`: the points at which each service has yet to die. Each process is armed at some of them, dies at whichever
it passes first, is started again half a second later armed at others, and so on until it has died often enough in this
history. Once only such points are left as work seldom passes (`seldom`), a process is armed at all of them, what makes it
pass them is brought about (seldom.py), and one that has lived for a while without dying is killed, to be given another
go. A history of `days` is a week (days.py), on a stack of its own because its clocks are put forward; nobody is killed in
it for not dying, because each of its days comes once. Writes what came of it, as one line.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.arena import Arena, arena
from tests.faults.days import Days
from tests.faults.errands import Clerk
from tests.faults.seldom import Seldom, seldom
from tests.faults.tally import Result
from tests.faults.worker import PER_STACK, Line, one_history
from tests.support.fleet import SERVICES
from tests.support.running import slack
from tests.support.stack import outside_place

# So often a service dies in one history: after that its work is to come to an end, and the promise is looked at.
DEATHS = 24
# Of the points that are left a process is armed at such a part, drawn anew at each start, and at least at so many.
ARMED_SHARE, ARMED_LEAST = 0.5, 8
# Work that goes on for long enough to die in: so many pairs of people, referred and saying no within so many seconds.
PAIRS, BUSY = 16, 40.0
CLERKS = 2
# So many seconds one that is armed at what it seldom passes is waited for, on a quiet machine; to begin takes two of them.
LIFE = 5.0
# Where much else runs, so many times longer at most: work is to come to an end.
MOST_SLACK = 3.0
# What happens besides, in turn: timers fire when a clock is put forward.
BESIDE = ("nothing", "clock consent", "clock intake")
# The name of a history of days.
WEEK = "days ahead"


@dataclass
class Reaper:
    """Arms each service anew when it has died, and notes where it did."""

    one: Arena
    folder: Path
    bringing: Seldom
    left: dict[str, list[str]] = field(default_factory=dict)
    seldom: bool = False
    days: bool = False
    deaths: Counter[str] = field(default_factory=Counter)
    died: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in SERVICES})
    passed: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in SERVICES})
    _read: Counter[str] = field(default_factory=Counter)
    # When whoever runs armed began.
    _since: dict[str, float] = field(default_factory=dict)
    _busy: set[asyncio.Task[None]] = field(default_factory=set)

    def begin(self, asked: dict[str, Any]) -> None:
        """Begin a history: whoever runs unarmed is killed, to be started again armed."""
        self.left, self.seldom, self.days = asked["left"], asked["seldom"], asked["days"]
        self._since.clear()
        self.deaths.clear()
        for name in SERVICES:
            self.died[name], self.passed[name] = [], []
            self.one.onefriend.processes[name].kill()

    def arm(self, name: str) -> dict[str, str]:
        """Return what a service that has ended is told when it starts again."""
        self.look(name)
        self.deaths[name] += 1
        self._since.pop(name, None)
        told = {"ONEFRIEND_CRASH_LOG": str(self._log(name))}
        left = [point for point in self.left.get(name, ()) if point not in self.died[name]]
        if not left or self.one.winding_down or self.deaths[name] > DEATHS:
            return told
        many = min(len(left), max(ARMED_LEAST, round(len(left) * ARMED_SHARE)))
        chosen = left if self.seldom or self.days else self.one.draw.sample(left, many)
        if self.seldom and not self.days:
            self._since[name] = time.monotonic()
            bringing = asyncio.create_task(self.bringing.bring(name, chosen))
            self._busy.add(bringing)
            bringing.add_done_callback(self._busy.discard)
        return told | {"ONEFRIEND_CRASH_AT": "|".join(chosen)}

    async def patrol(self) -> None:
        """Kill, for ever, whoever has lived for long enough without passing any of what it is armed at."""
        while True:
            await asyncio.sleep(0.5)
            for name, since in list(self._since.items()):
                if time.monotonic() - since > LIFE * min(slack(), MOST_SLACK) and not self.one.winding_down:
                    self._since.pop(name)
                    self.one.onefriend.processes[name].kill()

    def look(self, name: str) -> None:
        """Read what a service wrote down of the points that it passed, and of the one at which it died."""
        if not self._log(name).exists():
            return
        with self._log(name).open(encoding="utf-8") as log:
            log.seek(self._read[name])
            for line in log.read().splitlines():
                point = line.removeprefix("died ")
                (self.passed if point == line else self.died)[name].append(point)
            self._read[name] = log.tell()

    def _log(self, name: str) -> Path:
        return self.folder / f"points-{name}"


async def _life(one: Arena, number: int) -> Result:
    clerks = [Clerk(one, knocks=n == 0).run() for n in range(CLERKS)]
    return await one_history(
        one, number, (BESIDE[number % len(BESIDE)],), pairs=PAIRS, busy=BUSY, also=clerks
    )


async def _week(one: Arena, number: int) -> Result:
    # Whoever is in doubt is decided about by the week itself.
    result = await one_history(one, number, ("nothing",), pairs=0, also=[Days(one).run()], reviews=False)
    result.label = WEEK
    return result


async def main(seed: int) -> None:
    """Run what is asked for, stack after stack."""
    line, number = Line(), 0
    asked = await line.asked()
    while asked is not None:
        with outside_place() as place:
            async with (
                arena(place, place.home / "provider.log", seed + number) as one,
                seldom(one) as bringing,
            ):
                reaper = Reaper(one, place.home, bringing)
                one.onefriend.arm = reaper.arm
                for _ in range(PER_STACK):
                    number += 1
                    one.winding_down = False
                    reaper.begin(asked)
                    patrolling = asyncio.create_task(reaper.patrol())
                    result = await (_week if asked["days"] else _life)(one, number)
                    patrolling.cancel()
                    for name in SERVICES:
                        reaper.look(name)
                    told: dict[str, Any] = {
                        "result": asdict(result),
                        "died": reaper.died,
                        "passed": {name: sorted(set(points)) for name, points in reaper.passed.items()},
                    }
                    line.tell(told)
                    before, asked = asked, await line.asked()
                    if asked is None or result.broke_off or asked["days"] != before["days"]:
                        break


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(int(sys.argv[1])))
