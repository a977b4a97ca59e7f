"""One history: a seed decides everything that happens in it, and in which order it is heard."""

from __future__ import annotations

import random

from tests.histories.acts import Acts
from tests.histories.hearing import hear
from tests.histories.intake import Intake
from tests.histories.promises import at_rest, one_lead
from tests.histories.world import Broken, World
from tests.support.promise import Promise, Violation

ENDLESS = 3000
"""Events until rest: the longest histories need a few hundred."""


def run(seed: int) -> Violation | None:
    """Run one history; return the promise that it broke, with its story."""
    return tell(seed)[0]


def tell(seed: int) -> tuple[Violation | None, list[str]]:
    """Run one history; return the promise that it broke, if it did, and its story."""
    world = World(random.Random(seed))
    try:
        _go(world)
    except Broken as broken:
        return Violation(broken.promise, f"{broken} (seed {seed})", world.story), world.story
    return None, world.story


def first_broken(first: int, histories: int) -> tuple[int, Violation | None]:
    """Run histories until one breaks a promise; return how many were run, and what it broke."""
    for done, seed in enumerate(range(first, first + histories), 1):
        if violation := run(seed):
            return done, violation
    return histories, None


def _go(world: World) -> None:
    intake = Intake(world)
    acts = Acts(world, intake)
    chance = world.random
    steps = (
        *(intake.link, intake.link, intake.unlink, intake.unlink, intake.retract, intake.refer_late, intake.erase),
        *(acts.approach,) * 3, *(acts.redeem, acts.report, acts.ring) * 2, acts.converse, acts.withdraw, acts.reopen,
        *(acts.report_late, acts.correct, acts.succeed, acts.hand_over, acts.pause, acts.resume),
        *(acts.responsible_speaks, acts.wait),
    )  # fmt: skip
    for _ in range(chance.randint(8, 30)):
        for _ in range(chance.choice((0, 1, 3, 10, 40))):
            if not (waiting := world.unheard()):
                break
            hear(world, chance.choice(waiting))
        chance.choice(steps)()
        one_lead(world)
    _rest(world)
    for person in sorted(world.people):
        acts.write_down(person)
    _rest(world)
    at_rest(world, intake)


def _rest(world: World) -> None:
    for _ in range(ENDLESS):
        if not (waiting := world.unheard()):
            return
        hear(world, world.random.choice(waiting))
    raise Broken(Promise.N9, f"after {ENDLESS} events more are still being told")
