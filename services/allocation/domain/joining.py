"""Two cases were one: the one goes on as the other. Or they are two after all: what leaves one is another."""

from __future__ import annotations

from services.allocation.domain.evolve import ClosedPaused, PartedInto, Story
from services.allocation.domain.route import pause
from services.allocation.domain.state import BY_HUB, CaseState
from shared.contracts.cases import CaseClosed


def join(story: Story, into: str) -> None:
    """This case and another were one: it goes on as the other.

    Told of one that is over already too. A "no" that ended it binds in the other, and it does not begin again by itself.
    """
    if story.state.closed is None or story.state.joined_into != into:
        story.tell(CaseClosed(reason="joined", joined_into=into))


def part(old: Story, story: Story, case: str) -> None:
    """A referral has left the old case for this one, which stays paused if the hub had paused the old one.

    Also if that has closed since: of the two cases either can be heard of first.
    """
    _pause(story, _paused(old.state) or old.state.closed_paused)
    old.tell(PartedInto(case))


def take_over_pause(story: Story, joined: CaseState) -> None:
    """What the hub had paused before it was joined to this case is paused."""
    if joined.closed is None:
        _pause(story, _paused(joined))


def take_over_late(story: Story, joined: CaseState) -> None:
    """This case came out of the one that a joining went into, perhaps with what came by it: that is heard of late."""
    if story.state.referrals.keys() & joined.referrals.keys():
        take_over_pause(story, joined)


def _paused(state: CaseState) -> str | None:
    paused = state.pauses.get(BY_HUB)
    return paused.reason if paused else None


def _pause(story: Story, reason: str | None) -> None:
    if reason is None:
        return
    if story.state.closed is not None:
        story.tell(ClosedPaused(reason))
    elif BY_HUB not in story.state.pauses:
        pause(story, BY_HUB, reason)
