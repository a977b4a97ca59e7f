"""Histories, one after another, on one running stack: `python -m tests.faults [--long] [--minutes M] [--only NAME]`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import random
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from deploy.local.place import Place
from tests.faults.arena import Arena, arena
from tests.faults.checker import check, longest_after_a_no
from tests.faults.faults import FAULTS, Skipped
from tests.faults.history import Episode, History
from tests.support.promise import Promise, Violation
from tests.support.stack import outside_place

# A stack is thrown away after so many histories: its evidence stays readable, and what only a fresh one shows is met again.
PER_STACK = 25
LONG_HISTORIES = 320
SLOW = 15.0


@dataclass
class Tally:
    """What came of all histories so far; kept in a file, so that a long run can go on after it was stopped."""

    done: list[str] = field(default_factory=list)
    contacts: int = 0
    refused: int = 0
    clean: int = 0
    in_flight: int = 0
    recorded: int = 0
    referrals: int = 0
    permits: int = 0
    slowest: float = 0.0
    redeemed_after_no: float = 0.0
    harm: dict[str, int] = field(default_factory=lambda: {promise.name: 0 for promise in Promise})
    skipped: dict[str, str] = field(default_factory=dict)
    stories: list[str] = field(default_factory=list)
    humans: int = 1

    @classmethod
    def read(cls, path: Path) -> Tally:
        """Return the tally of a run that was begun before, or a new one."""
        return cls(**json.loads(path.read_text())) if path.exists() else cls()

    def write(self, path: Path) -> None:
        """Keep it; a crash leaves the old one or the new."""
        draft = path.with_suffix(".new")
        draft.write_text(json.dumps(asdict(self), indent=1))
        draft.replace(path)


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


def label(faults: tuple[str, ...]) -> str:
    """Return the name of a history's faults."""
    return " + ".join(faults)


async def run(
    plans: list[tuple[str, ...]], tally: Tally, kept: Path | None, deadline: float, seed: int
) -> None:
    """Run what is left of the plan, stack after stack, until the time is over."""
    todo = [faults for faults in plans if label(faults) not in tally.done]
    while todo and time.monotonic() < deadline:
        share, todo = todo[:PER_STACK], todo[PER_STACK:]
        with outside_place() as place:
            await _on_one_stack(place, share, tally, kept, deadline, seed, len(plans))


async def _on_one_stack(
    place: Place,
    share: list[tuple[str, ...]],
    tally: Tally,
    kept: Path | None,
    deadline: float,
    seed: int,
    of: int,
) -> None:
    async with arena(place, place.home / "provider.log", seed + len(tally.done), tally.humans) as one:
        for faults in share:
            if time.monotonic() > deadline:
                return
            began = time.monotonic()
            history, found = await _one_history(one, len(tally.done) + 1, faults)
            _count(tally, one, history, found)
            tally.done.append(label(faults))
            tally.humans += 2 * 10
            if kept:
                tally.write(kept)
            state = history.skipped or f"converged in {history.converged_after:.1f} s"
            broken = f"  {len(found)} BROKEN" if found else ""
            say(
                f"{len(tally.done):4}/{of}  {time.monotonic() - began:5.1f} s  {label(faults):<45} {state}{broken}",
            )
            if history.converged_after > SLOW:
                say("      the last to arrive: " + "; ".join(history.last[:6]))
            for violation in found:
                say(str(violation))


async def _one_history(one: Arena, number: int, faults: tuple[str, ...]) -> tuple[History, list[Violation]]:
    episode = Episode(one, number, faults)
    try:
        history = await episode.run()
    except Skipped as why:
        episode.history.skipped = f"skipped: {why}"
        return episode.history, []
    await one.read_journals()
    return history, check(one, history)


def _count(tally: Tally, one: Arena, history: History, found: list[Violation]) -> None:
    if history.skipped:
        tally.skipped[label(history.faults)] = history.skipped
        return
    contacts = one.contacts()
    new = contacts[one.counted :]
    one.counted = len(contacts)
    tally.contacts += len(new)
    fresh = [e for e in one.journal.values() if e.id not in one.known]
    one.known |= {e.id for e in fresh}
    tally.refused += sum(
        e.type.startswith("permit.refused") and bool(e.data.get("second_approach")) for e in fresh
    )
    tally.permits += sum(e.type.startswith("permit.granted") for e in fresh)
    tally.referrals += len(history.referrals)
    tally.redeemed_after_no = max(tally.redeemed_after_no, longest_after_a_no(one, history.humans))
    tally.slowest = max(tally.slowest, history.converged_after)
    last = {
        t.body["withdrawal"]: t.body
        for t in one.records.of("withdrawal")
        if t.asked_at >= history.began and "withdrawal" in t.body
    }
    tally.clean += sum(body.get("outcome") == "clean" for body in last.values())
    tally.in_flight += sum(body.get("outcome") == "in_flight" for body in last.values())
    tally.recorded += sum(body.get("state") != "in_force" for body in last.values())
    for violation in found:
        tally.harm[violation.promise.name] += 1
        tally.stories.append(f"{label(history.faults)}\n{violation}")


def table(tally: Tally) -> str:
    """Return the table at the end."""
    kinds = {name.split()[0] for faults in tally.done for name in faults.split(" + ")} - {"nothing"}
    rows = [
        ("histories", len(tally.done)),
        ("kinds of fault", len(kinds)),
        ("referrals acknowledged", tally.referrals),
        ("permits granted", tally.permits),
        ("contacts, by the provider's log", tally.contacts),
        ("second approaches refused", tally.refused),
        ("withdrawals answered clean", tally.clean),
        ("withdrawals answered in flight", tally.in_flight),
        ("withdrawals answered recorded", tally.recorded),
        ("longest from a withdrawal's commit to a later redemption, s", tally.redeemed_after_no),
        ("longest until everything agreed again, s", round(tally.slowest, 1)),
        *((f"{name} broken", count) for name, count in tally.harm.items()),
        *((f"skipped: {name}", why) for name, why in tally.skipped.items()),
    ]
    return "\n".join(f"{what:<62} {value}" for what, value in rows)


def main() -> int:
    """Run; return 1 if any promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    parser.add_argument(
        "--long", action="store_true", help="every fault alone and in pairs; goes on where it was stopped"
    )
    parser.add_argument("--minutes", type=float, default=9.0, help="begin no history after so many minutes")
    parser.add_argument("--only", action="append", help="histories with this fault (or `one + other`) only")
    parser.add_argument("--seed", type=int, default=None, help="what is drawn; the day's date unless told")
    parser.add_argument("--anew", action="store_true", help="forget what a long run has done so far")
    asked = parser.parse_args()
    seed = asked.seed if asked.seed is not None else int(time.strftime("%Y%m%d"))
    kept = Place.default().home / "faults-long.json" if asked.long else None
    if kept and asked.anew:
        kept.unlink(missing_ok=True)
    tally = Tally.read(kept) if kept else Tally()
    plans = (
        [tuple(only.split(" + ")) for only in asked.only]
        if asked.only
        else plan(long=asked.long, seed=1 if asked.long else seed)
    )
    deadline = time.monotonic() + (
        1e9 if asked.long and asked.minutes == parser.get_default("minutes") else asked.minutes * 60
    )
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run(plans, tally, kept, deadline, seed))
    say("\n" + table(tally))
    return 1 if any(tally.harm.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
