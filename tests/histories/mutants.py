"""The planted bugs: a line of the real source as it was before a mistake was mended. Each must be found."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.mutants import Bug, plant
from tests.support.promise import Violation

MOST = 10_000
"""Histories in which a planted bug must be found."""

JOINING, CASES = "services.allocation.domain.joining", "services.allocation.domain.cases"
PEOPLE, STANDING = "services.consent.domain.people", "services.consent.domain.standing"
OUTCOMES = "services.consent.domain.outcomes"

BUGS = (
    Bug("parted_case_is_new", "a no to a case does not bind in the one that has come out of it", PEOPLE,
        "        d.note(person, GoesOn(event.continues, event.case))\n", ""),
    Bug("one_id_ends_the_other", "of two ids in one case, the one that has left it stands for the other", STANDING,
        'key=lambda part: (part.role == "contact", part.over))', 'key=lambda part: part.role == "contact")'),
    Bug("joined_when_over_untold", "a case that is over is not told as joined", JOINING,
        "    if story.state.closed is None or story.state.joined_into != into:\n", "    if story.state.closed is None:\n"),
    Bug("parted_is_not_paused", "what leaves a case that the hub has paused is not paused", JOINING,
        "    _pause(story, _paused(old.state) or old.state.closed_paused)\n", ""),
    Bug("anothers_no_for_ever", "a case that ended by the no of somebody linked does not begin again with the unlink", CASES,
        'NOT_THEIRS: Final = frozenset({LINKED, "closed"})', "NOT_THEIRS: Final = frozenset({LINKED})"),
    Bug("retracted_over_a_no", "a case of one human under two ids forgets that it ended with a no", CASES,
        "        close(story, next(said, reason) or reason)\n", "        close(story, reason)\n"),
    Bug("no_by_the_old_name", "a no by the old name of a joined case closes that one alone", OUTCOMES,
        "    named = going_on(d, ids, (given.case,))\n", "    named = (given.case,)\n"),
)  # fmt: skip


def find(name: str) -> tuple[int, Violation | None]:
    """Run histories with a planted bug, in a process of its own that has imported nothing of the services."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_find_here, name).result()


def _find_here(name: str) -> tuple[int, Violation | None]:
    plant(name, BUGS)
    from tests.histories.history import first_broken  # noqa: PLC0415 - only now: what it imports has the bug

    return first_broken(1, MOST)
